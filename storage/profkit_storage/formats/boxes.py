"""The tree that a flame graph draws: one box for each function below the same functions, with its category.

Lines, versions and deploy paths do not split a box: a function is its module and qualified name.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from heapq import nlargest
from typing import NamedTuple

from profkit_storage.categories import CategoryTable, Kind
from profkit_storage.functions import function_name
from profkit_storage.merging import MergedProfile, Spent
from profkit_storage.profile import Frame, Origin, State

CATEGORIES = "db", "llm", "agent", "serialization", "http", "runtime", "own", "library", "unknown"
"""What a box can be of. `own` is the application's code; `runtime` is time that the event loop or the collector had."""

UNOBSERVED = "not observed"
"""Stands beside the states, for the seconds that no sample accounts for."""

RUNTIME_STATES: frozenset[str] = frozenset({State.STARVED, State.HELD, State.GC})
MAX_BOXES = 20_000
SMALLER = "[smaller ones]"
_SHOWN_MARKS = 20
_NOTHING = 1e-6
_AWAIT = Frame("[await]", "", 0, "", "", Origin.SYNTHETIC)


class Mark(NamedTuple):
    """Child operations of one name that ran in a box: how many (weighted) and their seconds."""

    name: str
    category: str
    calls: float
    seconds: float


@dataclass(slots=True)
class Box:
    """One box. `parent` is an index into the list it is in, always smaller than its own; -1 for the first.

    `seconds` are its own and those of all boxes below it; `own` are its own by state (or `UNOBSERVED`); `held_by` are
    those in which another function had the event loop, by its name. `line` is where most of the seconds were spent.
    `count` is how many boxes it stands for: one, but for the box of smaller ones.
    """

    parent: int
    frame: Frame
    category: str
    seconds: float = 0.0
    own: dict[str, float] = field(default_factory=dict[str, float])
    held_by: dict[str, float] = field(default_factory=dict[str, float])
    line: int = 0
    marks: tuple[Mark, ...] = ()
    count: int = 1


def boxes_of(merged: MergedProfile, table: CategoryTable, limit: int | None = None) -> list[Box]:
    """Return the tree of a merge, callers before what they call, of neighbours the one with most seconds first.

    The first box stands for all of it. What was not observed is a box of its own below that one. Of more than
    `limit` (`MAX_BOXES`) the largest are kept, and the others below each of them are one box.
    """
    return _sorted(_largest(_Folded(merged, table).boxes, MAX_BOXES if limit is None else limit))


def spent_by_category(boxes: Sequence[Box]) -> dict[str, float]:
    """Return the boxes' own seconds by category, those in a state of the runtime under `runtime`."""
    found: dict[str, float] = dict.fromkeys(CATEGORIES, 0.0)
    for box in boxes:
        for state, seconds in box.own.items():
            found["runtime" if state in RUNTIME_STATES else box.category] += seconds
    return found


def spent_by_state(boxes: Sequence[Box]) -> dict[str, float]:
    """Return the boxes' own seconds by state."""
    found: dict[str, float] = dict.fromkeys((*State, UNOBSERVED), 0.0)
    for box in boxes:
        for state, seconds in box.own.items():
            found[state] += seconds
    return found


class _Folded:
    """Folds a merge's nodes, one after the other; `boxes` is in the order they were met."""

    def __init__(self, merged: MergedProfile, table: CategoryTable) -> None:
        self._merged = merged
        numbers: dict[tuple[str, str, str], int] = {}
        self._identities = [
            numbers.setdefault((function_name(frame), frame.origin, _place(frame)), len(numbers))
            for frame in merged.frames
        ]
        self._shades = _Shades(merged.frames, table)
        self._known: dict[tuple[int, int], int] = {}
        self._of_box = [_Shade("own")]
        self.boxes = [Box(-1, _made_up(merged.title), "own")]
        places: list[int] = []
        for parent, frame, _ in merged.nodes:
            places.append(self._box(places[parent] if parent >= 0 else 0, frame))
        self._add_totals(places)
        self._add_own(places)
        self._add_marks(places)
        if merged.unobserved > _NOTHING:
            seconds = merged.unobserved
            self.boxes.append(Box(0, _made_up(f"[{UNOBSERVED}]"), "unknown", seconds, {UNOBSERVED: seconds}))

    def _box(self, above: int, frame: int) -> int:
        key = (above, self._identities[frame])
        known = self._known.get(key)
        if known is None:
            known = self._known[key] = len(self.boxes)
            shade = self._shades.below(self._of_box[above], frame)
            self._of_box.append(shade)
            self.boxes.append(Box(above, self._merged.frames[frame], shade.category))
        return known

    def _add_totals(self, places: Sequence[int]) -> None:
        lines: dict[tuple[int, int], float] = {}
        for box, node, seconds in zip(places, self._merged.nodes, self._merged.totals(), strict=True):
            self.boxes[box].seconds += seconds
            lines[box, node.line] = lines.get((box, node.line), 0.0) + seconds
            if node.parent < 0:
                self.boxes[0].seconds += seconds
        for box, line in sorted(lines, key=lines.__getitem__):  # the last one has most
            self.boxes[box].line = line
        self.boxes[0].seconds += self._merged.unobserved

    def _add_own(self, places: Sequence[int]) -> None:
        for part, spent in self._merged.parts.items():
            box = self.boxes[places[part.node]]
            box.own[part.state] = box.own.get(part.state, 0.0) + spent.wall
            if part.holder >= 0:
                name = function_name(self._merged.frames[part.holder])
                box.held_by[name] = box.held_by.get(name, 0.0) + spent.wall

    def _add_marks(self, places: Sequence[int]) -> None:
        found: dict[tuple[int, str, str], Spent] = {}
        for child, spent in self._merged.children.items():
            if child.node >= 0:
                key = (places[child.node], child.name, child.category)
                found.setdefault(key, Spent()).add(spent.wall, 0.0, spent.count)
        for (box, name, category), spent in sorted(found.items(), key=lambda item: -item[1].wall):
            if len(self.boxes[box].marks) < _SHOWN_MARKS:
                self.boxes[box].marks += (Mark(name, category, spent.count, spent.wall),)


