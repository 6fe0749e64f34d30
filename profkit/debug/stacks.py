"""Stacks as the debug routes show them: lines of text, bounded, the outermost function first."""

from __future__ import annotations

from collections.abc import Sequence

from profkit.inflight import describe
from profkit.sampling.codes import CodeTable

MAX_LINES = 100
_OUTERMOST = 20
"""Of these, the lines at the beginning: how it was called."""


def stack_lines(places: Sequence[int], codes: CodeTable) -> list[str]:
    """Return a stack, whose leaf comes first, as at most 101 lines; one of them tells how many were left out."""
    outermost_first = places[::-1]
    if len(places) <= MAX_LINES:
        return [describe(place, codes) for place in outermost_first]
    first, last = outermost_first[:_OUTERMOST], outermost_first[_OUTERMOST - MAX_LINES :]
    return [
        *(describe(place, codes) for place in first),
        f"[{len(places) - MAX_LINES} more]",
        *(describe(place, codes) for place in last),
    ]
