"""What one operation costs that does nothing, beside what starting and stopping a pyinstrument Profiler costs.

A Profiler's start walks the stack, so the deeper it is called the dearer: all is measured in a thread of its own, whose
stack is short whoever measures.

The same against a span of opentelemetry-sdk, which only the peers' environment has, is in `benchmarks/peers`.
"""

from __future__ import annotations

import asyncio
import statistics
import sys
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor

from pyinstrument import Profiler

from benchmarks.guards import measuring
from benchmarks.guards.measuring import Measurement, watching
from benchmarks.guards.work import nothing, nothing_awaited

Pairs = list[tuple[float, float]]
"""Seconds of a call, and of a Profiler's start and stop."""
_BATCHES = 10
"""Of which the best counts: a short one may be left alone even by a crowded machine."""
_CALLS = 1_000
_STARTS = 20
_OLD = sys.version_info < (3, 12)
"""Where a Profiler's start costs half as much."""
_SLACK = 0.25
"""Of the limit."""


def function_call() -> tuple[Measurement, ...]:
    """An empty function decorated."""
    with watching() as profiler:
        decorated = profiler.profile(nothing)
        pairs = _in_thread(lambda: [_pair(decorated) for _ in range(measuring.PAIRS)])
    return (_compared("empty function decorated", pairs, 20 if _OLD else 30),)


def coroutine_call() -> tuple[Measurement, ...]:
    """An empty coroutine decorated."""

    async def measure() -> Pairs:
        decorated = profiler.profile(nothing_awaited)
        return [await _pair_awaited(decorated) for _ in range(measuring.PAIRS)]

    with watching() as profiler:
        pairs = _in_thread(lambda: asyncio.run(measure()))
    return (_compared("empty coroutine decorated", pairs, 12 if _OLD else 25),)


def _in_thread(measure: Callable[[], Pairs]) -> Pairs:
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(measure).result()


def _pair(decorated: Callable[[], object]) -> tuple[float, float]:
    batches = [(_cost(decorated), _cost(nothing), _pyinstrument_cost()) for _ in range(_BATCHES)]
    return _best(batches)


async def _pair_awaited(decorated: Callable[[], Awaitable[object]]) -> tuple[float, float]:
    batches = [
        (await _cost_awaited(decorated), await _cost_awaited(nothing_awaited), _pyinstrument_cost())
        for _ in range(_BATCHES)
    ]
    return _best(batches)


def _best(batches: list[tuple[float, float, float]]) -> tuple[float, float]:
    decorated, bare, theirs = (min(costs) for costs in zip(*batches, strict=True))
    return decorated - bare, theirs


def _cost(function: Callable[[], object]) -> float:
    started = time.perf_counter()
    for _ in range(_CALLS):
        function()
    return (time.perf_counter() - started) / _CALLS


async def _cost_awaited(function: Callable[[], Awaitable[object]]) -> float:
    started = time.perf_counter()
    for _ in range(_CALLS):
        await function()
    return (time.perf_counter() - started) / _CALLS


def _pyinstrument_cost() -> float:
    started = time.perf_counter()
    for _ in range(_STARTS):
        profiler = Profiler()
        profiler.start()
        profiler.stop()
    return (time.perf_counter() - started) / _STARTS


def _compared(name: str, pairs: Pairs, times: int) -> Measurement:
    ratio = statistics.median(ours / theirs for ours, theirs in pairs)
    ours = statistics.median(pair[0] for pair in pairs) * 1e9
    theirs = statistics.median(pair[1] for pair in pairs) * 1e9
    detail = f"1/{1 / ratio:.1f}: {ours:,.0f} ns beside {theirs:,.0f} ns, median of {len(pairs)} pairs"
    unit = f"(1/{times}) of a Profiler's start and stop"
    return Measurement(name, ratio, 1 / times, unit, detail, slack=_SLACK / times)
