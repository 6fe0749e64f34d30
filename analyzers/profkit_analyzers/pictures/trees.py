"""The call trees of operations: the same stacks summed, in memory that has a bound, to the same tree in any order.

A tree's entries are functions below functions, by module and qualified name, and below the last function of a stack
what its seconds are blamed on and the state they were spent in. Of too many entries those nearest to the root are kept,
and of those at one depth the first by a hash of their path: a set that each order of adding and merging leads to, since
an entry that is once too much always will be. What was spent in the others is left with the nearest caller kept.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from hashlib import blake2b
from heapq import nsmallest
from typing import NamedTuple

from profkit_analyzers.attribution.blame import Blame
from profkit_storage import Frame, Node, Profile, State
from profkit_storage.merging import LEFT_OUT, MergedProfile, Part, Source, Spent
from profkit_storage.profile import Status

MAX_ENTRIES = 100_000
"""Entries of all operations' trees together; half as many more are let in before they are pruned."""

_NANO = 1_000_000_000
_MICRO = 1_000_000
_MAX_KNOWN = 50_000
_STATES = tuple(State)

Stacks = Mapping[tuple[int, State, Blame], float]
"""The seconds of one profile by node, state and what they are blamed on."""


class Leaf(NamedTuple):
    """What seconds of a stack are: the state they were spent in, what they are blamed on."""

    state: State
    blame: Blame


_Label = str | Frame | Leaf
"""An operation's name, a function, or a leaf: what an entry is called below the one above it."""


class Cost(NamedTuple):
    """Seconds in the function at `node` in one state; `blame` is None for what was left out below it."""

    node: int
    state: State
    blame: Blame | None
    seconds: float


@dataclass(frozen=True, slots=True)
class CallTree:
    """The merged stacks of one operation. `nodes` are (parent, frame) with callers first, -1 for none."""

    frames: tuple[Frame, ...]
    nodes: tuple[tuple[int, int], ...]
    costs: tuple[Cost, ...]

    @property
    def seconds(self) -> float:
        """All its seconds."""
        return sum(cost.seconds for cost in self.costs)

    def by_blame(self) -> dict[Blame, CallTree]:
        """Return the part of the tree that is blamed on each; what was left out is in none of them."""
        costs: dict[Blame, list[Cost]] = {}
        for cost in self.costs:
            if cost.blame is not None:
                costs.setdefault(cost.blame, []).append(cost)
        return {blame: self._part(found) for blame, found in costs.items()}

    def _part(self, costs: list[Cost]) -> CallTree:
        needed: set[int] = set()
        for cost in costs:
            node = cost.node
            while node >= 0 and node not in needed:
                needed.add(node)
                node = self.nodes[node][0]
        kept = {-1: -1}
        nodes: list[tuple[int, int]] = []
        for node in sorted(needed):
            kept[node] = len(nodes)
            parent, frame = self.nodes[node]
            nodes.append((kept[parent], frame))
        return CallTree(
            self.frames, tuple(nodes), tuple(cost._replace(node=kept[cost.node]) for cost in costs)
        )

    def hottest(self) -> tuple[Frame, ...]:
        """Return the stack, from the root to the leaf, that has most seconds by itself."""
        spent: dict[int, float] = {}
        for cost in self.costs:
            spent[cost.node] = spent.get(cost.node, 0.0) + cost.seconds
        if not spent:
            return ()
        node = max(spent, key=lambda one: (spent[one], -one))
        found: list[Frame] = []
        while node >= 0:
            node, frame = self.nodes[node]
            found.append(self.frames[frame])
        return tuple(reversed(found))

    def merged(self, title: str, unobserved: float = 0.0) -> MergedProfile:
        """Return it as what the formats draw, of the operation `title`."""
        merged = MergedProfile()
        merged.count = 1
        merged.sources = [Source(title, "", Status.OK)]
        merged.frames = [*self.frames, LEFT_OUT]
        merged.nodes = [Node(parent, frame, 0) for parent, frame in self.nodes]
        below: dict[int, int] = {}
        for node, state, blame, seconds in self.costs:
            at = node
            if blame is None:
                at = below.setdefault(node, len(merged.nodes))
                if at == len(merged.nodes):
                    merged.nodes.append(Node(node, len(self.frames), 0))
            merged.parts.setdefault(Part(at, state, -1), Spent()).add(seconds, 0.0, 1.0)
        merged.source_of = [0] * len(merged.nodes)
        merged.unobserved = unobserved
        merged.wall = self.seconds + unobserved
        return merged