class _Shade(NamedTuple):
    """What a box is of, and the `owner` that what it calls falls to: the nearest library's, "" below own code."""

    category: str
    owner: str = ""


class _Shades:
    """Tells what a box is of, from its frame and the box above it."""

    def __init__(self, frames: Sequence[Frame], table: CategoryTable) -> None:
        self._frames = frames
        self._matches = [table.match(frame) for frame in frames]
        self._met: dict[_Shade, _Shade] = {}

    def below(self, above: _Shade, index: int) -> _Shade:
        """Return what a box is of; the same object wherever it is the same, since there are few and many boxes."""
        shade = self._below(above, index)
        return self._met.setdefault(shade, shade)

    def _below(self, above: _Shade, index: int) -> _Shade:
        frame, match = self._frames[index], self._matches[index]
        if frame.origin is Origin.APPLICATION:
            return _Shade("own")
        if match is not None and match.category.kind is Kind.OWNER:
            reported = match.category.reported
            category = reported if reported in CATEGORIES else "library"
            return _Shade(category, category)
        if match is not None and match.category.kind is Kind.TRANSPORT:
            return _Shade(above.owner or "http", above.owner or "http")
        if frame == _AWAIT:
            return above
        if above.owner:
            return _Shade(above.owner, above.owner)
        known = frame.module or frame.filename or frame.distribution
        return _Shade("library" if known else "unknown")


def _place(frame: Frame) -> str:
    """Return what tells functions of one name apart that are in no known module."""
    return "" if frame.module else frame.filename


def _made_up(name: str) -> Frame:
    return Frame(name, "", 0, "", "", Origin.SYNTHETIC)


def _largest(boxes: list[Box], limit: int) -> list[Box]:
    if len(boxes) <= limit:
        return boxes
    # Of boxes of one size those met first: a box is never kept without its parent.
    kept = set(nlargest(limit, range(len(boxes)), key=lambda index: (boxes[index].seconds, -index)))
    found: list[Box] = []
    places: list[int] = []
    smaller: dict[int, int] = {}
    for index, box in enumerate(boxes):
        above = places[box.parent] if index else -1
        if index in kept:
            box.parent = above
            places.append(len(found))
            found.append(box)
            continue
        if box.parent in kept:
            if above not in smaller:
                smaller[above] = len(found)
                found.append(Box(above, _made_up(SMALLER), "unknown", count=0))
            above = smaller[above]
            found[above].seconds += box.seconds
        places.append(above)
        found[above].count += 1
        _add_up(found[above].own, box.own)
        _add_up(found[above].held_by, box.held_by)
    return found


def _add_up(into: dict[str, float], seconds: Mapping[str, float]) -> None:
    for key, value in seconds.items():
        into[key] = into.get(key, 0.0) + value


def _sorted(boxes: Sequence[Box]) -> list[Box]:
    below: dict[int, list[int]] = {}
    for index, box in enumerate(boxes[1:], start=1):
        below.setdefault(box.parent, []).append(index)
    found: list[Box] = []
    waiting = [(0, -1)]
    while waiting:
        index, parent = waiting.pop()
        boxes[index].parent = parent
        waiting += [
            (one, len(found)) for one in sorted(below.get(index, ()), key=lambda one: boxes[one].seconds)
        ]
        found.append(boxes[index])
    return found
