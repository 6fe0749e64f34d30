"""What a row of the table is made of: a figure beside its limit, pairs of runs, and a profiler to measure."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass

from profkit import PerformanceProfiler, Settings
from profkit_storage import Profile

PAIRS = 15
"""How many at least; `python -m benchmarks.run --pairs` asks for more."""
Side = Callable[[], float]
"""Runs one side of a pair once and returns what it cost."""


@dataclass(frozen=True)
class Measurement:
    """A figure beside what it must be: `value` at most `limit` (or `at_least`), both in `unit`.

    `slack` is how far beyond the limit a test lets it be on a machine that does other things too; `detail` says what
    was measured.
    """

    name: str
    value: float
    limit: float
    unit: str
    detail: str
    slack: float = 0.0
    at_least: bool = False

    @property
    def holds(self) -> bool:
        """Whether the figure is within its limit."""
        return self.excess <= 0

    @property
    def excess(self) -> float:
        """How far the figure is beyond its limit; below zero within it."""
        return self.limit - self.value if self.at_least else self.value - self.limit


Row = Callable[[], tuple[Measurement, ...]]
"""Measures once; gives one figure, or several of one run."""


@contextmanager
def watching(
    profiles: list[Profile] | None = None,
    threshold: float = 60.0,
) -> Generator[PerformanceProfiler]:
    """Run a profiler with its defaults, whose profiles go to a list."""
    keep = (profiles if profiles is not None else []).append
    profiler = PerformanceProfiler(Settings(threshold=threshold, on_profile=keep))
    try:
        yield profiler
    finally:
        profiler.shutdown()


def ratios(bare: Side, watched: Side, *, turns: int = 2) -> list[float]:
    """Return watched against bare of each pair, in which both take turns: a noisy machine is noisy for both."""
    found: list[float] = []
    for pair in range(PAIRS):
        costs = {bare: 0.0, watched: 0.0}
        for turn in range(pair, pair + turns):
            for side in (bare, watched) if turn % 2 else (watched, bare):
                costs[side] += side()
        found.append(costs[watched] / costs[bare])
    return found


def spread(values: list[float]) -> str:
    """Say how far apart the pairs are."""
    low, _, high = statistics.quantiles(values, n=4, method="inclusive")
    return f"median of {len(values)} pairs, half of them from {low:.3f} to {high:.3f}"


def cpu_seconds(function: Callable[[], object]) -> float:
    """Return the CPU seconds of the whole process while `function` runs."""
    started = time.process_time()
    function()
    return time.process_time() - started


def wall_seconds(function: Callable[[], object]) -> float:
    """Return the seconds that `function` takes."""
    started = time.perf_counter()
    function()
    return time.perf_counter() - started


class Resting:
    """Two sides of one process: without an operation, and the sampler's thread ended; with it awake as in a service.

    It goes on looking for a while after an operation, which would be counted among the cost of bare.
    """

    def __init__(self, profiler: PerformanceProfiler) -> None:
        self._sampler = profiler.sampler

    def bare(self, cost: Side) -> float:
        """Return the cost without a sampler."""
        self._sampler.stop(1.0)
        return cost()

    def watched(self, cost: Side) -> float:
        """Return the cost beside a sampler."""
        self._sampler.wake()
        return cost()
