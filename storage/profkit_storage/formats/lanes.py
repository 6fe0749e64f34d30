"""When child operations and branches ran: those of one name below the same one are a lane, and a lane is a row."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from heapq import nlargest
from typing import NamedTuple

from profkit_storage.profile import Profile

MAX_ROWS = 40
_LEAST_BRANCHES = 12
"""Rows of a timeline, and how many of them the branches have where there are more operations than rows."""


class Span(NamedTuple):
    """One operation or branch: its name and category, and when it ran, in seconds since the profile's start."""

    name: str
    category: str
    start: float
    end: float
    parent: int


@dataclass(slots=True)
class Lane:
    """Operations of one name, or branches, in the order they are held in. `parent` is an index, -1 for none.

    `seconds` is the sum of what each took, `depth` how many lanes that are shown it is below.
    """

    name: str
    category: str
    parent: int
    spans: list[tuple[float, float]] = field(default_factory=list[tuple[float, float]])
    seconds: float = 0.0
    depth: int = 0

    @property
    def start(self) -> float:
        """When the first began."""
        return min(start for start, _ in self.spans)

    @property
    def end(self) -> float:
        """When the last ended."""
        return max(end for _, end in self.spans)


class Shown(NamedTuple):
    """The lanes there is room for, callers before what they call, and what is left out: lanes, spans, seconds."""

    lanes: list[Lane]
    left_out: int = 0
    spans: int = 0
    seconds: float = 0.0


def lanes_of(profile: Profile) -> tuple[Shown, Shown]:
    """Return the lanes of child operations, and those of tasks and threads: at most `MAX_ROWS` in all."""
    operations = _lanes(
        [Span(one.name, one.category, one.start, one.end, one.parent) for one in profile.children]
    )
    branches = _lanes([Span(one.name, "", one.start, one.end, one.parent) for one in profile.branches])
    room = MAX_ROWS - min(len(branches), max(_LEAST_BRANCHES, MAX_ROWS - len(operations)))
    return _shown(operations, room), _shown(branches, MAX_ROWS - min(room, len(operations)))


def _lanes(spans: Sequence[Span]) -> list[Lane]:
    lanes: list[Lane] = []
    known: dict[tuple[int, str, str], int] = {}
    of_span: dict[int, int] = {}
    for index in range(len(spans)):
        way: list[int] = []
        at = index
        while at >= 0 and at not in of_span:
            way.append(at)
            at = spans[at].parent
        above = of_span[at] if at >= 0 else -1
        for one in reversed(way):
            span = spans[one]
            place = known.setdefault((above, span.name, span.category), len(lanes))
            if place == len(lanes):
                lanes.append(Lane(span.name, span.category, above))
            lanes[place].spans.append((span.start, max(span.start, span.end)))
            lanes[place].seconds += max(0.0, span.end - span.start)
            above = of_span[one] = place
    return lanes


def _shown(lanes: list[Lane], room: int) -> Shown:
    # Of lanes of one length those met first: a caller is met before what it calls.
    kept = set(nlargest(room, range(len(lanes)), key=lambda index: (lanes[index].seconds, -index)))
    below: dict[int, list[int]] = {}
    for index in sorted(kept):
        above = lanes[index].parent
        while above >= 0 and above not in kept:
            above = lanes[above].parent
        below.setdefault(above, []).append(index)
        lanes[index].depth = lanes[above].depth + 1 if above >= 0 else 0
    rest = [lane for index, lane in enumerate(lanes) if index not in kept]
    return Shown(
        [lanes[index] for index in _in_order(lanes, below)],
        len(rest),
        sum(len(lane.spans) for lane in rest),
        sum(lane.seconds for lane in rest),
    )


def _in_order(lanes: Sequence[Lane], below: dict[int, list[int]]) -> Iterator[int]:
    waiting = sorted(below.get(-1, ()), key=lambda index: -lanes[index].start)
    while waiting:
        index = waiting.pop()
        yield index
        waiting += sorted(below.get(index, ()), key=lambda one: -lanes[one].start)
