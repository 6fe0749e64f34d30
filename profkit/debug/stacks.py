"""Stacks as the debug routes show them: lines of text, masked and bounded, the outermost function first."""

from __future__ import annotations

from collections.abc import Sequence

from profkit.inflight import describe
from profkit.masking import Masker
from profkit.sampling.codes import CodeTable

MAX_LINES = 100
_OUTERMOST = 20
"""Of these, the lines at the beginning: how it was called."""


class StackLines:
    """Makes lines of places, each once, and one list of each stack: a thousand tasks have few that differ."""

    def __init__(self, codes: CodeTable, masker: Masker) -> None:
        self._codes = codes
        self._masker = masker
        self._known: dict[int, str] = {}
        self._stacks: dict[tuple[int, ...], list[str]] = {}

    def of(self, places: Sequence[int]) -> list[str]:
        """Return a stack, whose leaf comes first, as at most 101 lines; one of them tells how many were left out.

        The list is not the caller's alone.
        """
        key = tuple(places)
        stack = self._stacks.get(key)
        if stack is None:
            stack = self._stacks[key] = self._stack(places)
        return stack

    def _stack(self, places: Sequence[int]) -> list[str]:
        outermost_first = places[::-1]
        if len(places) <= MAX_LINES:
            return [self._line(place) for place in outermost_first]
        return [
            *map(self._line, outermost_first[:_OUTERMOST]),
            f"[{len(places) - MAX_LINES} more]",
            *map(self._line, outermost_first[_OUTERMOST - MAX_LINES :]),
        ]

    def _line(self, place: int) -> str:
        line = self._known.get(place)
        if line is None:
            line = self._known[place] = self._masker.mask_text(describe(place, self._codes))
        return line
