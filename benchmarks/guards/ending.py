"""What the end of a slow operation costs its caller, from the last line of its block to the first after it."""

from __future__ import annotations

import statistics
import time

from benchmarks.guards import measuring
from benchmarks.guards.measuring import Measurement, watching
from profkit import PerformanceProfiler
from profkit_storage import Profile

_SPANS = 10_000


def slow_end() -> tuple[Measurement, ...]:
    """The end of an operation in which 10,000 others ended."""
    profiles: list[Profile] = []
    with watching(profiles, threshold=0.01) as profiler:
        # Each by a name of its own: of one name a few a minute are kept, and the end of the others costs less.
        ends = [_end_of_many(profiler, f"slow {number}") for number in range(1 + measuring.PAIRS)][1:]
    kept = sum(profile.operation.startswith("slow") for profile in profiles) - 1
    detail = f"median of {len(ends)}, the largest {max(ends):.0f} us; {kept} of them kept"
    name = f"end of a slow operation of {_SPANS:,} spans"
    return (Measurement(name, statistics.median(ends), 200.0, "us", detail),)


def _end_of_many(profiler: PerformanceProfiler, name: str) -> float:
    with profiler.operation(name):
        for _ in range(_SPANS):
            with profiler.operation("span"):
                pass
        ending = time.perf_counter()
    ended = time.perf_counter()
    profiler.flush()
    return (ended - ending) * 1e6
