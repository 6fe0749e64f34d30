"""Many profiles as one: the same stacks summed, one profile after the other, in memory that has a bound.

`MergedProfile` keeps no order of time and no branch; what it keeps of a stack are its seconds by state, by what held
the event loop, and by the operation it belongs to.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple, Self, TypeVar

from profkit_storage.marks import marks_of
from profkit_storage.profile import Frame, Node, Origin, Profile, State, Status

_T = TypeVar("_T")

MAX_NODES = 200_000
"""Places in the tree. What goes beyond is summed under `LEFT_OUT`, of which each place has one at the most."""
MAX_SOURCES = 1_000
MAX_MARKS = 10_000
_MAX_PARTS = 2 * MAX_NODES

LEFT_OUT = Frame("[left out: too many stacks]", "", 0, "", "", Origin.SYNTHETIC)


class Source(NamedTuple):
    """What a stack is of; `OTHERS` stands for those there was no room for."""

    operation: str
    category: str
    status: Status


OTHERS = Source("[others]", "", Status.OK)


class Part(NamedTuple):
    """A stack's share in one state: indices into `MergedProfile.nodes` and, for `holder`, `frames` (-1: nothing)."""

    node: int
    state: State
    holder: int


class Child(NamedTuple):
    """Child operations of one name and category that ran in the function at `node` (-1: not known where)."""

    node: int
    name: str
    category: str


@dataclass(slots=True)
class Spent:
    """Seconds of wall and CPU time, and the number of samples or calls they were spent in (a fraction, by weights)."""

    wall: float = 0.0
    cpu: float = 0.0
    count: float = 0.0

    def add(self, wall: float, cpu: float, count: float) -> None:
        """Add to it."""
        self.wall += wall
        self.cpu += cpu
        self.count += count


def weight_of(profile: Profile) -> float:
    """Return how many operations a profile stands for in a merge: its weight; one that has none stands for itself."""
    return profile.weight if profile.weight > 0 else 1.0


