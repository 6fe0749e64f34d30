"""Operations inside a slow one that was dropped.

The next one of its name that was kept stands for the dropped one, by its weight, and its seconds hold what ran inside.
Then what ran inside the dropped one must not count once more. Without such a stand-in nothing else has these seconds:
the outer one is still running, or started before the time looked at, or its process ended first. Then they count.

Which it is is known once all have been seen, so the undecided ones are summed by the operations they ran inside.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from typing import NamedTuple

from profkit_analyzers.nesting import JITTER_NS, Placed, Process, end_ns, process_of
from profkit_analyzers.ranking import Summary
from profkit_storage import Profile
from profkit_storage.categories import CategoryTable

_MAX_UNDECIDED = 1_000
_MAX_PROCESSES = 10_000
_MAX_STANDINS = 100

_Key = tuple[Process, frozenset[int]]


class _StandIn(NamedTuple):
    """A kept operation that stands for dropped ones: when it ended, and the numbers of those it ran inside itself."""

    end: int
    inside: frozenset[int]


class Undecided:
    """What ran inside slow operations that are not looked at; `settle` says at last whether it counts.

    `table` and `budget` are those of `Summary.add`. Memory is bounded: of very many, the oldest are decided early.
    """

    def __init__(self, table: CategoryTable, budget: float | None) -> None:
        self._table = table
        self._budget = budget
        self._sums: OrderedDict[_Key, tuple[Summary, int]] = OrderedDict()
        self._standins: OrderedDict[Process, deque[_StandIn]] = OrderedDict()

    def see(self, profile: Profile) -> None:
        """Note a profile that may stand for others. All that are looked at have to be shown, in order of start."""
        if profile.weight <= 1:
            return
        found = self._standins.setdefault(process_of(profile), deque(maxlen=_MAX_STANDINS))
        found.append(_StandIn(end_ns(profile), frozenset(around.number for around in profile.enclosing)))
        self._standins.move_to_end(process_of(profile))
        if len(self._standins) > _MAX_PROCESSES:
            self._standins.popitem(last=False)

    def add(self, placed: Placed, into: Summary) -> None:
        """Keep a profile undecided; what has to be decided to make room for it goes `into`."""
        profile = placed.profile
        key = process_of(profile), placed.missing
        summary, last = self._sums.get(key, (Summary(), 0))
        summary.add(profile, self._table, self._budget)
        self._sums[key] = summary, max(last, end_ns(profile))
        self._sums.move_to_end(key)
        while len(self._sums) > _MAX_UNDECIDED:
            self._decide(into)

    def settle(self, into: Summary) -> None:
        """Merge all of it `into` a summary, those nested that have a stand-in."""
        while self._sums:
            self._decide(into)

    def _decide(self, into: Summary) -> None:
        (process, missing), (summary, last) = self._sums.popitem(last=False)
        # What ran inside the missing one, or ended before it did, was kept too early to stand for it.
        for standin in self._standins.get(process, ()):
            if standin.end >= last - JITTER_NS and missing - standin.inside:
                into.merge(summary.nested())
                return
        into.merge(summary)
