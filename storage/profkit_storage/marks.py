"""Where in a profile's stacks its child operations ran, as far as names and times tell.

A child that is named like a function is that function. Of any other, its time tells: what all the samples in it have
in common, up to the innermost function of the application. Where tasks or threads went on side by side, it ran in one
that was there all of its time, and is found if all such say the same. Inferred samples are in no order, so they say
nothing.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import accumulate, takewhile
from typing import NamedTuple

from profkit_storage.functions import function_name
from profkit_storage.profile import ChildOperation, Origin, Profile, Sample

_LOOKED_AT = 32
"""Samples of one child; more of them say nothing new."""
_SLACK = 0.005
"""Seconds by which a child may outlast the task it ran in: they are clocked by different hands."""


class Mark(NamedTuple):
    """One child operation; `node` is the index of the innermost place that is known to hold it, -1 if none is."""

    node: int
    name: str
    category: str
    seconds: float


def marks_of(profile: Profile) -> Iterator[Mark]:
    """Yield a mark for each of the profile's children."""
    if not profile.children:
        return
    finder = _Finder(profile)
    for child in profile.children:
        yield Mark(finder.place(child), child.name, child.category, max(0.0, child.end - child.start))


class _Finder:
    """Finds the place of one child after the other."""

    def __init__(self, profile: Profile) -> None:
        self._profile = profile
        walls = [sample.wall for sample in profile.samples]
        sampled = sum(walls)
        # What was not observed may be anywhere, so it is spread evenly.
        stretch = profile.wall / sampled if sampled > 0 and profile.wall > 0 else 1.0
        self._ends = list(accumulate(wall * stretch for wall in walls))
        self._middles = [end - wall * stretch / 2 for end, wall in zip(self._ends, walls, strict=True)]
        self._names = [frozenset({frame.qualname, function_name(frame)}) for frame in profile.frames]
        self._every_name = frozenset[str]().union(*self._names)

    def place(self, child: ChildOperation) -> int:
        """Return the node that holds `child`, or -1."""
        samples = self._during(child)
        if child.name in self._every_name:
            named = Counter(self._named(sample.node, child.name) for sample in samples)
            named.pop(-1, None)
            if named:
                return min(named, key=lambda node: (-named[node], node))
        if not self._mostly(samples, child):
            return -1
        strands: dict[int, list[Sample]] = {}
        for sample in samples:
            if self._lasts(sample.branch, child):
                strands.setdefault(sample.branch, []).append(sample)
        found = [self._application(self._common(strand)) for strand in strands.values()]
        places = {self._functions(node) for node in found}
        return found[0] if len(places) == 1 else -1

    def _lasts(self, branch: int, child: ChildOperation) -> bool:
        """Tell whether a branch (-1: the operation itself) was there all the child's time."""
        if branch < 0:
            return True
        started, ended = self._profile.branches[branch][2:]
        return started - _SLACK <= child.start and child.end <= ended + _SLACK

    def _during(self, child: ChildOperation) -> Sequence[Sample]:
        """Return samples that are mostly in the child's time, evenly chosen; if none is, the one it is mostly in."""
        samples = self._profile.samples
        first, last = bisect_left(self._middles, child.start), bisect_right(self._middles, child.end)
        if first >= last:
            first = bisect_right(self._ends, (child.start + child.end) / 2)
            last = first + 1
        seen = [sample for sample in samples[first:last] if not sample.inferred]
        return seen[:: max(1, len(seen) // _LOOKED_AT)]

    def _mostly(self, samples: Sequence[Sample], child: ChildOperation) -> bool:
        """Tell whether a child is more than half of the one sample it is in."""
        return len(samples) > 1 or any(child.end - child.start > sample.wall / 2 for sample in samples)

    def _named(self, node: int, name: str) -> int:
        while node >= 0:
            if name in self._names[self._profile.nodes[node].frame]:
                return node
            node = self._profile.nodes[node].parent
        return -1

    def _common(self, samples: Sequence[Sample]) -> int:
        """Return the innermost function that all the stacks are in, whatever its lines; -1 for none."""
        nodes = self._profile.nodes
        first, *others = (self._path(node) for node in {sample.node for sample in samples})
        depth = len(first)
        for path in others:
            pairs = zip(first[:depth], path, strict=False)
            depth = sum(
                1 for _ in takewhile(lambda pair: nodes[pair[0]].frame == nodes[pair[1]].frame, pairs)
            )
        return first[depth - 1] if depth else -1

    def _functions(self, node: int) -> tuple[int, ...]:
        return tuple(self._profile.nodes[one].frame for one in self._path(node))

    def _path(self, node: int) -> list[int]:
        path: list[int] = []
        while node >= 0:
            path.append(node)
            node = self._profile.nodes[node].parent
        return path[::-1]

    def _application(self, node: int) -> int:
        while node >= 0:
            parent, frame, _ = self._profile.nodes[node]
            if self._profile.frames[frame].origin is Origin.APPLICATION:
                return node
            node = parent
        return -1
