"""Work in bursts shorter than the switch interval: the sampler is given the GIL where the other thread blocks."""

from __future__ import annotations

import asyncio
import random
import time
from typing import Any

import pytest

from profkit_storage import Profile, State

_BURSTS = 150


def bursts() -> list[tuple[float, float]]:
    """Seconds to compute and to wait, over and over: a third of the time on the CPU."""
    draw = random.Random(5)
    return [(draw.uniform(0.001, 0.004), draw.uniform(0.003, 0.007)) for _ in range(_BURSTS)]


def running(profile: Profile) -> float:
    return sum(sample.wall for sample in profile.samples if sample.state is State.RUNNING)


def test_bursts_among_blocking_calls_have_their_share(
    captured: Any, spin: Any, assert_conserved: Any
) -> None:
    @captured.profiler.profile
    def work() -> float:
        began = time.thread_time()
        for computing, waiting in bursts():
            spin(computing)
            time.sleep(waiting)
        return time.thread_time() - began

    used = work()
    profile: Profile = captured.one()
    assert_conserved(profile)
    assert running(profile) == pytest.approx(used, rel=0.25)


def test_bursts_among_awaits_have_their_share(captured: Any, spin: Any, assert_conserved: Any) -> None:
    @captured.profiler.profile
    async def work() -> float:
        began = time.thread_time()
        for computing, waiting in bursts():
            spin(computing)
            await asyncio.sleep(waiting)
        return time.thread_time() - began

    used = asyncio.run(work())
    profile: Profile = captured.one()
    assert_conserved(profile)
    assert running(profile) == pytest.approx(used, rel=0.25)


def test_a_task_that_waits_has_nothing_of_what_its_neighbours_run(captured: Any, spin: Any) -> None:
    async def neighbour() -> None:
        for computing, waiting in bursts():
            spin(computing)
            await asyncio.sleep(waiting)

    @captured.profiler.profile
    async def work() -> None:
        await asyncio.sleep(0.5)

    async def main() -> None:
        beside = asyncio.create_task(neighbour())
        await work()
        await beside

    asyncio.run(main())
    assert running(captured.one()) < 0.025
