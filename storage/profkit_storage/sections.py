"""Reads tables of a TOML file that a user writes, and says exactly what is wrong in them."""

from __future__ import annotations

import re
import tomllib
from collections.abc import Collection, Iterator, Mapping
from pathlib import Path
from typing import cast

from profkit_storage.errors import ConfigurationError

_PLAIN = re.compile(r"[A-Za-z0-9_-]+")


def read_text(path: str | Path, what: str) -> str:
    """Return the text of a user's file; `what` is what it has ("budgets").

    Raises:
        ConfigurationError: it cannot be read; names it.
    """
    try:
        return Path(path).read_text(encoding="utf-8")
    except (OSError, ValueError) as error:
        raise ConfigurationError(f"{what} file {str(path)!r} cannot be read: {error}") from error


def parse_toml(text: str, source: str) -> Section:
    """Return the top of a TOML document; `source` names the file in errors.

    Raises:
        ConfigurationError: it is no TOML.
    """
    try:
        return Section(source, "", tomllib.loads(text))
    except (ValueError, RecursionError) as error:  # also of numbers with thousands of digits
        raise ConfigurationError(f"{source}: not valid TOML: {error}") from error


class Section:
    """One table of a TOML file; every error names the file, the place, the value and what is allowed."""

    def __init__(self, source: str, path: str, values: Mapping[str, object]) -> None:
        self.source = source
        self.path = path
        self.values = values

    def place(self, key: str) -> str:
        """Return where in the file `key` of this table is."""
        name = key if _PLAIN.fullmatch(key) else f'"{key}"'
        return f"{self.path}.{name}" if self.path else name

    def wrong(self, key: str, value: object, allowed: str) -> ConfigurationError:
        """Return the error for a value that is not allowed."""
        return ConfigurationError(f"{self.source}: {self.place(key)}: {value!r}: {allowed}")

    def allow(self, keys: Collection[str]) -> None:
        """Refuse any other key."""
        for key in self.values:
            if key not in keys:
                raise self.wrong(key, self.values[key], f"not known; allowed are {', '.join(sorted(keys))}")

    def check_schema(self, schema: int) -> None:
        """Refuse a file of another schema."""
        value = self.values.get("schema")
        if type(value) is not int or value != schema:
            raise self.wrong("schema", value, f"must be {schema}")

    def section(self, key: str) -> Section:
        """Return the table under `key`, an empty one if there is none."""
        value = self.values.get(key, {})
        if not isinstance(value, dict):
            raise self.wrong(key, value, "must be a table")
        return Section(self.source, self.place(key), cast("dict[str, object]", value))

    def sections(self, key: str) -> Iterator[Section]:
        """Yield the tables of an array of them."""
        value = self.values.get(key, [])
        if not isinstance(value, list):
            raise self.wrong(key, value, "must be an array of tables")
        for number, item in enumerate(cast("list[object]", value), start=1):
            if not isinstance(item, dict):
                raise self.wrong(key, item, "must be an array of tables")
            yield Section(self.source, f"{key}[{number}]", cast("dict[str, object]", item))

    def string(self, key: str, default: str = "") -> str:
        """Return a word that is not empty, or the default."""
        value = self.values.get(key, default)
        if not isinstance(value, str) or (key in self.values and not value.strip()):
            raise self.wrong(key, value, "must be a word")
        return value

    def flag(self, key: str, *, default: bool = False) -> bool:
        """Return true or false."""
        value = self.values.get(key, default)
        if not isinstance(value, bool):
            raise self.wrong(key, value, "must be true or false")
        return value

    def seconds(self, key: str, default: float | None = None) -> float | None:
        """Return a number of milliseconds as seconds."""
        value = self.values.get(key)
        if value is None:
            return default
        if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value < 1e12:
            raise self.wrong(key, value, "must be milliseconds above 0")
        return value / 1000

    def strings(self, key: str, form: re.Pattern[str], allowed: str) -> tuple[str, ...]:
        """Return a list of words that each have the `form`, none of them twice."""
        value = self.values.get(key, [])
        if not isinstance(value, list):
            raise self.wrong(key, value, "must be a list")
        words: list[str] = []
        for item in cast("list[object]", value):
            if not isinstance(item, str) or not form.fullmatch(item):
                raise self.wrong(key, item, allowed)
            if item in words:
                raise self.wrong(key, item, "is there twice")
            words.append(item)
        return tuple(words)
