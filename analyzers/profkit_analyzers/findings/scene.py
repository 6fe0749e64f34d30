"""What the patterns look at: one profile, its seconds by stack, and what each stack is to them. Made once a profile."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from typing import NamedTuple
from weakref import WeakKeyDictionary

from profkit_analyzers.blame import CallSite, function_name
from profkit_analyzers.findings.marks import APPLICATION, AWAIT, IMPORT, Near, marker
from profkit_analyzers.stacks import Stacks, known_stacks
from profkit_storage import Frame, Profile, State
from profkit_storage.categories import CategoryTable

LEAST_SECONDS = 0.1
"""What is less is not seen well: some ten looks of the sampler, and no more than a reader would notice."""
LEAST_SHARE = 0.05
"""Of the operation's time: mending less changes it by less than it differs from one call to the next."""
_near: WeakKeyDictionary[Stacks, Near] = WeakKeyDictionary()
_RUNNING, _WAITING, _GC = State.RUNNING, State.WAITING, State.GC


class Look(NamedTuple):
    """One sample, as far as the order of things matters."""

    node: int
    seconds: float
    branch: int
    waiting: bool


class Scene:
    """One profile, and what several patterns ask of it. Seconds are wall seconds of the operation.

    `marks` are those of the frames, `every` all of them together; `own` and `waiting` seconds by node while it ran or
    waited; `gc` seconds of collections, and the `longest_gc` of them; `held` seconds that the event loop was not to be
    had (starved or held).
    """

    def __init__(self, profile: Profile, table: CategoryTable) -> None:
        self.profile = profile
        self.table = table
        self.marks = marker(table).marks(profile.frames)
        self.every = 0
        for bits in self.marks:
            self.every |= bits
        self.running: dict[int, float] = {}
        self.waiting: dict[int, float] = {}
        self.gc = self.longest_gc = self.held = 0.0
        self._sum()

    def _sum(self) -> None:
        running, waiting = self.running, self.waiting
        for node, wall, _, _, state, _, _ in self.profile.samples:
            if state is _WAITING:
                waiting[node] = waiting.get(node, 0.0) + wall
            elif state is _RUNNING:
                running[node] = running.get(node, 0.0) + wall
            elif state is _GC:
                self.gc += wall
                self.longest_gc = max(self.longest_gc, wall)
            else:
                self.held += wall

    def matters(self, seconds: float, least: float = LEAST_SECONDS) -> bool:
        """Tell whether so many seconds are enough of this operation's to be worth a word."""
        return seconds >= least and seconds >= LEAST_SHARE * self.profile.wall

    @cached_property
    def sites(self) -> list[int]:
        """For each node the one of the innermost application function at or above it, -1 if there is none.

        What an import runs belongs to the function that imports.
        """
        found: list[int] = []
        marks = self.marks
        for index, ((parent, frame, _), near) in enumerate(zip(self.profile.nodes, self.near, strict=True)):
            if marks[frame] & APPLICATION and not near & IMPORT:
                found.append(index)
            else:
                found.append(found[parent] if parent >= 0 else -1)
        return found

    @cached_property
    def near(self) -> list[int]:
        """For each node the marks of the library code that its innermost application function called, down to it."""
        stacks = known_stacks(self.table)
        numbers = stacks.numbers(self.profile)
        bits = _near.setdefault(stacks, Near(self.table)).of(stacks)
        return [bits[number] for number in numbers]

    def leaf(self, node: int) -> int:
        """Return the marks of the frame that a stack ends in."""
        return self.marks[self.profile.nodes[node].frame]

    def call_site(self, site: int) -> CallSite:
        """Return the place of a node of `sites`."""
        if site < 0:
            return CallSite("")
        node = self.profile.nodes[site]
        return CallSite(function_name(self.profile.frames[node.frame]), node.line)

    def frame(self, node: int) -> Frame:
        """Return the function of a node."""
        return self.profile.frames[self.profile.nodes[node].frame]

    def spent(self) -> Iterator[tuple[int, float]]:
        """Yield each node with its seconds, running or waiting."""
        yield from self.running.items()
        yield from self.waiting.items()

    def outermost(self, node: int, mark: int) -> int:
        """Return the outermost node with `mark` of the library code around `node`, -1 if there is none."""
        found, site = -1, self.sites[node]
        while node >= 0 and node != site:
            if self.leaf(node) & mark:
                found = node
            node = self.profile.nodes[node].parent
        return found

    @cached_property
    def looks(self) -> list[Look]:
        """What was seen of the operation's own running and waiting, in order of time.

        The collector, and a loop that was taken, interrupt what goes on and do not end it; what is inferred was not
        seen.
        """
        return [
            Look(node, wall, branch, state is _WAITING)
            for node, wall, _, branch, state, _, inferred in self.profile.samples
            if not inferred and (state is _WAITING or state is _RUNNING)
        ]

    @cached_property
    def suspended(self) -> frozenset[int]:
        """The branches (-1 is the operation itself) that have been seen in an await: they run on an event loop."""
        if not self.every & AWAIT:
            return frozenset()
        leaves = {node for node in self.waiting if self.leaf(node) & AWAIT}
        return frozenset(sample.branch for sample in self.profile.samples if sample.node in leaves)
