"""Gives every sample's seconds to exactly one category, owner and place in the application's code.

The rule, in order, for a sample of the operation:

1. The loop or the collector had it (`starved`, `held`, `gc`): category `runtime`, owner `event_loop` or `gc`; the
   place is what held the loop.
2. Library code that the innermost application function called: the owner nearest to the leaf. Transport and waits
   hand on to the owner above them; serialization inside an SDK names the SDK as its owner.
3. The innermost child operation with a category (see children.py): an application function runs inside it, and what
   an agent framework does above that function is further out. Where the operation awaits, what it waits for may be
   several side by side: then each that is in flight has its share of the time (see inflight.py).
4. Libraries above that function (an agent framework that called it).
5. The operation's own category; `application` if it has none.
6. Transport that met no owner in 2 passes by what is not of a remote category (db, llm) in 3 to 5, and is `http` if
   nothing is.

The place is the innermost application function, "" if there is none.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple
from weakref import WeakKeyDictionary

from profkit_analyzers.attribution.blame import Blame, CallSite, function_name
from profkit_analyzers.attribution.children import ChildSpans
from profkit_analyzers.attribution.critical_path import critical_branches
from profkit_analyzers.attribution.inflight import InFlight
from profkit_analyzers.attribution.stacks import Owner, Stacks, Verdict, known_stacks
from profkit_storage import ChildOperation, Origin, Profile, Sample, State
from profkit_storage.categories import Category, CategoryTable

_RUNNING, _WAITING = State.RUNNING, State.WAITING
UNKNOWN_HOLDER = CallSite("[not known]")
_AWAIT = "[await]"
_LOOPS = frozenset({"asyncio", "anyio"})
_NOTHING = 1e-9
PLAIN_CODE = "application"
"""The owner of seconds that no library and no child operation owns."""


class Rule(enum.IntEnum):
    """The rules by their numbers in the module's docstring."""

    RUNTIME = 1
    LIBRARY = 2
    CHILD = 3
    AROUND = 4
    OPERATION = 5
    TRANSPORT = 6


class Ruling(NamedTuple):
    """What seconds are blamed on, and what decided: a library's `owner` (rules 2, 4) or a `child` (rule 3).

    `in_flight`: the child was in flight while the operation waited for others.
    """

    blame: Blame
    rule: Rule
    owner: Owner | None = None
    child: ChildOperation | None = None
    in_flight: bool = False


@dataclass(frozen=True, slots=True)
class Attribution:
    """Where one operation's wall seconds went: the `seconds` and `unobserved` together are its wall time.

    `critical` are those of the `seconds` that are on its critical path, see `critical_path`.
    """

    seconds: dict[Blame, float]
    critical: dict[Blame, float]
    unobserved: float


def attribute(
    profile: Profile, table: CategoryTable, stacks: dict[tuple[int, State, Blame], float] | None = None
) -> Attribution:
    """Return where the seconds of one profile went. The time it takes grows with distinct stacks, not with samples.

    If `stacks` are given, the seconds of each node and state are added to them by what they are blamed on.
    """
    seconds: dict[Blame, float] = {}
    critical: dict[Blame, float] = {} if profile.branches else seconds
    path = critical_branches(profile)
    for sample, ruling, share in Blamer(profile, table).rulings():
        blame = ruling.blame
        seconds[blame] = seconds.get(blame, 0.0) + share
        if critical is not seconds:
            critical[blame] = critical.get(blame, 0.0) + (share if sample.branch in path else 0.0)
        if stacks is not None:
            place = sample.node, sample.state, blame
            stacks[place] = stacks.get(place, 0.0) + share
    return Attribution(seconds, critical, profile.sampling.unobserved)


def _stretch(profile: Profile) -> float:
    """Return clock seconds per sampled second: what was not observed may be anywhere, so it is spread evenly."""
    sampled = sum(sample.wall for sample in profile.samples)
    return profile.wall / sampled if sampled > 0 and profile.wall > 0 else 1.0


class _Rulings:
    """What the rule says of stacks by themselves, by their numbers; what is said in one profile serves in all others.

    `near` is by rule 2, `plain`, by the operation's category too, where no child operation decides. `awaits`: the
    states in which an operation whose own stack it is waits for others, in whatever tasks they are.
    """

    def __init__(self) -> None:
        self.near: dict[int, Ruling | None] = {}
        self.plain: dict[tuple[int, str], Ruling] = {}
        self.awaits: dict[int, tuple[State, ...]] = {}


_rulings: WeakKeyDictionary[Stacks, _Rulings] = WeakKeyDictionary()


_NOT_KNOWN = Ruling(Blame("", "", "", CallSite("")), Rule.OPERATION)


