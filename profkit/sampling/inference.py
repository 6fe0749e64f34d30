"""Where the CPU time was spent that no tick saw.

A tick that wants the GIL is given it where the other thread blocks, so work in bursts shorter than the switch interval
is seen too seldom, and the blocking calls between the bursts too often. How long the thread ran is known exactly, by
its own clock. What it ran beyond the time it was seen running is taken from the calls it was seen blocked in, in proportion
to what it ran around them, and given to the places it was seen running at nearby: those below the same call, in
proportion to their time.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from profkit.sampling.timeline import RUNNING, WAITING, Span

_WINDOW = 0.5
"""Seconds within which seen and unseen running times are held against each other: a phase of a program."""
_MOST_EXCESS = 0.05
"""Seconds of a running span beyond its CPU time that count as seen ahead: it stood for others around it. More is
waiting for the GIL or for a CPU, and stands for nothing."""
_WORTH_IT = 0.01
"""The share of a window below which the difference is left alone: clocks and ticks are no more exact."""


def with_unseen_running(spans: Sequence[Span], parents: Sequence[int]) -> list[Span]:
    """Return the spans of a thread with what it must have run beyond what was seen; `parents` are the tree's."""
    places = _RunningPlaces(spans, parents)
    found: list[Span] = []
    for window in _windows(spans):
        found += _infer(window, places)
    return found


def _windows(spans: Sequence[Span]) -> Iterator[Sequence[Span]]:
    first = 0
    for index, span in enumerate(spans):
        if span.ended - spans[first].began > _WINDOW:
            yield spans[first : index + 1]
            first = index + 1
    yield spans[first:]


def _infer(window: Sequence[Span], places: _RunningPlaces) -> Iterator[Span]:
    seen = sum(min(span.wall, span.cpu + _MOST_EXCESS) for span in window if span.state == RUNNING)
    ran = sum(span.cpu for span in window)
    unseen = ran - seen
    around = sum(span.cpu for span in window if span.state == WAITING)
    if around <= 0 or unseen < _WORTH_IT * sum(span.wall for span in window):
        yield from window
        return
    part = min(1.0, unseen / around)
    for span in window:
        node = places.next(span.node, span.cpu * part) if span.state == WAITING else None
        moved = 0.0 if node is None else min(span.cpu * part, span.wall)
        if node is None or moved <= 0:
            yield span
            continue
        yield span._replace(wall=span.wall - moved, cpu=span.cpu - moved)
        yield Span(node, moved, moved, RUNNING, span.holder, span.began, span.ended, inferred=True)


class _RunningPlaces:
    """The nodes a thread was seen running at, below each node of the tree, with their seconds."""

    def __init__(self, spans: Sequence[Span], parents: Sequence[int]) -> None:
        self._parents = parents
        self._below: dict[int, dict[int, float]] = {}
        self._given: dict[int, dict[int, float]] = {}
        for span in spans:
            if span.state == RUNNING:
                self._add(span)

    def _add(self, span: Span) -> None:
        node = span.node
        while node >= 0:
            below = self._below.setdefault(node, {})
            below[span.node] = below.get(span.node, 0.0) + span.wall
            node = self._parents[node]

    def next(self, node: int, seconds: float) -> int | None:
        """Return the place for `seconds` that were run near `node`; None if nothing was seen running.

        Whole spans are given to one place each, the one that is furthest behind its part, so that there are not
        more spans than needed; in the sum each has its part.
        """
        while node >= 0 and node not in self._below:
            node = self._parents[node]
        if node < 0 or seconds <= 0:
            return None
        below = self._below[node]
        given = self._given.setdefault(node, dict.fromkeys(below, 0.0))
        share = (sum(given.values()) + seconds) / sum(below.values())
        behind = max(below, key=lambda place: share * below[place] - given[place])
        given[behind] += seconds
        return behind
