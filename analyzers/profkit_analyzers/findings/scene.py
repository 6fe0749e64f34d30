"""What the patterns look at: one profile, its seconds by stack, and what each stack is to them. Made once a profile.

A stack is what `Stacks` numbers it with: what holds of one is found once, whatever profiles it is in.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from typing import NamedTuple
from weakref import WeakKeyDictionary

from profkit_analyzers.attribution.blame import CallSite, function_name
from profkit_analyzers.attribution.stacks import Stacks, known_stacks
from profkit_analyzers.findings.marks import AWAIT, Traits
from profkit_storage import Frame, Profile, Sample, State
from profkit_storage.categories import CategoryTable

LEAST_SECONDS = 0.1
"""What is less is not seen well: some ten looks of the sampler, and no more than a reader would notice."""
LEAST_SHARE = 0.05
"""Of the operation's time: mending less changes it by less than it differs from one call to the next."""
_traits: WeakKeyDictionary[Stacks, Traits] = WeakKeyDictionary()
_RUNNING, _WAITING, _GC = State.RUNNING, State.WAITING, State.GC


class Look(NamedTuple):
    """One sample, as far as the order of things matters."""

    stack: int
    seconds: float
    branch: int
    waiting: bool


class Scene:
    """One profile, and what several patterns ask of it. Seconds are wall seconds of the operation.

    `stacks` are those of its samples, in their order; `near`, `sites`, `queries` and `requests` tell of all that are
    known, see `Traits`. `every` are the marks of all frames seen; `running` and `waiting` seconds by stack; `gc`
    seconds of collections, and the `longest_gc` of them; `held` seconds that the event loop was not to be had (starved
    or held).
    """

    def __init__(self, profile: Profile, table: CategoryTable) -> None:
        self.profile = profile
        self.table = table
        known = known_stacks(table)
        numbers = known.numbers(profile)
        self.stacks = [numbers[node] for node, _, _, _, _, _, _ in profile.samples]
        self._known = known
        traits = _traits.get(known)
        if traits is None:
            traits = _traits.setdefault(known, Traits(table))
        traits.learn(known)
        self.near, self.sites = traits.near, traits.sites
        self.queries, self.requests = traits.queries, traits.requests
        self._marks = traits.marks
        self.running: dict[int, float] = {}
        self.waiting: dict[int, float] = {}
        self.gc = self.longest_gc = self.held = 0.0
        self._sum()
        self.every = 0
        for stack in set(self.stacks):
            self.every |= traits.every[stack]

    def _sum(self) -> None:
        running, waiting = self.running, self.waiting
        for stack, (_, wall, _, _, state, _, _) in self.samples():
            if state is _WAITING:
                waiting[stack] = waiting.get(stack, 0.0) + wall
            elif state is _RUNNING:
                running[stack] = running.get(stack, 0.0) + wall
            elif state is _GC:
                self.gc += wall
                self.longest_gc = max(self.longest_gc, wall)
            else:
                self.held += wall

    def matters(self, seconds: float, least: float = LEAST_SECONDS) -> bool:
        """Tell whether so many seconds are enough of this operation's to be worth a word."""
        return seconds >= least and seconds >= LEAST_SHARE * self.profile.wall

    def samples(self) -> Iterator[tuple[int, Sample]]:
        """Yield each sample with the number of its stack."""
        return zip(self.stacks, self.profile.samples, strict=True)

    def leaf(self, stack: int) -> int:
        """Return the marks of the function that a stack ends in."""
        return self._marks[stack]

    def frame(self, stack: int) -> Frame:
        """Return the function that a stack ends in."""
        return self._known.frames[stack]

    def line(self, stack: int) -> int:
        """Return the line that a stack ends at."""
        return self._known.lines[stack]

    def caller(self, stack: int) -> int:
        """Return the stack that called the function which this one ends in, -1 if none did."""
        return self._known.callers[stack]

    def call_site(self, site: int) -> CallSite:
        """Return the place of one of `sites`."""
        return CallSite(function_name(self.frame(site)), self.line(site)) if site >= 0 else CallSite("")

    def spent_near(self, mark: int, *, running: bool = True) -> float:
        """Return the seconds near `mark`, waiting, and unless told otherwise running."""
        near = self.near
        found = sum([seconds for stack, seconds in self.waiting.items() if near[stack] & mark])
        if running:
            found += sum([seconds for stack, seconds in self.running.items() if near[stack] & mark])
        return found

    def spent(self) -> Iterator[tuple[int, float]]:
        """Yield each stack with its seconds, running or waiting."""
        yield from self.running.items()
        yield from self.waiting.items()

    def outermost(self, stack: int, mark: int) -> int:
        """Return the outermost stack with `mark` of the library code around `stack`, -1 if there is none."""
        found, site = -1, self.sites[stack]
        while stack >= 0 and stack != site:
            if self._marks[stack] & mark:
                found = stack
            stack = self.caller(stack)
        return found

    @cached_property
    def looks(self) -> list[Look]:
        """What was seen of the operation's own running and waiting, in order of time.

        The collector, and a loop that was taken, interrupt what goes on and do not end it; what is inferred was not
        seen.
        """
        return [
            Look(stack, wall, branch, state is _WAITING)
            for stack, (_, wall, _, branch, state, _, inferred) in self.samples()
            if not inferred and (state is _WAITING or state is _RUNNING)
        ]

    @cached_property
    def suspended(self) -> frozenset[int]:
        """The branches (-1 is the operation itself) that have been seen in an await: they run on an event loop."""
        if not self.every & AWAIT:
            return frozenset()
        leaves = {stack for stack in self.waiting if self._marks[stack] & AWAIT}
        return frozenset(sample.branch for stack, sample in self.samples() if stack in leaves)
