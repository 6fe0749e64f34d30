"""Long by nature: everything at once for a while, with nothing lost, leaked or charged to another."""

from __future__ import annotations

import asyncio
import gc
import random
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psutil
import pytest

pytestmark = pytest.mark.soak
SECONDS = 15.0


def recurse(levels: int, then: Callable[[], None]) -> None:
    if levels:
        recurse(levels - 1, then)
    else:
        then()


def make_garbage() -> None:
    ring: list[object] = []
    ring.extend({"ring": ring} for _ in range(200))


def test_threads_tasks_and_collections_at_once(
    make_captured: Any, spin: Callable[[float], None], assert_conserved: Any, roots_of: Any
) -> None:
    # At 0.05 s nearly all of 1,400 a second are slow, more than one recorder turns into profiles; at 0.2 s some threads
    # must be slow of themselves, since on a quiet machine none is kept waiting for so long.
    captured = make_captured(threshold=0.2, interval=0.005, queue_size=10_000)
    profiler = captured.profiler
    until = time.monotonic() + SECONDS

    @profiler.profile("threaded")
    def threaded(chance: random.Random) -> None:
        make_garbage()
        recurse(chance.randrange(300), lambda: spin(0.002))
        time.sleep(0.25 if chance.random() < 0.05 else chance.random() * 0.08)
        if chance.random() < 0.2:
            raise LookupError

    @profiler.profile("awaited")
    async def awaited(chance: random.Random) -> None:
        for _ in range(3):
            with profiler.operation("step"):
                await asyncio.sleep(chance.random() * 0.03)
        spin(0.001)

    def run_threads(seed: int) -> int:
        chance, count = random.Random(seed), 0
        while time.monotonic() < until:
            thread = threading.Thread(target=lambda: _quietly(threaded, chance))
            thread.start()
            thread.join()
            count += 1
        return count

    async def worker(seed: int) -> int:
        chance, count = random.Random(seed), 0
        while time.monotonic() < until:
            await awaited(chance)
            count += 1
        return count

    async def run_tasks() -> int:
        return sum(await asyncio.gather(*(worker(seed) for seed in range(100))))

    before = gc.get_threshold()
    gc.set_threshold(50, 5, 5)
    memory = psutil.Process().memory_info().rss
    try:
        with ThreadPoolExecutor(4) as pool:
            counts = pool.map(run_threads, range(4))
            tasks = asyncio.run(run_tasks())
            threads = sum(counts)
    finally:
        gc.set_threshold(*before)
    profiles = captured.all()
    assert profiler.stats()["operations"] == threads + tasks * 4
    assert len(profiles) == profiler.stats()["slow"] > 200
    assert set().union(*map(roots_of, profiles)) == {"threaded", "awaited"}
    list(map(assert_conserved, profiles))
    assert psutil.Process().memory_info().rss - memory < 300 * 2**20


def test_a_long_operation_costs_no_more_memory_than_a_short_one(make_captured: Any) -> None:
    captured = make_captured(threshold=0.1, interval=0.001, max_samples=200)

    @captured.profiler.profile("long")
    def long() -> None:
        until = time.monotonic() + SECONDS
        while time.monotonic() < until:
            random.random()
            time.sleep(0.001)
            sum(range(1000))

    long()
    profile = captured.one()
    assert len(profile.samples) <= 200
    assert sum(sample.wall for sample in profile.samples) + profile.sampling.unobserved == pytest.approx(
        profile.wall
    )


def test_the_samplers_cost_stays_under_its_limit_with_many_tasks(make_captured: Any) -> None:
    captured = make_captured(threshold=60.0, interval=0.001, max_overhead=0.01)

    @captured.profiler.profile
    async def work(number: int) -> None:
        pause = 0.01 + number / 10_000
        for _ in range(int(SECONDS / 2 / pause)):
            await asyncio.sleep(pause)

    async def main() -> None:
        await asyncio.gather(*(work(number) for number in range(500)))

    before, started = captured.profiler.sampler.cpu, time.monotonic()
    asyncio.run(main())
    share = (captured.profiler.sampler.cpu - before) / (time.monotonic() - started)
    assert share < 0.02, "the limit is 1 % of a core; this machine is shared"


def _quietly(function: Callable[[random.Random], None], chance: random.Random) -> None:
    try:
        function(chance)
    except LookupError:
        pass
