"""What the places hold that a pydantic settings class reads: environment, `.env` files, a secrets directory."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple, cast

import orjson

from profkit.debug.configuration.likeness import is_like

_MAX_FILE = 65_536
_MAX_FILES = 10
_MAX_LISTED = 1000


class Origin(NamedTuple):
    """Where a value came from: one of `SourceKind`, and the variable's or file's name."""

    kind: str
    name: str | None = None


class _Place(NamedTuple):
    """`read` takes a name and returns the name as it is there and the text, or None."""

    kind: str
    read: Callable[[str], tuple[str, str] | None]


class Held:
    """The variables and files of one settings class, read once."""

    def __init__(self, cls: type) -> None:
        config = cast("Mapping[str, Any]", getattr(cls, "model_config", {}))
        self._folds = not config.get("case_sensitive")
        self._prefix = str(config.get("env_prefix") or "")
        self._prefixed = str(config.get("env_prefix_target") or "variable")
        self._delimiter = str(config.get("env_nested_delimiter") or "")
        self._places = [
            _Place("environment", self._reader({name: (name, text) for name, text in os.environ.items()})),
            _Place("env_file", self._reader(_env_files(config))),
            _Place("secret_file", self._secret_files(config)),
        ]

    def find(self, path: list[list[str]], value: object) -> Origin | None:
        """Where the value now is that a field has; `path` holds, for each level, the names that the field may have.

        The environment before the files, as pydantic-settings reads them. The name is that of the variable or file.
        """
        candidates = [
            (self._fold(self._delimiter.join(names[:levels])), names[levels:])
            for names in product(*path)
            for levels in range(len(names) if self._delimiter else 1, 0, -1)
        ]
        for place in self._places:
            for name, inside in candidates:
                found = place.read(name)
                if found is not None and _holds(found[1], inside, value, folds=self._folds):
                    return Origin(place.kind, found[0])
        return None

    def names(self, cls: type, field: str, *, top: bool) -> list[str]:
        """The names by which a field is read: its aliases, and its own name where that is taken too."""
        config = cast("Mapping[str, Any]", getattr(cls, "model_config", {}))
        known = cast("Mapping[str, Any]", getattr(cls, "model_fields", {})).get(field)
        aliases = _aliases(getattr(known, "validation_alias", None))
        prefix = {kind: self._prefix if top and self._prefixed in {kind, "all"} else "" for kind in _TARGETS}
        own = not aliases or config.get("populate_by_name") or config.get("validate_by_name")
        return [prefix["alias"] + one for one in aliases] + ([prefix["variable"] + field] if own else [])

    def _fold(self, name: str) -> str:
        return name.lower() if self._folds else name

    def _reader(self, texts: Mapping[str, tuple[str, str]]) -> Callable[[str], tuple[str, str] | None]:
        return {self._fold(name): found for name, found in texts.items()}.get

    def _secret_files(self, config: Mapping[str, Any]) -> Callable[[str], tuple[str, str] | None]:
        files: dict[str, Path] = {}
        for directory in _paths(config.get("secrets_dir")):
            try:
                files.update(
                    (self._fold(file.name), file) for file in list(directory.iterdir())[:_MAX_LISTED]
                )
            except OSError:  # not there any more, or not ours to read
                continue

        def read(name: str) -> tuple[str, str] | None:
            text = _text(files[name]) if name in files else None
            return None if text is None else (files[name].name, text.strip())

        return read


_TARGETS = ("alias", "variable")


def _holds(text: str, inside: tuple[str, ...], value: object, *, folds: bool) -> bool:
    """Whether a text, or what is `inside` the JSON of it, is the value."""
    if not inside:
        return is_like(value, text)
    try:
        held: object = orjson.loads(text)
    except ValueError:
        return False
    for name in inside:
        if not isinstance(held, dict):
            return False
        parts = cast("dict[str, object]", held)
        match = [key for key in parts if key == name or (folds and key.lower() == name.lower())]
        if not match:
            return False
        held = parts[match[0]]
    return is_like(value, held)


def _aliases(alias: object) -> list[str]:
    """The variables that a field's alias names: itself, each choice, the head of a path."""
    if isinstance(alias, str):
        return [alias]
    choices = cast("list[object] | None", getattr(alias, "choices", None))
    if choices is not None:
        return [name for choice in choices for name in _aliases(choice)]
    path = cast("list[object]", getattr(alias, "path", None) or [])
    return [one for one in path[:1] if isinstance(one, str)]


def _env_files(config: Mapping[str, Any]) -> dict[str, tuple[str, str]]:
    """What `.env` files hold, read as pydantic-settings does; the last one counts."""
    parse: Any = getattr(sys.modules.get("dotenv"), "dotenv_values", None)
    held: dict[str, tuple[str, str]] = {}
    for file in _paths(config.get("env_file")):
        if parse is None or _text(file) is None:
            continue
        try:
            values = parse(file, encoding=config.get("env_file_encoding") or "utf-8")
        except (OSError, ValueError, LookupError):  # LookupError: an encoding that is not known
            continue
        held.update((name, (name, text)) for name, text in values.items() if text is not None)
    return held


def _paths(given: object) -> list[Path]:
    several = list(cast("list[object]", given)) if isinstance(given, list | tuple | set) else [given]
    paths: list[Path] = []
    for one in several[:_MAX_FILES]:
        if isinstance(one, str | Path):
            try:
                paths.append(Path(one).expanduser())
            except RuntimeError:  # there is no home
                continue
    return paths


def _text(file: Path) -> str | None:
    """The text of a regular file that is not too large to be a setting's."""
    try:
        if not file.is_file() or file.stat().st_size > _MAX_FILE:
            return None
        return file.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