class Blamer:
    """The rule, applied to one profile. Ask for its `rulings` once."""

    def __init__(self, profile: Profile, table: CategoryTable) -> None:
        self._profile = profile
        self._table = table
        self._operation = table.category(profile.category)
        self._stacks = stacks = known_stacks(table)
        self._numbers = stacks.numbers(profile)
        self._verdicts = stacks.verdicts
        self._known = _rulings.setdefault(stacks, _Rulings())
        self._children = ChildSpans(profile)
        self._in_flight = InFlight(profile.children)
        self._by_child: dict[tuple[int, ...], Ruling] = {}

    def rulings(self) -> Iterator[tuple[Sample, Ruling, float]]:
        """Yield samples in order of time, each with the rulings on it and their seconds, which are the sample's."""
        start = 0.0
        stretch = _stretch(self._profile)
        numbers, near = self._numbers, self._known.near
        for sample in self._profile.samples:
            node, wall, _, branch, state, _, _ = sample
            end = start + wall * stretch
            if state is _RUNNING or state is _WAITING:
                ruling = near.get(numbers[node], _NOT_KNOWN)
                if ruling is _NOT_KNOWN:
                    ruling = self._nearest(node)
                if ruling is not None:
                    yield sample, ruling, wall
                elif branch < 0 and state in self._awaits(node):
                    for shared, share in self._shared(sample, start, end):
                        yield sample, shared, share
                else:
                    children = self._children.during(sample, start, end)
                    ruling = self._by_children(node, children) if children else self._by_frames(node)
                    yield sample, ruling, wall
            else:
                yield sample, self._runtime(sample), wall
            start = end

    def _nearest(self, node: int) -> Ruling | None:
        verdict = self._verdict(node)
        near = verdict.near
        found = Ruling(_made(near.category, near.name, verdict), Rule.LIBRARY, near) if near else None
        self._known.near[self._numbers[node]] = found
        return found

    def _verdict(self, node: int) -> Verdict:
        return self._verdicts[self._numbers[node]]

    def _awaits(self, node: int) -> tuple[State, ...]:
        number = self._numbers[node]
        found = self._known.awaits.get(number)
        if found is None:
            leaf = self._profile.frames[self._profile.nodes[node].frame]
            if leaf.origin is Origin.SYNTHETIC:
                found = (_RUNNING, _WAITING) if leaf.qualname == _AWAIT else ()
            else:
                found = (_WAITING,) if self._verdict(node).transport or self._ends_in_loop(node) else ()
            self._known.awaits[number] = found
        return found

    def _ends_in_loop(self, node: int) -> bool:
        """Tell whether a stack ends in an event loop's own code."""
        for frame, _ in self._profile.stack(node):
            if frame.origin is Origin.APPLICATION:
                return False
            if frame.module.partition(".")[0] in _LOOPS:
                return True
        return False

    def _shared(self, sample: Sample, start: float, end: float) -> Iterator[tuple[Ruling, float]]:
        children = self._profile.children
        left = sample.wall
        for index, seconds in self._in_flight.shares(start, end).items():
            around = [children[index], *(children[above] for above in self._in_flight.around(index))]
            share = sample.wall * seconds / (end - start)
            left -= share
            yield self._by_children(sample.node, around, in_flight=True), share
        if left > _NOTHING or left == sample.wall:
            yield self._by_frames(sample.node), left

    def _by_frames(self, node: int) -> Ruling:
        key = self._numbers[node], self._profile.category
        found = self._known.plain.get(key)
        if found is None:
            found = self._known.plain[key] = self._beyond(node, ())
        return found

    def _by_children(
        self, node: int, children: Sequence[ChildOperation], *, in_flight: bool = False
    ) -> Ruling:
        key = (node, in_flight, *map(id, children))
        found = self._by_child.get(key)
        if found is None:
            found = self._by_child[key] = self._beyond(node, children, in_flight=in_flight)
        return found

    def _beyond(self, node: int, children: Sequence[ChildOperation], *, in_flight: bool = False) -> Ruling:
        """Apply rules 3 to 6 to a stack without a near owner; `children` are those around it, innermost first."""
        verdict = self._verdict(node)
        any_category = not verdict.transport
        for child in children:
            category = self._table.category(child.category)
            if any_category or category.remote:
                return Ruling(
                    _made(category, child.name, verdict), Rule.CHILD, child=child, in_flight=in_flight
                )
        far = verdict.far
        if far is not None and (any_category or far.category.remote):
            return Ruling(_made(far.category, far.name, verdict), Rule.AROUND, far)
        owner = verdict.transport or verdict.wait or PLAIN_CODE
        if any_category or self._operation.remote:
            return Ruling(_made(self._operation, owner, verdict), Rule.OPERATION)
        return Ruling(_made(self._table.category("http"), owner, verdict), Rule.TRANSPORT)

    def _runtime(self, sample: Sample) -> Ruling:
        if sample.state is State.GC:
            blame = Blame("runtime", "", "gc", self._verdict(sample.node).call_site)
        else:
            place = UNKNOWN_HOLDER
            if sample.holder >= 0:
                place = CallSite(function_name(self._profile.frames[sample.holder]))
            blame = Blame("runtime", "", "event_loop", place)
        return Ruling(blame, Rule.RUNTIME)


def _made(category: Category, owner: str, verdict: Verdict) -> Blame:
    return Blame(category.reported, category.subcategory, owner, verdict.call_site)
