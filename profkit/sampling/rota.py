"""Whose turn it is: which of the operations in flight a tick looks at."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from time import perf_counter

from profkit.operations import Operation

TICK_LIMIT = 0.002
"""Seconds one tick may take; the next goes on with the operations it had no time for. Well below the interpreter's
usual switch interval, which is in force meanwhile: what a tick holds, it lets go of before anybody else runs."""
_SHORT_TICK = 0.001
"""Seconds once the budget is used up: short ticks, but often enough to see who is at risk;"""
_FOR_OTHERS = 0.0003
"""and of these the seconds for those that are not."""
_MANY = 64
"""Operations in flight from which not all of them are looked at in each tick."""
_FEW = 8
"""Operations at risk or slow up to which what was saved up is spent on them."""
_SORTED_FOR = 0.05
"""Seconds between two sortings; each costs 0.2 us an operation."""
LOOKS_AT_RISK = 22
"""Looks at an operation between half its threshold and the threshold: 20 are promised."""


class _Queue:
    """Operations that take turns."""

    def __init__(self) -> None:
        self.operations: list[Operation] = []
        self._next = 0

    def until(self, time: float) -> Iterator[Operation]:
        """Yield operations until it is `time`, from where the last tick had to stop."""
        operations, first = self.operations, self._next
        count = len(operations)
        for passed in range(count):
            if perf_counter() > time:
                return
            self._next = (first + passed + 1) % count
            yield operations[(first + passed) % count]


class Rota:
    """Operations at risk first, that is those older than half their threshold that are not slow yet; then the others.

    A few that are slow already go with those at risk: they will be kept, and have to be true to their end.
    `risk_interval` is the seconds between two ticks that those at risk need, 0 if there are none. `few` tells whether
    there are some at risk or slow, but few enough to look at them more often than the budget has for all.
    """

    def __init__(self) -> None:
        self.risk_interval = 0.0
        self.few = False
        self._risky = _Queue()
        self._others = _Queue()
        self._now = 0.0
        self._in_need = False
        self._sorted = 0.0

    def forget(self) -> None:
        """Keep no operation alive while nothing is in flight."""
        self._risky.operations, self._others.operations = [], []
        self._sorted = self.risk_interval = 0.0
        self.few = False

    def begin(self, registry: Collection[Operation], now: float, *, in_need: bool) -> None:
        """Begin a tick; `in_need` tells whether the sampler has nothing to spare."""
        many = len(registry) > _MANY
        self._now = now
        self._in_need = in_need and many
        if not many or now - self._sorted > _SORTED_FOR:
            self._sort(list(registry), now)

    def __iter__(self) -> Iterator[Operation]:
        """Yield the operations of this tick; which have ended meanwhile, the caller finds out."""
        short = self._in_need
        yield from self._risky.until(self._now + (_SHORT_TICK if short else TICK_LIMIT))
        yield from self._others.until(perf_counter() + _FOR_OTHERS if short else self._now + TICK_LIMIT)

    def _sort(self, operations: list[Operation], now: float) -> None:
        self._sorted = now
        risky: list[Operation] = []
        slow: list[Operation] = []
        others: list[Operation] = []
        shortest = 0.0
        for operation in operations:
            limit, age = operation.tally.limit, now - operation.started
            if age > limit:
                slow.append(operation)
            elif age > limit / 2:
                risky.append(operation)
                shortest = min(limit, shortest or limit)
            else:
                others.append(operation)
        (risky if len(slow) <= _MANY else others).extend(slow)
        self._risky.operations, self._others.operations = risky, others
        self.risk_interval = shortest / 2 / LOOKS_AT_RISK
        self.few = len(operations) <= _MANY and 0 < len(risky) <= _FEW
