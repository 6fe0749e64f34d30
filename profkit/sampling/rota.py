"""Whose turn it is: which of the operations in flight a tick looks at."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from time import perf_counter

from profkit.operations import Operation

TICK_LIMIT = 0.002
"""Seconds one tick may take; the next goes on with the operations it had no time for. Well below the interpreter's
usual switch interval, which is in force meanwhile: what a tick holds, it lets go of before anybody else runs."""
_SHORT_TICK = 0.0003
"""Seconds for the others once the budget is used up: short ticks, but often enough to see who is at risk."""
_MANY = 64
"""Operations in flight from which not all of them are looked at in each tick."""
_SORTED_FOR = 0.05
"""Seconds between two sortings; each costs 0.2 us an operation."""
LOOKS_AT_RISK = 22
"""Looks at an operation between half its threshold and the threshold: 20 are promised."""


class Rota:
    """Operations at risk first, that is those older than half their threshold that are not slow yet; then the others.

    A few that are slow already go with those at risk: they will be kept, and have to be true to their end.
    `risk_interval` is the seconds between two ticks that those at risk need, 0 if there are none.
    """

    def __init__(self) -> None:
        self.risk_interval = 0.0
        self._risky: list[Operation] = []
        self._others: list[Operation] = []
        self._next = 0
        self._until = 0.0
        self._sorted = 0.0

    def forget(self) -> None:
        """Keep no operation alive while nothing is in flight."""
        self._risky, self._others = [], []
        self._sorted = self.risk_interval = 0.0

    def begin(self, registry: Collection[Operation], now: float, in_need: bool) -> None:  # noqa: FBT001
        """Begin a tick; `in_need` tells whether the sampler has nothing to spare."""
        self._until = now + TICK_LIMIT
        if len(registry) <= _MANY:
            self._sort(list(registry), now)
            self._next = 0
        elif now - self._sorted > _SORTED_FOR:
            self._sort(list(registry), now)
        if len(registry) > _MANY and in_need:
            self._until = now + _SHORT_TICK

    def __iter__(self) -> Iterator[Operation]:
        """Yield the operations of this tick; which have ended meanwhile, the caller finds out."""
        yield from self._risky
        count = len(self._others)
        first = self._next
        for passed in range(count):
            if perf_counter() > self._until:
                return
            self._next = (first + passed + 1) % count
            yield self._others[(first + passed) % count]

    def _sort(self, operations: list[Operation], now: float) -> None:
        self._sorted = now
        self._risky, self._others = [], []
        slow: list[Operation] = []
        shortest = 0.0
        for operation in operations:
            limit, age = operation.tally.limit, now - operation.started
            if age > limit:
                slow.append(operation)
            elif age > limit / 2:
                self._risky.append(operation)
                shortest = min(limit, shortest or limit)
            else:
                self._others.append(operation)
        if len(slow) <= _MANY:
            self._risky += slow
        else:
            self._others += slow
        self.risk_interval = shortest / 2 / LOOKS_AT_RISK
