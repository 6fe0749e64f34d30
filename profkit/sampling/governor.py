"""Keeps the sampler's own CPU time below a share of one core, by stretching the time between its ticks."""

from __future__ import annotations

LONGEST_INTERVAL = 0.5
MOST_CREDIT = 0.01
"""CPU seconds that may be saved up while there is little to do: a first second at full resolution."""
_RESERVE = MOST_CREDIT / 2
"""Of these, the part that is kept for operations that are likely to become slow."""
_LONG_RUN = 0.8
"""The share of the limit that is used in the long run, so that the credit does not carry it over."""


class Governor:
    """A budget: it grows with time, by `limit` seconds a second, and shrinks by what the sampler uses."""

    def __init__(self, limit: float = 0.01) -> None:
        self.limit = limit
        self._debt = -MOST_CREDIT

    def account(self, cost: float, elapsed: float) -> None:
        """Note that the sampler used `cost` CPU seconds in `elapsed` seconds."""
        self._debt = max(self._debt + cost - elapsed * self.limit * _LONG_RUN, -MOST_CREDIT)

    def interval(self, wanted: float, *, at_risk: bool = True) -> float:
        """Return the seconds until the next tick: `wanted`, or as many more as the budget asks for.

        Unless an operation is `at_risk` of becoming slow, some of the budget is kept for one that will be.
        """
        debt = self._debt if at_risk else self._debt + _RESERVE
        return max(wanted, min(debt / (self.limit * _LONG_RUN), LONGEST_INTERVAL))
