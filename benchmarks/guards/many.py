"""What many operations cost at once, in one event loop."""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

from benchmarks.guards.measuring import Measurement, Resting, cpu_seconds, ratios, spread, watching
from profkit.sampling.sampler import Sampler

_OVERLAPPING = 200
_SUSPENDED = 1_000
_SECONDS = 10.0


def overlapping() -> tuple[Measurement, ...]:
    """200 operations awake in turns."""
    with watching() as profiler:
        resting = Resting(profiler)
        watched = profiler.profile(await_100_times)

        def cost(function: Callable[[], Awaitable[None]]) -> float:
            return cpu_seconds(lambda: asyncio.run(_overlap(function)))

        found = ratios(
            lambda: resting.bare(lambda: cost(await_100_times)),
            lambda: resting.watched(lambda: cost(watched)),
            turns=1,
        )
    name = f"{_OVERLAPPING} overlapping operations that each await 100 times, CPU"
    return (Measurement(name, statistics.median(found), 1.3, "times bare", spread(found)),)


def suspended() -> tuple[Measurement, ...]:
    """1,000 operations that wait all the time."""
    with watching() as profiler:
        used = asyncio.run(_suspend(profiler.profile(_wait), profiler.sampler))
    detail = (
        f"{used.wall:.0f} s with {used.ticks} ticks at {used.sampler / used.ticks * 1e6:.0f} us; "
        f"the whole process used {used.process / used.wall:.2%}"
    )
    name = f"{_SUSPENDED:,} suspended operations, the sampler's CPU"
    return (Measurement(name, used.sampler / used.wall * 100, 1.0, "% of a core", detail),)


async def await_100_times() -> None:
    """Sleep 100 times, about a second in all."""
    for step in range(100):
        await asyncio.sleep(0.008 + step % 5 / 1000)


async def _overlap(function: Callable[[], Awaitable[None]]) -> None:
    await asyncio.gather(*(function() for _ in range(_OVERLAPPING)))


async def _wait(stop: asyncio.Event) -> None:
    await stop.wait()


@dataclass(frozen=True)
class _Used:
    """Seconds by the wall, of the process's CPU and of the sampler's, and its ticks."""

    wall: float
    process: float
    sampler: float
    ticks: int

    @classmethod
    def now(cls, sampler: Sampler) -> _Used:
        return cls(time.perf_counter(), time.process_time(), sampler.cpu, sampler.ticks)

    def since(self, before: _Used) -> _Used:
        return _Used(
            self.wall - before.wall,
            self.process - before.process,
            self.sampler - before.sampler,
            self.ticks - before.ticks,
        )


async def _suspend(wait: Callable[[asyncio.Event], Awaitable[None]], sampler: Sampler) -> _Used:
    stop = asyncio.Event()

    async def await_it() -> None:
        await wait(stop)

    tasks = [asyncio.create_task(await_it()) for _ in range(_SUSPENDED)]
    await asyncio.sleep(0)
    before = _Used.now(sampler)
    await asyncio.sleep(_SECONDS)
    used = _Used.now(sampler).since(before)
    stop.set()
    await asyncio.gather(*tasks)
    return used
