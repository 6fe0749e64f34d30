"""Where the CPU time was spent that no tick saw.

A tick that wants the GIL is given it where the other thread blocks, so work in bursts shorter than the switch interval
is seen too seldom, and the blocking calls between the bursts too often. How long the thread ran is known exactly, by
its own clock. What it ran beyond the time it was seen running is taken from the calls it was seen blocked in, in
proportion to what it ran around them, and given to the places it was seen running at nearby: those below the same call,
in proportion to their time.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence

from profkit.sampling.calltree import CallTree
from profkit.sampling.codes import OFFSET_BITS
from profkit.sampling.timeline import RUNNING, SUSPENDED, WAITING, Span

_WINDOW = 0.5
"""Seconds within which seen and unseen running times are held against each other: a phase of a program."""
_MOST_EXCESS = 0.05
"""Seconds of a running span beyond its CPU time that count as seen ahead: it stood for others around it. More is
waiting for the GIL or for a CPU, and stands for nothing."""
_IDLE_SHARE, _BUSY_SHARE = 0.05, 0.8
"""A span with less CPU time was waiting, a long one with more was running, whatever was seen."""
_LONG = 0.05
"""Seconds from which a span is made of several looks: one says nothing for certain."""
_OPEN = frozenset({RUNNING, WAITING})
_WORTH_IT = 0.01
"""The share of a window below which the difference is left alone: clocks and ticks are no more exact."""


def with_unseen_running(spans: Sequence[Span], tree: CallTree) -> list[Span]:
    """Return the spans of a thread, over its call tree, with what it must have run beyond what was seen."""
    spans = _settled(spans)
    places = _RunningPlaces(spans, tree)
    found: list[Span] = []
    for window in _windows(spans):
        found += _infer(window, places)
    return found


def with_unseen_steps(spans: Sequence[Span], seen: float, ran: float) -> list[Span]:
    """Return the spans of a task whose loop's thread was `seen` running for so long and `ran` for longer, in seconds.

    A tick is given the GIL where the loop waits for input, so short steps are seen too seldom. By how much, the
    thread's clock says, for all its tasks alike. What is added to a task's running seconds is taken from
    those it awaited.
    """
    if not 0 < seen < ran:
        return list(spans)
    running = sum(span.wall for span in spans if span.state == RUNNING)
    awaiting = sum(span.wall for span in spans if span.state == SUSPENDED)
    moved = min(running / seen * (ran - seen), awaiting, ran - running)
    if moved <= _WORTH_IT * sum(span.wall for span in spans):
        return list(spans)
    found: list[Span] = []
    for span in spans:
        if span.state == SUSPENDED:
            found.append(span._replace(wall=span.wall * (1 - moved / awaiting)))
            continue
        found.append(span)
        if span.state == RUNNING:
            more = span.wall * moved / running
            found.append(span._replace(wall=more, cpu=span.cpu * moved / running, inferred=True))
    return found


def _settled(spans: Sequence[Span]) -> list[Span]:
    """Return the spans with one state for each place, that of most of its time, unless their CPU time says otherwise.

    A thread that has the GIL is seen running by late ticks; but a tick is also late for reasons of the machine's, and a
    thread that runs may be off its CPU. So one look says little: whether a call blocks or runs, all looks at it say.
    """
    running: dict[int, float] = defaultdict(float)
    for span in spans:
        if span.state in _OPEN:
            running[span.node] += span.wall if span.state == RUNNING else -span.wall
    return [
        span._replace(state=RUNNING if running[span.node] > 0 else WAITING)
        if span.state in _OPEN and not _is_certain(span)
        else span
        for span in spans
    ]


def _is_certain(span: Span) -> bool:
    """Tell whether a span's CPU time alone says what it was: next to nothing, or nearly all of many looks."""
    if span.cpu <= _IDLE_SHARE * span.wall:
        return True
    return span.cpu >= _BUSY_SHARE * span.wall and span.wall > _LONG


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
    """The nodes a thread was seen running at, below each activation, with their seconds.

    An activation is a chain of functions: the calls from different lines of one are the same.
    """

    def __init__(self, spans: Sequence[Span], tree: CallTree) -> None:
        self._tree = tree
        self._callers: list[int] = []
        self._numbers: dict[tuple[int, int], int] = {}
        self._of_node: dict[int, int] = {}
        self._below: dict[int, dict[int, float]] = {}
        self._given: dict[int, dict[int, float]] = {}
        waited: dict[int, float] = defaultdict(float)
        for span in spans:
            waited[span.node] += span.wall if span.state == WAITING else -span.wall
        self._blocking = {node for node, more in waited.items() if more > 0}
        for span in spans:
            if span.state == RUNNING and span.wall > 0:
                self._add(span)

    def _add(self, span: Span) -> None:
        activation = self._activation(span.node)
        while activation >= 0:
            below = self._below.setdefault(activation, {})
            below[span.node] = below.get(span.node, 0.0) + span.wall
            activation = self._callers[activation]

    def _activation(self, node: int) -> int:
        path: list[int] = []
        while node >= 0 and node not in self._of_node:
            path.append(node)
            node = self._tree.parents[node]
        activation = self._of_node[node] if node >= 0 else -1
        for below in reversed(path):
            key = activation, self._tree.places[below] >> OFFSET_BITS
            number = self._numbers.setdefault(key, len(self._callers))
            if number == len(self._callers):
                self._callers.append(activation)
            activation = self._of_node[below] = number
        return activation

    def next(self, node: int, seconds: float) -> int | None:
        """Return the place for `seconds` that were run near `node`; None if nothing was seen running.

        Whole spans are given to one place each, the one that is furthest behind its part, so that there are not
        more spans than needed; in the sum each has its part.
        """
        activation = self._activation(node)
        while activation >= 0 and activation not in self._below:
            activation = self._callers[activation]
        if activation < 0 or seconds <= 0:
            return None
        below = self._below[activation]
        # Not to a call that blocks, if there is anything else.
        below = {place: part for place, part in below.items() if place not in self._blocking} or below
        given = self._given.setdefault(activation, defaultdict(float))
        share = (sum(given.values()) + seconds) / sum(below.values())
        behind = max(below, key=lambda place: share * below[place] - given[place])
        given[behind] += seconds
        return behind
