"""Keeps the sampler's own CPU time below a share of one core, by stretching the time between its ticks."""

from __future__ import annotations

LONGEST_INTERVAL = 0.2
"""Seconds; ticks are short enough not to cost more than the limit even so."""
MOST_CREDIT = 0.01
"""CPU seconds that may be saved up while there is little to do: a first second at full resolution."""
_RESERVE = MOST_CREDIT / 2
"""Of these, the part that is kept for operations that are likely to become slow."""
_MOST_DEBT = 0.01
"""CPU seconds that may be borrowed while operations are at risk."""
_LONG_RUN = 0.75
"""The share of the limit that is used in the long run, so that credit, debt and savings do not carry it over."""
_SAVINGS = 10.0
"""Seconds of the limit that may be put by for a few operations that become slow: 0.1 s of CPU at 1 % of a core, about
300 looks. In a minute not more than 0.75 + 10/60 of the limit is used, whatever happens."""


class Governor:
    """A budget: it grows with time, by `limit` seconds a second, and shrinks by what the sampler uses.

    What it has beyond its credit is put by, full at first, and spent only on a few operations that become slow: these
    are seen at every interval for some seconds, however seldom others can be looked at.
    """

    def __init__(self, limit: float = 0.01) -> None:
        self.limit = limit
        self._debt = -MOST_CREDIT
        self._spent_savings = 0.0

    def account(self, cost: float, elapsed: float, *, few: bool = False) -> None:
        """Note that the sampler used `cost` CPU seconds in `elapsed` seconds; `few`: for a few that become slow."""
        self._debt += cost - elapsed * self.limit * _LONG_RUN
        if self._debt < -MOST_CREDIT:
            self._spent_savings = max(self._spent_savings + self._debt + MOST_CREDIT, 0.0)
            self._debt = -MOST_CREDIT
        elif few and self._debt > -_RESERVE:
            drawn = max(min(self._debt + _RESERVE, _SAVINGS * self.limit - self._spent_savings), 0.0)
            self._spent_savings += drawn
            self._debt -= drawn

    @property
    def in_need(self) -> bool:
        """Whether no more is saved up than what is kept for operations at risk."""
        return self._debt > -_RESERVE

    def interval(self, wanted: float, at_risk: float = 0.0) -> float:
        """Return the seconds until the next tick: `wanted`, or as many more as the budget asks for.

        `at_risk` is the interval that operations about to become slow need, 0 if there are none: then some of the
        budget is kept for those to come; else, some is borrowed.
        """
        debt = self._debt - _MOST_DEBT if at_risk else self._debt + _RESERVE
        needed = debt / (self.limit * _LONG_RUN)
        return max(wanted, min(needed, LONGEST_INTERVAL), at_risk if self.in_need else 0.0)