class MergedProfile:
    """The sum of the profiles added so far.

    `frames` and `nodes` are as in a `Profile`; `sources[source_of[node]]` is what the node belongs to. `parts` and
    `children` hold the seconds. `wall`, `cpu` and `unobserved` are the sums over all profiles, each times its weight;
    `count` is how many were added, `weight` how many operations they stand for. `since` and `until` are nanoseconds
    since the epoch, 0 before the first profile. `request_id` is that of all of them, "" if they differ.
    """

    def __init__(self, max_nodes: int = MAX_NODES) -> None:
        self.frames: list[Frame] = []
        self.nodes: list[Node] = []
        self.sources: list[Source] = []
        self.source_of: list[int] = []
        self.parts: dict[Part, Spent] = {}
        self.children: dict[Child, Spent] = {}
        self.wall = self.cpu = self.unobserved = self.weight = self.interval = 0.0
        self.count = self.ticks = self.since = self.until = 0
        self.request_id = ""
        self._max_nodes = max_nodes
        self._frames: dict[Frame, int] = {}
        self._nodes: dict[Node, int] = {}
        self._sources: dict[Source, int] = {}

    @classmethod
    def of(cls, profile: Profile) -> Self:
        """Return one profile as a sum, without its weight."""
        merged = cls()
        merged.add(profile)
        return merged

    @property
    def title(self) -> str:
        """What it is of: `agent.route`, or `12 profiles of agent.route and 2 other operations`."""
        names = list(dict.fromkeys(source.operation for source in self.sources))
        if self.count == 1:
            return names[0]
        others = len(names) - 1
        more = f" and {others} other operation{'s' if others > 1 else ''}" if others > 0 else ""
        return f"{self.count:,} profiles of {names[0]}{more}" if names else "no profile"

    def add(self, profile: Profile, weight: float = 1.0) -> None:
        """Add a profile's seconds, each times `weight`."""
        self._add_facts(profile, weight)
        source = self._source(Source(profile.operation, profile.category, profile.status))
        frames = [self._frame(frame) for frame in profile.frames]
        places: list[int] = []
        for parent, frame, line in profile.nodes:
            # A root's parent tells its source: stacks of two operations never share a node.
            above = places[parent] if parent >= 0 else -1 - source
            places.append(self._node(above, frames[frame], line, source))
        for sample in profile.samples:
            holder = frames[sample.holder] if sample.holder >= 0 else -1
            spent = self._part(places[sample.node], sample.state, holder)
            spent.add(sample.wall * weight, sample.cpu * weight, weight)
        for mark in marks_of(profile):
            node = places[mark.node] if mark.node >= 0 else -1
            self._add_child(Child(node, mark.name, mark.category), mark.seconds * weight, weight)

    def stack(self, node: int) -> Iterator[tuple[Frame, int]]:
        """Yield (frame, line) from the leaf `node` up to its root."""
        while node >= 0:
            parent, frame, line = self.nodes[node]
            yield self.frames[frame], line
            node = parent

    def totals(self) -> list[float]:
        """Return each node's wall seconds with all that is below it."""
        totals = [0.0] * len(self.nodes)
        for part, spent in self.parts.items():
            totals[part.node] += spent.wall
        for index in range(len(self.nodes) - 1, -1, -1):
            parent = self.nodes[index].parent
            if parent >= 0:
                totals[parent] += totals[index]
        return totals

    def depth_first(self) -> Iterator[int]:
        """Yield the nodes' indices, callers before what they call, of neighbours the one with most seconds first."""
        totals = self.totals()
        below: list[list[int]] = [[] for _ in self.nodes]
        waiting: list[int] = []
        for index, node in enumerate(self.nodes):
            (below[node.parent] if node.parent >= 0 else waiting).append(index)
        waiting.sort(key=totals.__getitem__)
        while waiting:
            index = waiting.pop()
            yield index
            waiting += sorted(below[index], key=totals.__getitem__)

    def in_order(self) -> Iterator[tuple[Part, Spent]]:
        """Yield the parts in the order of `depth_first`."""
        of_node: dict[int, list[tuple[Part, Spent]]] = {}
        for part, spent in self.parts.items():
            of_node.setdefault(part.node, []).append((part, spent))
        for node in self.depth_first():
            yield from of_node.get(node, ())

    def _add_facts(self, profile: Profile, weight: float) -> None:
        if self.count == 0:
            self.since, self.request_id = profile.start_ns, profile.request_id
        elif profile.request_id != self.request_id:
            self.request_id = ""
        self.since = min(self.since, profile.start_ns)
        self.until = max(self.until, profile.start_ns + round(profile.wall * 1e9))
        self.count += 1
        self.weight += weight
        self.wall += profile.wall * weight
        self.cpu += (profile.cpu or 0.0) * weight
        self.unobserved += profile.sampling.unobserved * weight
        self.ticks += profile.sampling.ticks
        self.interval = max(self.interval, profile.sampling.interval)

    def _source(self, source: Source) -> int:
        if source not in self._sources and len(self.sources) >= MAX_SOURCES:
            source = OTHERS
        return _placed(source, self._sources, self.sources)

    def _frame(self, frame: Frame) -> int:
        # Frames are no more than nodes: one that no node has room for is not kept.
        if frame not in self._frames and len(self.frames) >= self._max_nodes:
            frame = LEFT_OUT
        return _placed(frame, self._frames, self.frames)

    def _node(self, above: int, frame: int, line: int, source: int) -> int:
        key = Node(above, frame, line)
        if key not in self._nodes and len(self.nodes) >= self._max_nodes:
            if above >= 0 and self.frames[self.nodes[above].frame] is LEFT_OUT:
                return above
            key = Node(above, _placed(LEFT_OUT, self._frames, self.frames), 0)
        found = self._nodes.get(key)
        if found is None:
            found = self._nodes[key] = len(self.nodes)
            self.nodes.append(key if above >= -1 else key._replace(parent=-1))
            self.source_of.append(source)
        return found

    def _part(self, node: int, state: State, holder: int) -> Spent:
        part = Part(node, state, holder)
        if part not in self.parts and len(self.parts) >= _MAX_PARTS:
            part = Part(node, state, -1)
        return self.parts.setdefault(part, Spent())

    def _add_child(self, child: Child, seconds: float, weight: float) -> None:
        if child not in self.children and len(self.children) >= MAX_MARKS:
            child = Child(-1, OTHERS.operation, "")
        self.children.setdefault(child, Spent()).add(seconds, 0.0, weight)


def _placed(item: _T, known: dict[_T, int], items: list[_T]) -> int:
    """Return the index of `item` in `items`, where it is put if it is not there."""
    index = known.get(item)
    if index is None:
        index = known[item] = len(items)
        items.append(item)
    return index
