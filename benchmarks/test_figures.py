"""What single steps cost, by pytest-benchmark: `make bench`."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Iterator
from typing import Any

import greenlet
import pytest

from profkit import PerformanceProfiler, Settings
from profkit.sampling import switches
from profkit_storage import Profile
from profkit_storage.codec import decode, encode


@pytest.fixture
def profiler() -> Iterator[PerformanceProfiler]:
    profiler = PerformanceProfiler(Settings(storage="memory://", threshold=60.0, interval=1.0))
    yield profiler
    profiler.shutdown()


@pytest.fixture
def profile() -> Profile:
    """A real profile of about half a second, three threads' worth of different stacks."""
    kept: list[Profile] = []
    profiler = PerformanceProfiler(Settings(on_profile=kept.append, threshold=0.0))

    @profiler.profile
    def work(depth: int) -> int:
        return work.__wrapped__(depth - 1) if depth else sum(sum(range(200)) for _ in range(50_000))

    work(40)
    profiler.shutdown()
    return kept[0]


def deep(levels: int, then: Callable[[], object]) -> object:
    return deep(levels - 1, then) if levels else then()


def test_empty_function(benchmark: Any, profiler: PerformanceProfiler) -> None:
    benchmark(profiler.profile(lambda: None))


def test_empty_with_block(benchmark: Any, profiler: PerformanceProfiler) -> None:
    def block() -> None:
        with profiler.operation("block"):
            pass

    benchmark(block)


def test_empty_function_switched_off(benchmark: Any) -> None:
    profiler = PerformanceProfiler(Settings(storage="memory://", enabled=False))
    benchmark(profiler.profile(lambda: None))


def test_tick_of_a_thread_40_deep(benchmark: Any, profiler: PerformanceProfiler) -> None:
    stop, ready = threading.Event(), threading.Event()

    def wait() -> None:
        ready.set()
        stop.wait()

    thread = threading.Thread(target=profiler.profile(deep), args=(40, wait))
    thread.start()
    ready.wait()
    benchmark(profiler.sampler.tick)
    stop.set()
    thread.join()


def test_tick_of_200_suspended_tasks(benchmark: Any, profiler: PerformanceProfiler) -> None:
    @profiler.profile
    async def work(stop: asyncio.Event) -> None:
        await stop.wait()

    async def main() -> None:
        stop = asyncio.Event()
        tasks = [asyncio.create_task(work(stop)) for _ in range(200)]
        await asyncio.sleep(0)
        benchmark(profiler.sampler.tick)
        stop.set()
        await asyncio.gather(*tasks)

    asyncio.run(main())


def test_encode(benchmark: Any, profile: Profile) -> None:
    benchmark.extra_info["bytes"] = len(benchmark(encode, profile))


def test_decode(benchmark: Any, profile: Profile) -> None:
    benchmark(decode, encode(profile))


@pytest.mark.parametrize("noted", [False, True], ids=["plain", "noted"])
def test_a_thousand_switches_of_greenlets(benchmark: Any, *, noted: bool) -> None:
    """What the trace of a thread whose greenlets are followed adds to each."""
    if noted:
        switches.note_switches()
    main = greenlet.getcurrent()

    def switch() -> None:
        while True:
            main.switch()

    other = greenlet.greenlet(switch)

    def thousand() -> None:
        for _ in range(500):
            other.switch()

    try:
        benchmark(thousand)
    finally:
        greenlet.settrace(None)