class TreeSums:
    """What becomes `CallTree`s: nanoseconds, times weight. Of more operations than entries the rest has no tree."""

    def __init__(self) -> None:
        self._places: dict[tuple[int, _Label], int] = {}
        self._depths: list[int] = []
        self._digests: list[bytes] = []
        self._spent: dict[int, int] = {}
        self._left_out: dict[tuple[int, State], int] = {}

    def add(self, profile: Profile, stacks: Stacks, weight: int) -> None:
        """Add a profile's stacks; `weight` is in millionths of an operation."""
        root = self._place(-1, profile.operation)
        places: dict[int, int] = {-1: root}
        for (node, state, blame), seconds in stacks.items():
            above = self._node(profile, node, places)
            at = self._place(above, Leaf(state, blame))
            self._spent[at] = self._spent.get(at, 0) + weight * round(seconds * _NANO) // _MICRO
        self._bound(MAX_ENTRIES * 3 // 2)

    def merge(self, other: TreeSums) -> None:
        """Add the other to this."""
        self._take(other, list(range(len(other._depths))), other._labels())
        self._bound(MAX_ENTRIES * 3 // 2)

    def trees(self) -> dict[str, CallTree]:
        """Return the tree of each operation, by its name."""
        self._bound(MAX_ENTRIES)
        made: dict[str, _Making] = {}
        where: dict[int, tuple[_Making, int]] = {}
        labels = self._labels()
        order = sorted(range(len(labels)), key=self._rank)
        for index in order:
            above, label = labels[index]
            if isinstance(label, str):
                where[index] = made.setdefault(label, _Making()), -1
                continue
            making, node = where[above]
            if isinstance(label, Leaf):
                making.costs.append(Cost(node, *label, self._spent.get(index, 0) / _NANO))
                where[index] = making, node
            else:
                where[index] = making, making.node(node, label)
        for index in order:
            for state in _STATES:
                spent = self._left_out.get((index, state))
                if spent:
                    making, node = where[index]
                    making.costs.append(Cost(node, state, None, spent / _NANO))
        return {name: making.tree() for name, making in sorted(made.items())}

    def _rank(self, index: int) -> tuple[int, bytes]:
        """Return what entries are kept by, the smallest first: the same in whatever order they came."""
        return self._depths[index], self._digests[index]

    def _node(self, profile: Profile, node: int, places: dict[int, int]) -> int:
        way: list[int] = []
        while node not in places:
            way.append(node)
            node = profile.nodes[node].parent
        at = places[node]
        for one in reversed(way):
            at = places[one] = self._place(at, _function(profile.frames[profile.nodes[one].frame]))
        return at

    def _place(self, above: int, label: _Label) -> int:
        key = (above, label)
        found = self._places.get(key)
        if found is None:
            found = self._places[key] = len(self._depths)
            self._depths.append(self._depths[above] + 1 if above >= 0 else 0)
            self._digests.append(_digest(self._digests[above] if above >= 0 else b"", label))
        return found

    def _labels(self) -> list[tuple[int, _Label]]:
        """Return what is above each entry, and its label."""
        return [*self._places]

    def _bound(self, most: int) -> None:
        """Leave at most `MAX_ENTRIES`, if there are more than `most`."""
        if len(self._depths) <= most:
            return
        kept = set(nsmallest(MAX_ENTRIES, range(len(self._depths)), key=self._rank))
        labels, pruned = self._labels(), TreeSums()
        nearest = [index if index in kept else -1 for index in range(len(labels))]
        for index, (above, _) in enumerate(labels):
            if nearest[index] < 0:
                nearest[index] = nearest[above] if above >= 0 else -1
        pruned._take(self, nearest, labels)
        self._places, self._depths, self._digests = pruned._places, pruned._depths, pruned._digests
        self._spent, self._left_out = pruned._spent, pruned._left_out

    def _take(self, other: TreeSums, nearest: list[int], labels: list[tuple[int, _Label]]) -> None:
        """Add those entries of the other that are their own `nearest`, and what the rest spent to their nearest."""
        places: dict[int, int] = {-1: -1}
        for index, (above, label) in enumerate(labels):
            if nearest[index] == index:
                places[index] = self._place(places[above], label)
        for index, spent in other._spent.items():
            at = places[nearest[index]]
            if nearest[index] == index:
                self._spent[at] = self._spent.get(at, 0) + spent
            else:
                label = labels[index][1]
                self._leave(at, label.state if isinstance(label, Leaf) else State.RUNNING, spent)
        for (index, state), spent in other._left_out.items():
            self._leave(places[nearest[index]], state, spent)

    def _leave(self, at: int, state: State, spent: int) -> None:
        self._left_out[at, state] = self._left_out.get((at, state), 0) + spent


class _Making:
    """A `CallTree` while it is made."""

    def __init__(self) -> None:
        self.costs: list[Cost] = []
        self._nodes: list[tuple[int, int]] = []
        self._frames: dict[Frame, int] = {}

    def node(self, above: int, frame: Frame) -> int:
        self._nodes.append((above, self._frames.setdefault(frame, len(self._frames))))
        return len(self._nodes) - 1

    def tree(self) -> CallTree:
        return CallTree(tuple(self._frames), tuple(self._nodes), tuple(self.costs))


@lru_cache(_MAX_KNOWN)
def _function(frame: Frame) -> Frame:
    """Return what a function is known by: without its line, and its file only where there is no module."""
    return frame._replace(filename="" if frame.module else frame.filename, first_line=0)


@lru_cache(_MAX_KNOWN)
def _written(label: _Label) -> bytes:
    return repr(label).encode("utf-8", "backslashreplace")


def _digest(above: bytes, label: _Label) -> bytes:
    return blake2b(above + _written(label), digest_size=8).digest()
