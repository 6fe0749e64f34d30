"""A report cut so that its page is no burden: to a process that makes it, and to a browser that shows it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from itertools import islice
from typing import Final, NamedTuple, cast

BUDGET: Final = 200_000
"""Bytes of a page that the values of a report may take, with the markup around them."""

OPEN: Final = frozenset(
    {
        "checks", "distributions", "dropped", "environment", "faults", "over_limit", "settings", "tags", "thresholds",
        "unknown", "value", "values",
    }
)  # fmt: skip
"""Names under which a report has what has no fixed form: mappings there may lose keys, others never do."""

_MARKUP = 90
"""Bytes around a value, on average."""

_ESCAPED = 4
"""Bytes more that a character takes which means something in HTML."""

_WIDEST = 3
"""Bytes of a character that is not ASCII; few take four."""

_DEEPEST = 24
"""Levels of what has a fixed form."""

_ENDS = 5


class _Limits(NamedTuple):
    """How many items of a list or open mapping, lines of a stack, characters of a text and levels are shown."""

    items: int
    lines: int
    characters: int
    depth: int


_STEPS = (
    _Limits(2000, 101, 10_000, 24),
    _Limits(1000, 60, 2000, 24),
    _Limits(500, 40, 1000, 24),
    _Limits(300, 25, 500, 24),
    _Limits(200, 16, 300, 24),
    _Limits(100, 12, 200, 16),
    _Limits(50, 12, 200, 12),
    _Limits(20, 10, 100, 10),
    _Limits(10, 6, 60, 8),
    _Limits(4, 4, 40, 7),
)


def excerpt(report: Mapping[str, object], budget: int = BUDGET) -> tuple[Mapping[str, object], bool]:
    """Return the report, and False; or as much of each of its parts as the budget has room for, and True.

    Of lists and `OPEN` mappings the first items are kept, of a `stack` both its ends, of a text its beginning.
    """
    for limits in _STEPS:
        # The last are taken in any case: a page without what its template needs is none.
        cut = _Cut(limits, math.inf if limits is _STEPS[-1] else budget)
        try:
            found = cut.mapping(report, 0, is_open=False)
        except _TooLong:
            continue
        return found, cut.anything
    raise AssertionError("the last step has no bound")


class _TooLong(Exception):
    """There is no room for it under these limits."""


class _Cut:
    """Copies values under some limits; `anything` tells whether something was left out."""

    def __init__(self, limits: _Limits, budget: float) -> None:
        self._limits = limits
        self._left = budget
        self.anything = False

    def mapping(self, items: Mapping[str, object], depth: int, *, is_open: bool) -> dict[str, object]:
        found: dict[str, object] = {}
        for name, value in islice(items.items(), self._limits.items if is_open else None):
            shown = self._text(str(name)) if is_open else name
            below = is_open or name in OPEN
            found[shown] = (
                self._stack(value) if name == "stack" else self._value(value, depth + 1, is_open=below)
            )
        self.anything |= len(items) > len(found)
        return found

    def _value(self, value: object, depth: int, *, is_open: bool) -> object:
        if isinstance(value, str):
            return self._text(value)
        deepest = self._limits.depth if is_open else _DEEPEST
        if isinstance(value, (Mapping, list, tuple)) and depth > deepest:
            self.anything = True
            return "…"
        if isinstance(value, Mapping):
            return self.mapping(cast("Mapping[str, object]", value), depth, is_open=is_open)
        if isinstance(value, (list, tuple)):
            items = cast("Sequence[object]", value)
            self.anything |= len(items) > self._limits.items
            return [self._value(one, depth + 1, is_open=is_open) for one in items[: self._limits.items]]
        self._take(10)
        return value

    def _text(self, text: str) -> str:
        most = self._limits.characters
        if len(text) > most:
            self.anything = True
            text = f"{text[:most]}…"
        wide = 1 if text.isascii() else _WIDEST
        self._take(len(text) * wide + _ESCAPED * sum(map(text.count, "<>&'\"")))
        return text

    def _stack(self, value: object) -> object:
        if not isinstance(value, list):
            return self._value(value, 1, is_open=True)
        lines, most = cast("list[str]", value), self._limits.lines
        if len(lines) > most:
            self.anything = True
            first = min(_ENDS, most // 3)
            left_out = f"… {len(lines) - most:,} more …"
            lines = [*lines[:first], left_out, *lines[len(lines) - most + first :]]
        return [self._text(line) for line in lines]

    def _take(self, size: int) -> None:
        self._left -= size + _MARKUP
        if self._left < 0:
            raise _TooLong
