"""An interval says what it says: it holds the truth nineteen times in twenty, whatever the distribution."""

from __future__ import annotations

import random

import pytest

from profkit_analyzers.bootstrap import GROUPS, Interval, group_of, intervals
from profkit_storage.ulid import new_ulid


def drawn(source, count, value):
    sums = [0] * GROUPS
    for _ in range(count):
        sums[source.randrange(GROUPS)] += round(value(source) * 1e6)
    return sums


@pytest.mark.parametrize(("count", "least"), [(40, 0.86), (400, 0.91)])
@pytest.mark.parametrize(
    "value",
    [
        lambda source: source.lognormvariate(0.0, 1.0),
        lambda source: source.expovariate(1.0) if source.random() < 0.5 else 0.0,
    ],
)
def test_the_truth_is_within_ninety_times_in_a_hundred(count, least, value):
    source = random.Random(11)
    truth = sum(value(source) for _ in range(200_000)) / 200_000
    # As many operations as a Poisson number says are slow in a window: a sum, and not a mean, is what is estimated.
    trials = 300
    found = intervals([drawn(source, round(source.gauss(count, count**0.5)), value) for _ in range(trials)])
    held = sum(low <= truth * count * 1e6 <= high for low, high in found)
    # Of a few that are as uneven as this, too few are caught: the longest are still missing.
    assert least * trials <= held <= 0.985 * trials


def test_one_operation_alone_is_no_evidence():
    sums = [0] * GROUPS
    sums[5] = 1_000_000
    assert intervals([sums])[0].low == 0


def test_nothing_has_no_interval_and_a_sum_of_nothing_is_nothing():
    assert intervals([]) == []
    assert intervals([[0] * GROUPS]) == [Interval(0.0, 0.0)]


def test_operations_fall_into_groups_evenly_and_always_the_same():
    source = random.Random(5)
    ids = [new_ulid(source.randrange(10**18, 2 * 10**18)) for _ in range(64 * 200)]
    counts = [0] * GROUPS
    for id in ids:
        counts[group_of(id)] += 1
    assert min(counts) > 130
    assert max(counts) < 280
    assert group_of("01KKPEA9M7NRT9DW32DS6SYR7E") == group_of("01KKPEA9M7NRT9DW32DS6SYR7E")


def test_the_more_operations_the_narrower():
    source = random.Random(3)
    (few,), (many,) = (intervals([drawn(source, count, lambda _: 1.0)]) for count in (100, 40_000))
    assert (few.high - few.low) / 100e6 == pytest.approx(0.39, abs=0.12)  # 2 * 1.96 / sqrt(100)
    assert (many.high - many.low) / 40_000e6 == pytest.approx(0.0196, abs=0.006)
