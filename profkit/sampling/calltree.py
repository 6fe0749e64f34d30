"""What the sampler keeps of an operation: a tree of its stacks, and which of them it was at, for how long.

Both are bounded, whatever the operation does.
"""

from __future__ import annotations

import random
import weakref
from typing import NamedTuple

from profkit.sampling.codes import CodeTable

MAX_DEPTH = 400
"""Frames kept of one stack: the root and the leaf's side. Renderers recurse, and fail somewhat above."""
_MAX_NODES = 20_000
RUNNING, WAITING, SUSPENDED = range(3)
"""States of a sample: on the CPU, in a thread that blocks, in a task that awaits."""
RUNNING_SHARE = 0.2
"""A sample of which the thread used this share on the CPU was running: on a crowded machine a busy thread gets no
more, and one that blocks uses next to nothing."""


class CallTree:
    """Stacks as a parent-pointer tree: node n has parent `parents[n]` (-1 for a root) and place `places[n]`."""

    def __init__(self, codes: CodeTable) -> None:
        self.codes = codes
        self.parents: list[int] = []
        self.places: list[int] = []
        self._children: list[dict[int, int]] = []
        self._roots: dict[int, int] = {}
        self._cut = codes.synthetic("[frames left out]")

    def insert(self, stack: list[int]) -> int:
        """Return the node of a stack (leaf first, not empty); the deepest one there is room for."""
        if len(stack) > MAX_DEPTH:
            stack = [*stack[: MAX_DEPTH - 2], self._cut, stack[-1]]
        node = -1
        level = self._roots
        for place in reversed(stack):
            found = level.get(place)
            if found is None:
                if len(self.places) >= _MAX_NODES and node >= 0:
                    return node
                found = len(self.places)
                self.parents.append(node)
                self.places.append(place)
                self._children.append({})
                level[place] = found
            node = found
            level = self._children[node]
        return node


class Span(NamedTuple):
    """A stretch of time at one node: `wall` and `cpu` in seconds, `state` as above."""

    node: int
    wall: float
    cpu: float
    state: int


class Timeline:
    """Spans in time order, neighbours at the same node and state joined; at most `limit`, then every other goes.

    `seen` is when it was last looked at (`time.perf_counter` seconds), `cpu_seen` the thread's CPU clock then.
    """

    def __init__(self, started: float, limit: int) -> None:
        self.seen = started
        self.cpu_seen: float | None = None
        self.unobserved = 0.0
        self.ticks = 0
        self.stride = 1
        self._limit = limit
        self._missed = True
        self._nodes: list[int] = []
        self._walls: list[float] = []
        self._cpus: list[float] = []
        self._states: list[int] = []

    def observe(self, now: float, node: int, state: int, cpu: float = 0.0) -> None:
        """Give the time since the last look to `node`; `cpu` is how much of it was spent running."""
        wall = now - self.seen
        self.seen = now
        self.ticks += 1
        self._missed = False
        if self._nodes and self._nodes[-1] == node and self._states[-1] == state:
            self._walls[-1] += wall
            self._cpus[-1] += cpu
            return
        self._nodes.append(node)
        self._walls.append(wall)
        self._cpus.append(cpu)
        self._states.append(state)
        if len(self._nodes) > self._limit:
            self._halve()

    def repeat(self, now: float) -> bool:
        """Give the time since the last look to the last span, which is known to go on; False if none was seen."""
        if self._missed:
            return False
        self._walls[-1] += now - self.seen
        self.seen = now
        self.ticks += 1
        return True

    def miss(self, now: float) -> None:
        """Nothing could be seen at this look: the time since the last one is nobody's."""
        self.unobserved += now - self.seen
        self.seen = now
        self._missed = True

    def finish(self, ended: float, allowance: float) -> None:
        """Give `allowance` seconds of the rest to the last span, if it was seen at the last look; else to nobody."""
        self._take_back(self.seen - ended)
        rest = max(0.0, ended - self.seen)
        known = 0.0 if self._missed else min(rest, allowance)
        if known:
            self._walls[-1] += known
        self.unobserved += rest - known
        self.seen = max(ended, self.seen)

    def _take_back(self, excess: float) -> None:
        """Take off what was given after the end: its clock was read, and then a tick came first."""
        if excess > 0 and self._missed:
            taken = min(excess, self.unobserved)
            self.unobserved -= taken
            excess -= taken
        for index in range(len(self._walls) - 1, -1, -1):
            if excess <= 0:
                return
            taken = min(excess, self._walls[index])
            self._walls[index] -= taken
            self._cpus[index] = min(self._cpus[index], self._walls[index])
            excess -= taken

    def spans(self) -> list[Span]:
        """Return what was seen, in time order."""
        return list(map(Span, self._nodes, self._walls, self._cpus, self._states))

    def _halve(self) -> None:
        """Keep one of each two neighbours, by chance in proportion to its time, and give it the time of both."""
        spans = self.spans()
        kept: list[Span] = []
        for first, second in zip(spans[::2], spans[1::2], strict=False):
            wall = first.wall + second.wall
            winner = first if random.random() * wall < first.wall else second  # noqa: S311 - no secret
            kept.append(winner._replace(wall=wall, cpu=first.cpu + second.cpu))
        if len(spans) % 2:
            kept.append(spans[-1])
        self._nodes = [span.node for span in kept]
        self._walls = [span.wall for span in kept]
        self._cpus = [span.cpu for span in kept]
        self._states = [span.state for span in kept]
        self.stride *= 2


class Recording:
    """The call tree and the timeline of one operation, and the waiter its task was last seen at.

    `sampler_cpu` is what the sampler had used of CPU when the recording began.
    """

    __slots__ = ("sampler_cpu", "timeline", "tree", "waiter")

    def __init__(self, codes: CodeTable, started: float, limit: int, sampler_cpu: float) -> None:
        self.tree = CallTree(codes)
        self.timeline = Timeline(started, limit)
        self.sampler_cpu = sampler_cpu
        self.waiter: weakref.ref[object] | None = None
