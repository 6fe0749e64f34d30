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

Transport that met no owner in 2 is `http`, unless a child, a library or the operation around it is of a remote
category (db, llm): then it is that one's. The place is the innermost application function, "" if there is none.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from profkit_analyzers.blame import Blame, CallSite, function_name
from profkit_analyzers.children import ChildSpans
from profkit_analyzers.inflight import InFlight
from profkit_analyzers.stacks import Verdict, verdicts
from profkit_storage import ChildOperation, Origin, Profile, Sample, State
from profkit_storage.categories import Category, CategoryTable, Match

_RUNTIME = (State.STARVED, State.HELD, State.GC)
UNKNOWN_HOLDER = CallSite("[not known]")
_AWAIT = "[await]"
_LOOPS = frozenset({"asyncio", "anyio"})
_NOTHING = 1e-9
PLAIN_CODE = "application"
"""The owner of seconds that no library and no child operation owns."""


@dataclass(frozen=True, slots=True)
class Attribution:
    """Where one operation's wall seconds went: the `seconds` and `unobserved` together are its wall time."""

    seconds: dict[Blame, float]
    unobserved: float


def attribute(profile: Profile, table: CategoryTable) -> Attribution:
    """Return where the seconds of one profile went. The time it takes grows with distinct stacks, not with samples."""
    blamer = _Blamer(profile, table)
    seconds: dict[Blame, float] = {}
    elapsed = 0.0
    stretch = _stretch(profile)
    for sample in profile.samples:
        end = elapsed + sample.wall * stretch
        for blame, share in blamer.blames(sample, elapsed, end):
            seconds[blame] = seconds.get(blame, 0.0) + share
        elapsed = end
    return Attribution(seconds, profile.sampling.unobserved)


def _stretch(profile: Profile) -> float:
    """Return clock seconds per sampled second: what was not observed may be anywhere, so it is spread evenly."""
    sampled = sum(sample.wall for sample in profile.samples)
    return profile.wall / sampled if sampled > 0 and profile.wall > 0 else 1.0


class _Blamer:
    """The rule, applied to one profile's samples in time order; remembers what it said of each stack."""

    def __init__(self, profile: Profile, table: CategoryTable) -> None:
        self._profile = profile
        self._table = table
        self._operation = table.category(profile.category)
        self._verdicts = verdicts(profile, table)
        self._near: dict[int, Blame | None] = {}
        self._plain: dict[int, Blame] = {}
        self._names: dict[int, frozenset[str]] = {}
        self._children = ChildSpans(profile, self._names_in)
        self._in_flight = InFlight(profile.children)

    def blames(self, sample: Sample, start: float, end: float) -> Iterator[tuple[Blame, float]]:
        """Yield blames and their seconds, which are the sample's; it spans [start, end] on the operation's clock."""
        if sample.state in _RUNTIME:
            yield self._runtime(sample), sample.wall
            return
        node = sample.node
        if node not in self._near:
            verdict = self._verdicts[node]
            self._near[node] = _made(verdict.near, verdict) if verdict.near else None
        near = self._near[node]
        if near is not None:
            yield near, sample.wall
        elif self._awaits(sample):
            yield from self._shared(sample, start, end)
        else:
            children = self._children.during(sample, start, end)
            blame = self._beyond(self._verdicts[node], children) if children else self._by_frames(node)
            yield blame, sample.wall

    def _awaits(self, sample: Sample) -> bool:
        """Tell whether the operation's own stack ends where it waits for others, in whatever tasks they are."""
        if sample.branch >= 0:
            return False
        leaf = self._profile.frames[self._profile.nodes[sample.node].frame]
        if leaf.origin is Origin.SYNTHETIC:
            return leaf.qualname == _AWAIT
        if sample.state is not State.WAITING:
            return False
        return bool(self._verdicts[sample.node].transport) or self._in_loop(sample.node)

    def _in_loop(self, node: int) -> bool:
        for frame, _ in self._profile.stack(node):
            if frame.origin is Origin.APPLICATION:
                return False
            if frame.module.partition(".")[0] in _LOOPS:
                return True
        return False

    def _shared(self, sample: Sample, start: float, end: float) -> Iterator[tuple[Blame, float]]:
        children, verdict = self._profile.children, self._verdicts[sample.node]
        left = sample.wall
        for index, seconds in self._in_flight.shares(start, end).items():
            around = [children[index], *(children[above] for above in self._in_flight.around(index))]
            share = sample.wall * seconds / (end - start)
            left -= share
            yield self._beyond(verdict, around), share
        if left > _NOTHING or left == sample.wall:
            yield self._by_frames(sample.node), left

    def _by_frames(self, node: int) -> Blame:
        if node not in self._plain:
            self._plain[node] = self._beyond(self._verdicts[node], [])
        return self._plain[node]

    def _beyond(self, verdict: Verdict, children: list[ChildOperation]) -> Blame:
        around = [Match(self._table.category(child.category), child.name) for child in children]
        if verdict.far is not None:
            around.append(verdict.far)
        around.append(Match(self._operation, verdict.transport or verdict.wait or PLAIN_CODE))
        if verdict.transport:
            around = [match for match in around if match.category.remote]
            around.append(Match(self._table.category("http"), verdict.transport))
        return _made(around[0], verdict)

    def _runtime(self, sample: Sample) -> Blame:
        if sample.state is State.GC:
            return Blame("runtime", "", "gc", self._verdicts[sample.node].call_site)
        place = UNKNOWN_HOLDER
        if sample.holder >= 0:
            place = CallSite(function_name(self._profile.frames[sample.holder]))
        return Blame("runtime", "", "event_loop", place)

    def _names_in(self, node: int) -> frozenset[str]:
        found = self._names.get(node)
        if found is None:
            frames = [frame for frame, _ in self._profile.stack(node)]
            names = {frame.qualname for frame in frames} | {function_name(frame) for frame in frames}
            found = self._names[node] = frozenset(names)
        return found


def _made(match: Match, verdict: Verdict) -> Blame:
    category: Category = match.category
    return Blame(category.reported, category.subcategory, match.owner, verdict.call_site)
