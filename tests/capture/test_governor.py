from __future__ import annotations

from collections.abc import Iterator

import pytest

from profkit import PerformanceProfiler, Settings
from profkit.sampling.governor import MOST_CREDIT, Governor

TICK = 0.0003
WANTED = 0.01


def looks(governor: Governor, seconds: float, *, few: bool, cost: float = TICK) -> tuple[int, float]:
    """Tick for so long; return how many ticks there were and the CPU seconds they used."""
    ticks, now = 0, 0.0
    while now < seconds:
        interval = governor.interval(WANTED)
        governor.account(cost, interval, few=few)
        now += interval
        ticks += 1
    return ticks, ticks * cost


def test_a_few_operations_that_become_slow_are_seen_at_every_interval_for_seconds() -> None:
    ticks, _ = looks(Governor(0.01), 3.0, few=True)
    assert ticks == pytest.approx(300, rel=0.02)


def test_nothing_is_put_by_for_the_others() -> None:
    _, used = looks(Governor(0.01), 10.0, few=False)
    assert used <= MOST_CREDIT + 0.01 * 10.0


def test_in_a_minute_the_limit_holds_whatever_is_in_flight() -> None:
    for few in (False, True):
        for cost in (0.00005, TICK, 0.001):
            _, used = looks(Governor(0.01), 60.0, few=few, cost=cost)
            assert used <= 0.01 * 60.0, (few, cost)


def test_what_was_put_by_comes_back_only_from_what_is_not_used() -> None:
    governor = Governor(0.01)
    looks(governor, 30.0, few=True)
    first, _ = looks(governor, 3.0, few=True)
    assert first < 100, "it was spent"
    governor.account(0.0, 30.0)
    again, _ = looks(governor, 3.0, few=True)
    assert again == pytest.approx(300, rel=0.02)


def test_what_is_put_by_follows_the_limit() -> None:
    ticks, used = looks(Governor(0.005), 10.0, few=True)
    assert ticks > 200
    assert used <= 0.005 * 20 + MOST_CREDIT


@pytest.fixture
def profiler() -> Iterator[PerformanceProfiler]:
    kept: list[object] = []
    profiler = PerformanceProfiler(Settings(threshold=60.0, on_profile=kept.append))
    yield profiler
    profiler.shutdown()


def test_a_capture_has_its_looks_though_operations_have_used_up_their_budget(
    profiler: PerformanceProfiler,
) -> None:
    profiler.sampler._governor.account(10.0, 0.0)
    assert profiler.sampler.real_interval == 0.2
    assert profiler.capture(1.0).sampling.ticks > 20
    assert profiler.sampler.real_interval == 0.2


def test_captures_leave_operations_their_budget(profiler: PerformanceProfiler) -> None:
    before = profiler.sampler._governor._debt
    profiler.sampler._capture_governor.account(10.0, 0.0)  # as much as the most expensive could cost
    assert profiler.capture(0.5).sampling.ticks <= 5, "even a capture has a limit"
    assert profiler.sampler._governor._debt <= before
    with profiler.operation("some"):
        assert profiler.sampler.real_interval == pytest.approx(0.01)
