"""What keeps objects of a type alive: the shortest way to each from a root, searched forwards through the heap.

Forwards, since an object can be asked what it refers to without looking at any other. To ask for referrers, or for all
objects, stops the process for as long as the heap is large, and hands out tuples that are only being built. What
cannot be reached (garbage that waits for collection, objects that only C code holds) is not found.
"""

from __future__ import annotations

import gc
import threading
import time
from array import array
from collections import Counter, deque
from typing import Any, Literal, NamedTuple

from profkit.debug.memory.references import comes_in_parts, is_large, references
from profkit.debug.memory.roots import Root, RootKind, roots
from profkit.debug.memory.typenames import kind_of, type_name

Ended = Literal["all", "time", "size", "caller left"]
_MOST_STEPS = 40
"""Beyond so many, ways are told apart by the last type only: those through a linked list differ in length alone."""

_DEEP = 0
_MOST_KINDS = 1 << 24
_SHARDS = 512
_LARGE = 10_000
_TURN = 0.003
_PAUSE = 0.001
_TYPE: Any = type.__dict__
_MRO, _NAMESPACE = _TYPE["__mro__"], _TYPE["__dict__"]


class Way(NamedTuple):
    """Ways through the same types from the same root: how many objects are at their ends, and one of them.

    `ids` and `types` are of the objects on it, from the one that the root holds to the one at the end.
    """

    objects: int
    root: RootKind
    root_type: str
    root_name: str
    ids: list[int]
    types: list[str]


class Found(NamedTuple):
    """Ways, those to most objects first; how many objects of the type, and of all types, were seen; how it ended.

    `stall` is the longest time for which one step kept the interpreter to itself.
    """

    ways: list[Way]
    ways_left_out: int
    found: int
    looked_at: int
    ended: Ended
    stall: float


class _Kind(NamedTuple):
    """A type that was met. `urgent`: its objects have finalizers, and are not held while they wait for their turn.

    `in_parts`: what they refer to can be asked for bit by bit.
    """

    kind: type
    name: str
    number: int
    wanted: bool
    urgent: bool
    in_parts: bool


