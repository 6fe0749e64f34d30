"""Where in a profile's stacks its child operations ran, as far as names and times tell.

A child that is named like a function is that function. Of any other, its time tells: what all the samples in it have in
common, up to the innermost function of the application. Where several stacks went on side by side time tells nothing.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import accumulate
from typing import NamedTuple

from profkit_storage.profile import ChildOperation, Frame, Origin, Profile, Sample

_LOOKED_AT = 32
"""Samples of one child; more of them say nothing new."""


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
        self._names = [frozenset({frame.qualname, _dotted(frame)}) for frame in profile.frames]
        self._depths: list[int] = []
        for node in profile.nodes:
            self._depths.append(self._depths[node.parent] + 1 if node.parent >= 0 else 0)

    def place(self, child: ChildOperation) -> int:
        """Return the node that holds `child`, or -1."""
        samples = self._during(child)
        named = Counter(self._named(sample.node, child.name) for sample in samples)
        named.pop(-1, None)
        if named:
            return min(named, key=lambda node: (-named[node], node))
        if not samples or len({sample.branch for sample in samples}) > 1 or not self._mostly(samples, child):
            return -1
        return self._application(self._common(samples))

    def _during(self, child: ChildOperation) -> Sequence[Sample]:
        """Return samples that are mostly in the child's time, evenly chosen; if none is, the one it is mostly in."""
        samples = self._profile.samples
        first, last = bisect_left(self._middles, child.start), bisect_right(self._middles, child.end)
        if first < last:
            return samples[first : last : max(1, (last - first) // _LOOKED_AT)]
        around = bisect_right(self._ends, (child.start + child.end) / 2)
        return samples[around : around + 1]

    def _mostly(self, samples: Sequence[Sample], child: ChildOperation) -> bool:
        """Tell whether a child is more than half of the one sample it is in."""
        return len(samples) > 1 or child.end - child.start > samples[0].wall / 2

    def _named(self, node: int, name: str) -> int:
        while node >= 0:
            if name in self._names[self._profile.nodes[node].frame]:
                return node
            node = self._profile.nodes[node].parent
        return -1

    def _common(self, samples: Sequence[Sample]) -> int:
        nodes, common = self._profile.nodes, samples[0].node
        for node in {sample.node for sample in samples}:
            other = node
            while common != other and common >= 0 and other >= 0:
                if self._depths[common] >= self._depths[other]:
                    common = nodes[common].parent
                else:
                    other = nodes[other].parent
            if common != other:
                return -1
        return common

    def _application(self, node: int) -> int:
        while node >= 0:
            parent, frame, _ = self._profile.nodes[node]
            if self._profile.frames[frame].origin is Origin.APPLICATION:
                return node
            node = parent
        return -1


def _dotted(frame: Frame) -> str:
    return f"{frame.module}.{frame.qualname}" if frame.module else frame.qualname
