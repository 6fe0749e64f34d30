"""What an operation costs that computes: CPU seconds of the whole process, the sampler's among them, against bare."""

from __future__ import annotations

import asyncio
import statistics
from collections.abc import Callable

from benchmarks.guards.measuring import Measurement, Resting, Side, cpu_seconds, ratios, spread, watching
from benchmarks.guards.work import await_20_000_times, encode_and_decode, fib_27, walk_tree
from profkit import PerformanceProfiler

_LIMIT = 1.02
_SLACK = 0.03
_WARM_UPS = 5
"""About half a second, after which the sampler has used up what it had saved: from then on it is as it is for long."""


def fib_in_operation() -> tuple[Measurement, ...]:
    """Calls of a Python function, and nothing else."""
    return _of_function("fib(27) in an operation, CPU", fib_27)


def tree_in_operation() -> tuple[Measurement, ...]:
    """A JSON document walked in Python."""
    return _of_function("JSON tree walked in Python, CPU", walk_tree)


def orjson_in_operation() -> tuple[Measurement, ...]:
    """A C library that holds the GIL for some milliseconds at a time."""
    return _of_function("orjson of 1 MB, CPU", encode_and_decode)


def awaits_in_operation() -> tuple[Measurement, ...]:
    """A coroutine that hands over to the event loop very often."""
    with watching() as profiler:
        watched = profiler.profile(await_20_000_times)
        return _compared(
            "20,000 awaits, CPU",
            profiler,
            lambda: cpu_seconds(lambda: asyncio.run(await_20_000_times())),
            lambda: cpu_seconds(lambda: asyncio.run(watched())),
        )


def _of_function(name: str, function: Callable[[], None]) -> tuple[Measurement, ...]:
    with watching() as profiler:
        watched = profiler.profile(function)
        return _compared(name, profiler, lambda: cpu_seconds(function), lambda: cpu_seconds(watched))


def _compared(name: str, profiler: PerformanceProfiler, bare: Side, watched: Side) -> tuple[Measurement, ...]:
    resting, sampler = Resting(profiler), profiler.sampler
    once = [resting.watched(watched) for _ in range(_WARM_UPS)]
    cpu, ticks = sampler.cpu, sampler.ticks
    found = ratios(lambda: resting.bare(bare), lambda: resting.watched(watched))
    tick = (sampler.cpu - cpu) / max(1, sampler.ticks - ticks) * 1e6
    detail = f"{spread(found)}; {min(once) * 1e3:.0f} ms an operation, {tick:.0f} us a tick"
    return (Measurement(name, statistics.median(found), _LIMIT, "times bare", detail, _SLACK),)
