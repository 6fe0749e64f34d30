"""What the calls of an operation are held against: objectives.toml, and a file of the user's own laid over it."""

from __future__ import annotations

import fnmatch
import importlib.resources
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any, cast

from profkit_storage import ConfigurationError
from profkit_storage.histogram import SHORTEST
from profkit_storage.sections import Section, parse_toml, read_text

MICRO = 1_000_000
"""Parts of the calls are whole millionths, so that what is reached exactly is reached."""

_TABLES = frozenset({"schema", "default", "categories", "operations"})
_SHARES = "latency_share", "availability", "error_rate"
_KEYS = frozenset({*_SHARES, "latency_seconds", "min_calls"})
_MOST_CALLS = 10**12
_LONGEST = 7 * 24 * 3600


Change = Mapping[str, float | int | None]
"""What one table of a file sets, by the names of an `Objective`."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Objective:
    """What the calls of one operation are held against; shares are of its calls, 0 to 1, None is no such objective.

    `latency_share` of them have to take less than `latency_seconds`, `availability` to end without an error; at most
    `error_rate` may end with one. `min_calls` None takes the fewest of which each objective allows one to fail.

    Raises:
        ConfigurationError: a value that is not allowed; names it and what is.
    """

    latency_seconds: float = 2.0
    latency_share: float | None = None
    availability: float | None = None
    error_rate: float | None = None
    min_calls: int | None = None

    def __post_init__(self) -> None:
        for name in sorted(_KEYS):
            value: object = getattr(self, name)
            wrong = None if value is None and name != "latency_seconds" else _wrong(name, value)
            if wrong:
                raise ConfigurationError(f"{name} {value!r}: {wrong}")

    def changed(self, change: Change) -> Objective:
        """Return it with what a table of the file sets."""
        return replace(self, **cast("dict[str, Any]", change))


@dataclass(frozen=True, slots=True, kw_only=True)
class Objectives:
    """The objectives of all operations. `patterns` are those of `operations` by name, in the order they are laid."""

    default: Objective
    categories: Mapping[str, Change] = field(default_factory=dict[str, Change])
    patterns: Mapping[str, Change] = field(default_factory=dict[str, Change])

    def of(self, operation: str, category: str) -> Objective:
        """Return what an operation declared with this category is held against."""
        found = self.default.changed(self.categories.get(category, {}))
        for pattern, change in self.patterns.items():
            if pattern != operation and matches(operation, pattern):
                found = found.changed(change)
        return found.changed(self.patterns.get(operation, {}))


def matches(operation: str, pattern: str) -> bool:
    """Tell whether a pattern means an operation: `*` stands for any letters, `?` for one, all others for themselves."""
    return operation == pattern or _compiled(pattern).fullmatch(operation) is not None


@lru_cache(maxsize=1)
def default_objectives() -> Objectives:
    """Return the objectives that come with profkit."""
    text = importlib.resources.files("profkit_analyzers.slo").joinpath("objectives.toml").read_text("utf-8")
    return parse_objectives(text, "objectives.toml", Objectives(default=Objective()))


def load_objectives(path: str | Path) -> Objectives:
    """Return profkit's objectives with the file at `path`, in the form of objectives.toml, laid over them.

    Raises:
        ConfigurationError: the file cannot be read or is not in that form; names the place and the value.
    """
    return parse_objectives(read_text(path, "objectives"), str(path), default_objectives())


def parse_objectives(text: str, source: str, base: Objectives) -> Objectives:
    """Return `base` with the objectives in `text` laid over it; `source` names the file in errors.

    Raises:
        ConfigurationError: not TOML, or not in the form objectives.toml tells.
    """
    top = parse_toml(text, source)
    top.allow(_TABLES)
    top.check_schema(1)
    operations = _changes(top.section("operations"))
    return Objectives(
        default=base.default.changed(_change(top.section("default"))),
        categories=_laid(_changes(top.section("categories")), base.categories),
        patterns=dict(sorted(_laid(operations, base.patterns).items(), key=lambda item: _letters(item[0]))),
    )


def _changes(tables: Section) -> dict[str, Change]:
    """Return what each of the tables sets."""
    return {name: _change(tables.section(name)) for name in tables.values}


def _change(table: Section) -> Change:
    """Return what a table sets, checked; None for an objective that is turned off."""
    table.allow(_KEYS)
    found: dict[str, float | int | None] = {}
    for key, value in table.values.items():
        wrong = "" if value is False and key in _SHARES else _wrong(key, value)
        if wrong:
            raise table.wrong(key, value, wrong)
        found[key] = None if value is False else cast("float", value)
    return found


def _wrong(key: str, value: object) -> str:
    """Return what would be allowed where `value` is not, "" where it is."""
    number = value if isinstance(value, int | float) and not isinstance(value, bool) else math.nan
    if key in _SHARES:
        hint = "must be from 0.000001 to 0.999999 with up to six decimals, or false"
        return "" if _is_share(number) else hint
    if key == "min_calls":
        fits = isinstance(value, int) and 1 <= number <= _MOST_CALLS
        return "" if fits else f"must be a whole number from 1 to {_MOST_CALLS}"
    hint = "; latency_share = false turns the objective off" if value is False else ""
    return "" if SHORTEST <= number <= _LONGEST else f"must be seconds from 0.000001 to {_LONGEST}{hint}"


def _is_share(value: float) -> bool:
    """Tell whether it is between 0 and 1 and whole in millionths; NaN is not."""
    if not 0 < value < 1:
        return False
    millionths = value * MICRO
    return 1 <= round(millionths) < MICRO and abs(millionths - round(millionths)) < 1e-6


def _laid(over: Mapping[str, Change], base: Mapping[str, Change]) -> dict[str, Change]:
    return {**base, **{name: {**base.get(name, {}), **change} for name, change in over.items()}}


def _letters(pattern: str) -> int:
    return len(pattern) - pattern.count("*") - pattern.count("?")


@lru_cache(maxsize=1_000)
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(fnmatch.translate(pattern.replace("[", "[[]")))  # [ is only itself here
