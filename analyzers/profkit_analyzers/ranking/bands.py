"""Runs of an operation by how long they took: what the slowest spend their time on, beside what the usual ones do.

A band is a tenth wide: band k holds durations over 1.1**(k-1) up to 1.1**k seconds.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import NamedTuple

_WIDTH = math.log(1.1)
_SHORTEST = 1e-6
_USUAL = 0.4, 0.6
_SLOWEST = 0.99


class BandShares(NamedTuple):
    """What part one blame has of the seconds of runs around the median, and of those from the 99th percentile on."""

    p50: float
    p99: float


class Band(NamedTuple):
    """The bands from `first` to `last`."""

    first: int
    last: int


def band_of(seconds: float) -> int:
    """Return the band of a duration."""
    return math.ceil(math.log(max(seconds, _SHORTEST)) / _WIDTH)


def usual_and_slowest(operations: Mapping[int, int]) -> tuple[Band, Band]:
    """Return the bands of the middle fifth of the runs, and those from the 99th percentile on.

    `operations` is how many runs (of any unit) each band has; there must be one.
    """
    last = max(operations)
    return (
        Band(_quantile(operations, _USUAL[0]), _quantile(operations, _USUAL[1])),
        Band(_quantile(operations, _SLOWEST), last),
    )


def seconds_in(band: Band, spent: Mapping[int, int]) -> int:
    """Return what was spent, in the unit of `spent`, in runs of these bands."""
    return sum(amount for number, amount in spent.items() if band.first <= number <= band.last)


def _quantile(operations: Mapping[int, int], share: float) -> int:
    left = share * sum(operations.values())
    for number in sorted(operations):
        left -= operations[number]
        if left <= 0:
            return number
    return max(operations)
