"""Quantiles of durations in bounded memory that merge in any order, to 1 %.

Counts in buckets that grow by 2 %, as in DDSketch (Masson, Rim, Lee, VLDB 2019): bucket k holds (g^(k-1), g^k] with
g = 1.02, and a quantile is answered with the bucket's geometric middle, so it is off by 1 % at most.
"""

from __future__ import annotations

import math

_GROWTH = math.log(1.02)
_SHORTEST = 1e-6
_LONGEST = 1e9


class DurationSketch:
    """Counts of durations in seconds; those outside of 1 us to 30 years count at the end they are beyond."""

    def __init__(self) -> None:
        self._counts: dict[int, int] = {}

    def add(self, seconds: float, count: int) -> None:
        """Count `seconds` `count` times."""
        bucket = math.ceil(math.log(min(max(seconds, _SHORTEST), _LONGEST)) / _GROWTH)
        self._counts[bucket] = self._counts.get(bucket, 0) + count

    def merge(self, other: DurationSketch) -> None:
        """Add the other's counts to these."""
        for bucket, count in other._counts.items():
            self._counts[bucket] = self._counts.get(bucket, 0) + count

    def quantile(self, share: float) -> float:
        """Return the seconds that `share` (0 to 1) of the durations do not exceed; 0 if none were counted."""
        left = share * sum(self._counts.values())
        for bucket in sorted(self._counts):
            left -= self._counts[bucket]
            if left <= 0:
                return math.exp((bucket - 0.5) * _GROWTH)
        return 0.0
