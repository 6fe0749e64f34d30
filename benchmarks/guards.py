"""The ratios that must hold, each measured in pairs within one run, so that a noisy machine is noisy for both sides.

`python -m benchmarks.run` prints them; tests/test_guards.py holds them, with a margin and one retry.
"""

from __future__ import annotations

import asyncio
import statistics
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import orjson
from pyinstrument import Profiler

from profkit import PerformanceProfiler, Settings
from profkit_storage import Profile

PAIRS = 15
CALLS = 20_000
STARTS = 200


@dataclass(frozen=True)
class Measurement:
    """A figure beside what it must be: `value` at most `limit`, both in `unit`; `detail` says what was measured."""

    name: str
    value: float
    limit: float
    unit: str
    detail: str

    @property
    def holds(self) -> bool:
        """Whether the figure is within its limit."""
        return self.value <= self.limit


@contextmanager
def watching(profiles: list[Profile] | None = None, threshold: float = 60.0) -> Iterator[PerformanceProfiler]:
    """Run a profiler with its defaults, whose profiles go to a list."""
    keep = (profiles if profiles is not None else []).append
    profiler = PerformanceProfiler(Settings(threshold=threshold, on_profile=keep))
    try:
        yield profiler
    finally:
        profiler.shutdown()


def nothing() -> None:
    """Do nothing."""


async def nothing_awaited() -> None:
    """Do nothing, as a coroutine."""


def fib(n: int) -> int:
    """Call functions, many of them."""
    return n if n < 2 else fib(n - 1) + fib(n - 2)


def function_against_pyinstrument() -> Measurement:
    """An empty function decorated, beside starting and stopping a pyinstrument Profiler."""
    with watching() as profiler:
        decorated = profiler.profile(nothing)
        pairs = [(_cost(decorated) - _cost(nothing), _pyinstrument_cost()) for _ in range(PAIRS)]
    return _against_pyinstrument("empty function decorated", pairs, 1 / 15)


def coroutine_against_pyinstrument() -> Measurement:
    """An empty coroutine decorated, beside starting and stopping a pyinstrument Profiler in a loop."""

    async def measure() -> list[tuple[float, float]]:
        decorated = profiler.profile(nothing_awaited)
        return [
            (
                await _cost_awaited(decorated) - await _cost_awaited(nothing_awaited),
                _pyinstrument_cost(),
            )
            for _ in range(PAIRS)
        ]

    with watching() as profiler:
        pairs = asyncio.run(measure())
    return _against_pyinstrument("empty coroutine decorated", pairs, 1 / 10)


def fib_in_operation() -> Measurement:
    """fib(27) inside an operation, in CPU seconds of the process, beside the same bare."""
    with watching() as profiler:
        watched = profiler.profile(fib_27)
        fib_27()
        watched()
        ratios: list[float] = []
        for pair in range(PAIRS):
            first, second = (fib_27, watched) if pair % 2 else (watched, fib_27)
            costs = {first: _cpu(first), second: _cpu(second)}
            ratios.append(costs[watched] / costs[fib_27])
        interval = profiler.sampler.real_interval
    detail = f"median of {PAIRS} pairs; the sampler's real interval was {interval * 1e3:.0f} ms"
    return Measurement("fib(27) in an operation, CPU", statistics.median(ratios), 1.03, "times bare", detail)


def fib_27() -> None:
    """About a tenth of a second of calls."""
    fib(27)


def four_parts() -> Measurement:
    """Two seconds of four known parts: the largest error of a part, in per cent of the operation's time."""
    profiles: list[Profile] = []
    truth: dict[str, float] = {}
    with watching(profiles, threshold=0.5) as profiler:
        profiler.profile(_run_four_parts)(truth)
        profiler.flush()
    (profile,) = profiles
    seen = dict.fromkeys(truth, 0.0)
    for sample in profile.samples:
        for frame, _ in profile.stack(sample.node):
            if frame.qualname in seen:
                seen[frame.qualname] += sample.wall
                break
    errors = {name: abs(seen[name] - truth[name]) / profile.wall * 100 for name in truth}
    detail = ", ".join(f"{name} {seen[name]:.3f} s of {truth[name]:.3f} s" for name in truth)
    return Measurement("four known parts of 2 s, largest error", max(errors.values()), 3.0, "%", detail)


ALL: tuple[Callable[[], Measurement], ...] = (
    function_against_pyinstrument,
    coroutine_against_pyinstrument,
    fib_in_operation,
    four_parts,
)


def _run_four_parts(truth: dict[str, float]) -> None:
    for part in (first_spin, second_spin, pause, serialize):
        started = time.perf_counter()
        part()
        truth[part.__name__] = time.perf_counter() - started


def first_spin() -> None:
    """Half a second in Python."""
    _spin_until(time.perf_counter() + 0.5)


def second_spin() -> None:
    """Seven tenths of a second in Python."""
    _spin_until(time.perf_counter() + 0.7)


def pause() -> None:
    """Four tenths of a second asleep."""
    time.sleep(0.4)


def serialize() -> None:
    """Four tenths of a second in a C serializer that holds the GIL for about 20 ms at a time."""
    data = [{"id": number, "name": f"row {number}", "price": number / 7} for number in range(100_000)]
    until = time.perf_counter() + 0.4
    while time.perf_counter() < until:
        orjson.dumps(data)


def _spin_until(until: float) -> None:
    while time.perf_counter() < until:
        fib(8)


def _cost(function: Callable[[], object]) -> float:
    started = time.perf_counter()
    for _ in range(CALLS):
        function()
    return (time.perf_counter() - started) / CALLS


async def _cost_awaited(function: Callable[[], Awaitable[object]]) -> float:
    started = time.perf_counter()
    for _ in range(CALLS):
        await function()
    return (time.perf_counter() - started) / CALLS


def _pyinstrument_cost() -> float:
    started = time.perf_counter()
    for _ in range(STARTS):
        profiler = Profiler()
        profiler.start()
        profiler.stop()
    return (time.perf_counter() - started) / STARTS


def _cpu(function: Callable[[], object]) -> float:
    started = time.process_time()
    function()
    return time.process_time() - started


def _against_pyinstrument(name: str, pairs: list[tuple[float, float]], limit: float) -> Measurement:
    ratio = statistics.median(ours / theirs for ours, theirs in pairs)
    ours = statistics.median(pair[0] for pair in pairs) * 1e9
    theirs = statistics.median(pair[1] for pair in pairs) * 1e9
    detail = f"{ours:,.0f} ns beside {theirs:,.0f} ns, median of {len(pairs)} pairs"
    return Measurement(name, ratio, limit, "of a Profiler's start and stop", detail)
