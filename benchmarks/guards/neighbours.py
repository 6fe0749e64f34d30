"""What an operation in one thread costs the others: the seconds they take while it waits, against bare."""

from __future__ import annotations

import statistics
import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager

from benchmarks.guards.measuring import Measurement, Resting, ratios, spread, wall_seconds, watching
from benchmarks.guards.work import fib, fib_27
from profkit import PerformanceProfiler

_THREADS = 4


def innocent_thread() -> tuple[Measurement, ...]:
    """One thread that computes and is no operation."""
    return _measured("fib(27) in a thread beside a waiting operation, wall", fib_27, 1.01, 0.04)


def four_threads() -> tuple[Measurement, ...]:
    """Threads that fight for the GIL suffer most from a sampler that wants it too, and from a short switch interval."""
    return _measured("4 CPU-bound threads beside a waiting operation, wall", compute_in_threads, 1.03)


def compute_in_threads() -> None:
    """Have four threads compute at once."""
    threads = [threading.Thread(target=fib, args=(25,)) for _ in range(_THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def _measured(
    name: str, function: Callable[[], None], limit: float, slack: float = 0.0
) -> tuple[Measurement, ...]:
    with watching() as profiler:
        resting = Resting(profiler)

        def bare() -> float:
            return wall_seconds(function)

        def watched() -> float:
            with operation_waiting(profiler):
                return wall_seconds(function)

        resting.watched(watched)
        found = ratios(lambda: resting.bare(bare), lambda: resting.watched(watched))
    return (Measurement(name, statistics.median(found), limit, "times bare", spread(found), slack),)


@contextmanager
def operation_waiting(profiler: PerformanceProfiler) -> Generator[None]:
    """Have another thread in an operation that waits."""
    started, stop = threading.Event(), threading.Event()

    @profiler.profile
    def wait() -> None:
        started.set()
        stop.wait()

    thread = threading.Thread(target=wait)
    thread.start()
    try:
        if not started.wait(10):
            raise RuntimeError("the operation did not begin")
        yield
    finally:
        stop.set()
        thread.join()
