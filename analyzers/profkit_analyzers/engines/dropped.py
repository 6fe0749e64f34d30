"""Operations that ran inside others which are not looked at, or not yet.

The outer one may be in a stretch of time beside this one: its span tells. Or it was slow and dropped: then the next one
of its name that was kept stands for it, by its weight, and its seconds hold what ran inside, which must not count once
more. Without such a stand-in nothing else has these seconds: the outer one is still running, or started before the time
looked at, or its process ended first. Then they count.

Which it is is known once all have been seen, so the undecided ones are summed by the operations they ran inside.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from heapq import nlargest
from typing import Generic, NamedTuple, Protocol, Self, TypeVar

from profkit_analyzers.engines.nesting import JITTER_NS, OuterSpans, Placed, Process, end_ns, process_of
from profkit_storage import Profile

_MAX_UNDECIDED = 1_000
_MAX_PROCESSES = 10_000
_MAX_STANDINS = 100


class Mergeable(Protocol):
    """What is known of some profiles: it merges with that of others, in any order."""

    def merge(self, other: Self) -> None:
        """Add the other to this."""
        ...

    def nested(self) -> Self:
        """Return the same with all of it nested in something that is counted elsewhere."""
        ...


S = TypeVar("S", bound=Mergeable)


class _Around(NamedTuple):
    """The operations around some others: their process, their numbers, and those of the slow ones."""

    process: Process
    numbers: frozenset[int]
    slow: frozenset[int]


@dataclass(slots=True)
class _Inner(Generic[S]):
    """What ran inside the same operations, from the start of the first to the end of the last."""

    start: int
    end: int
    summary: S


class _StandIn(NamedTuple):
    """A kept operation that stands for dropped ones: when it ended, and the numbers of those it ran inside itself."""

    end: int
    inside: frozenset[int]


class Undecided(Generic[S]):
    """What ran inside operations that are not looked at; `settle` says at last whether it counts.

    `new` makes an empty summary. Memory is bounded: of very many, the oldest are decided early.
    """

    def __init__(self, new: Callable[[], S]) -> None:
        self._new = new
        self._inner: OrderedDict[_Around, _Inner[S]] = OrderedDict()
        self._standins: OrderedDict[Process, list[_StandIn]] = OrderedDict()

    def see(self, profile: Profile) -> None:
        """Note a profile that may stand for others. All that are looked at have to be shown, in order of start."""
        if profile.weight > 1:
            inside = frozenset(around.number for around in profile.enclosing)
            self._note(process_of(profile), [_StandIn(end_ns(profile), inside)])

    def summary_for(self, placed: Placed) -> S:
        """Return where the undecided `placed` is to be added."""
        profile = placed.profile
        around = _Around(process_of(profile), placed.around, placed.missing)
        inner = self._inner.setdefault(around, _Inner(profile.start_ns, 0, self._new()))
        inner.end = max(inner.end, end_ns(profile))
        self._inner.move_to_end(around)
        return inner.summary

    def merge(self, later: Undecided[S]) -> None:
        """Take over those of the stretch of time behind this one."""
        for process, standins in later._standins.items():
            self._note(process, standins)
        for around, inner in later._inner.items():
            mine = self._inner.setdefault(around, _Inner(inner.start, inner.end, self._new()))
            mine.end = max(mine.end, inner.end)
            mine.summary.merge(inner.summary)
            self._inner.move_to_end(around)

    def settle(self, into: S, spans: OuterSpans, *, leave: int = 0) -> None:
        """Merge all but the newest `leave` of it `into` a summary, as nested where that is what they are."""
        while len(self._inner) > leave:
            around, inner = self._inner.popitem(last=False)
            nested = spans.hold(around.process, around.numbers, inner.start, inner.end)
            nested = nested or self._has_standin(around, inner.end)
            into.merge(inner.summary.nested() if nested else inner.summary)

    def bound(self, into: S, spans: OuterSpans) -> None:
        """Settle the oldest of very many."""
        self.settle(into, spans, leave=_MAX_UNDECIDED)

    def _note(self, process: Process, standins: list[_StandIn]) -> None:
        found = [*self._standins.get(process, ()), *standins]
        if len(found) > _MAX_STANDINS:
            found = nlargest(_MAX_STANDINS, found, key=lambda standin: standin.end)
        self._standins[process] = found
        self._standins.move_to_end(process)
        if len(self._standins) > _MAX_PROCESSES:
            self._standins.popitem(last=False)

    def _has_standin(self, around: _Around, end: int) -> bool:
        # What ran inside the missing one, or ended before it did, was kept too early to stand for it.
        return any(
            standin.end >= end - JITTER_NS and around.slow - standin.inside
            for standin in self._standins.get(around.process, ())
        )
