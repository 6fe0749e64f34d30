"""Which child operation a sample ran in.

A child's function cannot be told from the stack by its name alone, since names are free. Its time can: samples are in
time order, so the seconds before a sample say when it was. A child holds a sample if it, or several of its name one
after the other, cover more than half of the sample. While tasks or threads ran side by side time alone says nothing:
then a child has to have started them, or to be named like a function in the stack, or it is not taken.
"""

from __future__ import annotations

from profkit_analyzers.attribution.blame import function_name
from profkit_storage import ChildOperation, Profile, Sample

_Group = tuple[str, str]
_MAX_DEPTH = 1000
"""Of operations inside each other; parents that form a ring in a damaged profile end here."""


class ChildSpans:
    """The categorised child operations of a profile. Ask `during` for samples in time order only."""

    def __init__(self, profile: Profile) -> None:
        self._profile = profile
        self._children = profile.children
        self._branches = profile.branches
        self._names: dict[int, frozenset[str]] = {}
        chosen = [index for index, child in enumerate(profile.children) if child.category]
        self._waiting = sorted(chosen, key=lambda index: profile.children[index].start, reverse=True)
        self._active: list[int] = []

    def during(self, sample: Sample, start: float, end: float) -> list[ChildOperation]:
        """Return the children that hold a sample of [start, end] seconds, innermost first."""
        children = self._children
        while self._waiting and children[self._waiting[-1]].start < end:
            self._active.append(self._waiting.pop())
        if not self._active:
            return []
        self._active = [index for index in self._active if children[index].end > start]
        if len(self._active) == 1 and not self._branches:  # as mostly: nothing to tell apart
            child = children[self._active[0]]
            overlap = min(end, child.end) - max(start, child.start)
            return [child] if overlap > max(0.0, (end - start) / 2) else []
        groups = self._covering(start, end)
        plausible = [group for group in groups if self._plausible(group, sample, start, end)]
        plausible.sort(key=lambda group: len(self._ancestors(group[0])), reverse=True)
        if not plausible:
            return []
        line = {plausible[0][0], *self._ancestors(plausible[0][0])}
        if any(not line.intersection(group) for group in plausible):
            plausible = [group for group in plausible if self._named(group, sample)]
        return [children[group[0]] for group in plausible]

    def _covering(self, start: float, end: float) -> list[list[int]]:
        covered: dict[_Group, tuple[float, list[int]]] = {}
        for index in self._active:
            child = self._children[index]
            overlap = min(end, child.end) - max(start, child.start)
            if overlap <= 0:
                continue
            seconds, members = covered.get((child.name, child.category), (0.0, []))
            covered[child.name, child.category] = seconds + overlap, [*members, index]
        half = (end - start) / 2
        return [members for seconds, members in covered.values() if seconds > half]

    def _ancestors(self, index: int) -> list[int]:
        found: list[int] = []
        while (index := self._children[index].parent) >= 0 and len(found) < _MAX_DEPTH:
            found.append(index)
        return found

    def _plausible(self, group: list[int], sample: Sample, start: float, end: float) -> bool:
        if sample.branch >= 0:
            beside = [self._branches[sample.branch]]
        else:
            beside = [branch for branch in self._branches if branch.start < end and branch.end > start]
        if not beside:
            return True
        child = self._children[group[0]]
        started_them = all(child.start <= branch.start and branch.end <= child.end for branch in beside)
        return started_them or self._named(group, sample)

    def _named(self, group: list[int], sample: Sample) -> bool:
        return self._children[group[0]].name in self._names_in(sample.node)

    def _names_in(self, node: int) -> frozenset[str]:
        """Return the names of the functions in a stack, with and without their modules."""
        found = self._names.get(node)
        if found is None:
            frames = [frame for frame, _ in self._profile.stack(node)]
            names = {frame.qualname for frame in frames} | {function_name(frame) for frame in frames}
            found = self._names[node] = frozenset(names)
        return found