class Search:
    """One search for the objects whose type has a `name`, through at most `most` objects and for at most `seconds`.

    An object is a node once it is met: of each node the arrays have the parent (below zero for a root), the id, the
    type and the shape of the way to it. A shape is a parent's shape and a type. Nothing is held but what waits.
    """

    def __init__(self, name: str, *, seconds: float, most: int, stop: threading.Event) -> None:
        self._name = name
        self._most = most
        self._stop = stop
        self._deadline = time.monotonic() + seconds
        self._waiting: deque[object] = deque()
        self._numbers: deque[int] = deque()
        self._urgent: list[tuple[object, int]] = []
        # Many small sets: while a large one grows, nothing else runs.
        self._seen: list[set[int]] = [set() for _ in range(_SHARDS)]
        self._parents, self._ids, self._kinds, self._shapes = array("q"), array("Q"), array("I"), array("I")
        self._met: dict[int, _Kind] = {}
        self._known_kinds: list[_Kind] = []
        self._steps = [_MOST_STEPS]
        self._known_shapes: dict[int, int] = {}
        self._roots: list[tuple[RootKind, str, str]] = []
        self._counts: Counter[int] = Counter()
        self._examples: dict[int, tuple[int, int, int]] = {}
        self._stall = 0.0

    def run(self, count: int) -> Found:
        """Search; return the `count` ways that lead to most objects."""
        try:
            for root in roots():
                self._begin(root)
                del root
            ended = self._walk()
            ways = [self._way(shape, objects) for shape, objects in self._counts.most_common(count)]
        finally:
            self._let_go()
        found = self._counts.total()
        return Found(ways, len(self._counts) - len(ways), found, len(self._ids), ended, self._stall)

    def _begin(self, root: Root) -> None:
        self._roots.append((root.kind, root.type, root.name))
        shape = len(self._steps)
        self._steps.append(0)
        self._meet([value for _, value in root.held], -len(self._roots), shape)

    def _walk(self) -> Ended:
        clock, referents, kinds = time.monotonic, gc.get_referents, self._known_kinds
        turn = clock() + _TURN
        while self._urgent or self._waiting:
            now = clock()
            if now > turn:
                if now > self._deadline:
                    return "time"
                item = found = None  # held by nobody while others run
                if self._stop.wait(_PAUSE):
                    return "caller left"
                turn = now = clock()
                turn += _TURN
            if self._urgent:
                item, number = self._urgent.pop()
            else:
                item, number = self._waiting.popleft(), self._numbers.popleft()
            if kinds[self._kinds[number]].in_parts and is_large(item):
                if ended := self._meet_parts(item, number):
                    return ended
            else:
                found = referents(item)
                if len(found) > _LARGE:
                    self._stall = max(self._stall, clock() - now)
                self._meet(found, number, self._shapes[number])
            if len(self._ids) >= self._most:
                return "size"
        return "all"

    def _meet_parts(self, item: object, number: int) -> Ended | None:
        for part in references(item):
            self._meet(part, number, self._shapes[number])
            if self._stop.wait(_PAUSE):
                return "caller left"
            if time.monotonic() > self._deadline:
                return "time"
            if len(self._ids) >= self._most:
                return "size"
        return None

    def _meet(self, items: list[Any], parent: int, above: int) -> None:
        """Make nodes of what was not met before; what the collector does not track holds nothing, and is not held."""
        met, seen, is_tracked, ids, shapes = (
            self._met,
            self._seen,
            gc.is_tracked,
            self._ids,
            self._known_shapes,
        )
        for item in items:
            key = id(item)
            shard = seen[(key >> 12) % _SHARDS]
            if key in shard:
                continue
            tracked = is_tracked(item)
            kind = met.get(id(kind_of(item))) or self._kind(kind_of(item))
            if not tracked and not kind.wanted:
                continue
            number = len(ids)
            if number >= self._most:
                break
            shard.add(key)
            shape = shapes.get(above * _MOST_KINDS + kind.number)
            if shape is None:
                shape = self._shape(above, kind.number)
            if kind.wanted:
                self._counts[shape] += 1
                self._examples.setdefault(shape, (parent, key, kind.number))
            if not tracked:
                continue
            self._parents.append(parent)
            ids.append(key)
            self._kinds.append(kind.number)
            self._shapes.append(shape)
            if kind.urgent:
                self._urgent.append((item, number))
            else:
                self._waiting.append(item)
                self._numbers.append(number)

    def _kind(self, kind: type) -> _Kind:
        name = type_name(kind)
        urgent = any("__del__" in _NAMESPACE.__get__(base) for base in _MRO.__get__(kind))
        found = _Kind(kind, name, len(self._known_kinds), name == self._name, urgent, comes_in_parts(kind))
        self._met[id(kind)] = found
        self._known_kinds.append(found)
        return found

    def _shape(self, above: int, kind: int) -> int:
        """Return a new shape; ways that are long have one for all of a type."""
        deep = self._steps[above] >= _MOST_STEPS
        key = (_DEEP if deep else above) * _MOST_KINDS + kind
        shape = self._known_shapes.get(key)
        if shape is None:
            shape = self._known_shapes[key] = len(self._steps)
            self._steps.append(_MOST_STEPS if deep else self._steps[above] + 1)
        return shape

    def _way(self, shape: int, objects: int) -> Way:
        parent, key, kind = self._examples[shape]
        ids, types = [key], [self._known_kinds[kind].name]
        while parent >= 0:
            ids.append(self._ids[parent])
            types.append(self._known_kinds[self._kinds[parent]].name)
            parent = self._parents[parent]
        return Way(objects, *self._roots[-parent - 1], ids[::-1], types[::-1])

    def _let_go(self) -> None:
        """Give back bit by bit what was kept: in one go it would hold up other threads."""
        self._urgent.clear()
        while self._waiting:
            self._waiting.popleft()
        self._numbers.clear()
        for shard in self._seen:
            shard.clear()
