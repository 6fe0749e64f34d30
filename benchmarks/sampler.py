"""What the sampler's own thread uses, by `python -m benchmarks.sampler`: its share of a core and its real interval."""

from __future__ import annotations

import asyncio
import statistics
import threading
import time
from collections.abc import Callable

from benchmarks.guards.measuring import watching
from benchmarks.guards.work import fib
from profkit.sampling.sampler import Sampler

WAKES = 200
TASKS = 500


def wake_up() -> float:
    """Return the CPU microseconds of a thread that does nothing but wake every 10 ms, beside a busy one."""
    costs: list[float] = []

    def sleep() -> None:
        before = time.thread_time()
        for _ in range(WAKES):
            time.sleep(0.01)
        costs.append((time.thread_time() - before) / WAKES * 1e6)

    thread = threading.Thread(target=sleep)
    thread.start()
    while thread.is_alive():
        fib(15)
    return costs[0]


def one_busy_operation(seconds: float = 4.0) -> str:
    """Watch one operation that computes."""
    with watching() as profiler:

        @profiler.profile
        def work() -> None:
            until = time.perf_counter() + seconds
            while time.perf_counter() < until:
                fib(15)

        return _measured(profiler.sampler, work)


def many_tasks(seconds: float = 6.0) -> str:
    """Watch 500 tasks, each of which wakes every 10 to 60 ms."""
    with watching() as profiler:

        @profiler.profile
        async def work(number: int) -> None:
            pause = 0.01 + number / 10_000
            for _ in range(int(seconds / pause)):
                await asyncio.sleep(pause)

        async def main() -> None:
            await asyncio.gather(*(work(number) for number in range(TASKS)))

        return _measured(profiler.sampler, lambda: asyncio.run(main()))


def _measured(sampler: Sampler, run: Callable[[], object]) -> str:
    started = time.perf_counter()
    run()
    wall, ticks, cpu = time.perf_counter() - started, sampler.ticks, sampler.cpu
    return (
        f"{cpu / wall:.2%} of a core, a tick every {wall / ticks * 1e3:.0f} ms at {cpu / ticks * 1e6:.0f} us "
        f"({ticks} ticks in {wall:.1f} s)"
    )


if __name__ == "__main__":
    print(f"a thread that only wakes: {statistics.median(wake_up() for _ in range(3)):.0f} us of CPU a time")
    print(f"one busy operation: {one_busy_operation()}")
    print(f"{TASKS} tasks: {many_tasks()}")
