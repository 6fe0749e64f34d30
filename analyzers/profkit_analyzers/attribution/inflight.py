"""Which child operations were in flight while their operation waited, and for how long.

What an operation awaits, its stack does not tell where that is in other tasks; the children's exact times do. At each
moment the innermost children in flight, n of them, share it evenly. One sweep over starts and ends, whatever the
number of samples.
"""

from __future__ import annotations

from collections.abc import Sequence

from profkit_storage import ChildOperation

_MAX_DEPTH = 1000
"""Of operations inside each other; parents that form a ring in a damaged profile end here."""


class InFlight:
    """The child operations with a category. Ask `shares` for spans in time order only."""

    def __init__(self, children: Sequence[ChildOperation]) -> None:
        self._parents = [child.parent for child in children]
        self._categorised = [bool(child.category) for child in children]
        # Ends come before starts at the same time, so that one after the other is not side by side.
        events = [
            (time, starts, index)
            for index, child in enumerate(children)
            if child.category and child.end > child.start
            for time, starts in ((child.end, False), (child.start, True))
        ]
        self._events = sorted(events, reverse=True)
        self._flying: set[int] = set()
        self._inside: dict[int, int] = {}
        self._innermost: set[int] = set()

    def around(self, index: int) -> list[int]:
        """Return the categorised children that this one ran inside, innermost first."""
        found: dict[int, None] = {}
        above = self._parents[index]
        while above >= 0 and above != index and above not in found and len(found) < _MAX_DEPTH:
            found[above] = None
            above = self._parents[above]
        return [above for above in found if self._categorised[above]]

    def shares(self, start: float, end: float) -> dict[int, float]:
        """Return the seconds of [start, end] that fall to each child, by its index; the rest is nobody's."""
        found: dict[int, float] = {}
        now = start
        while self._events and self._events[-1][0] < end:
            time, starts, index = self._events.pop()
            if time > now:
                self._share(found, time - now)
                now = time
            self._turn(index, starts=starts)
        self._share(found, end - now)
        return found

    def _share(self, found: dict[int, float], seconds: float) -> None:
        if seconds <= 0:
            return
        for index in self._innermost:
            found[index] = found.get(index, 0.0) + seconds / len(self._innermost)

    def _turn(self, index: int, *, starts: bool) -> None:
        """Let one start or end: those around it are innermost while nothing inside them is in flight."""
        (self._flying.add if starts else self._flying.discard)(index)
        for above in self.around(index):
            self._inside[above] = self._inside.get(above, 0) + (1 if starts else -1)
            self._sort(above)
        self._sort(index)

    def _sort(self, index: int) -> None:
        if index in self._flying and not self._inside.get(index):
            self._innermost.add(index)
        else:
            self._innermost.discard(index)
