"""A report cut so that its page is no burden: to a process that makes it, and to a browser that shows it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Final, NamedTuple, cast

BUDGET: Final = 200_000
"""Characters of a page that the values of a report may take, with the markup around them."""

_MARKUP = 90
"""Characters around a value or a key, on average."""

_ESCAPED = 4
"""Characters more that one takes which means something in HTML."""

_MAX_DEPTH = 24
_ENDS = 5


class _Limits(NamedTuple):
    """How many items of a list or mapping, lines of a stack and characters of a text are shown."""

    items: int
    lines: int
    characters: int


_STEPS = (
    _Limits(2000, 101, 10_000),
    _Limits(1000, 60, 2000),
    _Limits(500, 40, 1000),
    _Limits(300, 25, 500),
    _Limits(200, 16, 300),
    _Limits(100, 12, 200),
    _Limits(50, 12, 200),
    _Limits(20, 10, 100),
    _Limits(10, 6, 60),
    _Limits(4, 4, 40),
)


def excerpt(report: Mapping[str, object], budget: int = BUDGET) -> tuple[Mapping[str, object], bool]:
    """Return the report, and False; or as much of each of its parts as the budget has room for, and True.

    Of lists and mappings the first items are kept, of a `stack` both its ends, of a text its beginning.
    """
    for limits in _STEPS:
        cut = _Cut(limits, budget)
        try:
            found = cut.mapping(report, 0)
        except _TooLong:
            continue
        return found, cut.anything
    return {}, True


class _TooLong(Exception):
    """There is no room for it under these limits."""


class _Cut:
    """Copies values under some limits; `anything` tells whether something was left out."""

    def __init__(self, limits: _Limits, budget: int) -> None:
        self._limits = limits
        self._left = budget
        self.anything = False

    def mapping(self, items: Mapping[str, object], depth: int) -> dict[str, object]:
        found: dict[str, object] = {}
        for name, value in islice(items.items(), self._limits.items):
            self._take(len(str(name)))
            found[name] = self._stack(value) if name == "stack" else self._value(value, depth + 1)
        self.anything |= len(items) > len(found)
        return found

    def _value(self, value: object, depth: int) -> object:
        if isinstance(value, str):
            return self._text(value)
        if isinstance(value, (Mapping, list, tuple)) and depth > _MAX_DEPTH:
            self.anything = True
            return "…"
        if isinstance(value, Mapping):
            return self.mapping(cast("Mapping[str, object]", value), depth)
        if isinstance(value, (list, tuple)):
            items = cast("Sequence[object]", value)
            self.anything |= len(items) > self._limits.items
            return [self._value(one, depth + 1) for one in items[: self._limits.items]]
        self._take(10)
        return value

    def _text(self, text: str) -> str:
        most = self._limits.characters
        if len(text) > most:
            self.anything = True
            text = f"{text[:most]}…"
        self._take(len(text) + _ESCAPED * sum(map(text.count, "<>&'\"")))
        return text

    def _stack(self, value: object) -> object:
        if not isinstance(value, list):
            return self._value(value, 1)
        lines, most = cast("list[str]", value), self._limits.lines
        if len(lines) > most:
            self.anything = True
            first = min(_ENDS, most // 3)
            left_out = f"… {len(lines) - most:,} more …"
            lines = [*lines[:first], left_out, *lines[len(lines) - most + first :]]
        return [self._text(line) for line in lines]

    def _take(self, characters: int) -> None:
        self._left -= characters + _MARKUP
        if self._left < 0:
            raise _TooLong
