"""An operation for `memory.py`, in a process of its own: `python -m benchmarks.guards.growth SECONDS`.

Prints the growth in MB within it, how often it was looked at, and the growth without profkit in a tenth of the time.
"""

from __future__ import annotations

import gc
import sys

import psutil

from benchmarks.guards.measuring import watching
from benchmarks.guards.work import descend

DEPTH = 60
_WARM_UP = 1.0
"""Seconds of an operation before, after which all is imported and every function has been seen."""


def main(seconds: float) -> None:
    """Run it."""
    bare = grow(seconds / 10)
    with watching(threshold=0.5) as profiler:
        watched = profiler.profile(grow)
        watched(_WARM_UP)
        profiler.flush()
        before = profiler.sampler.ticks
        growth = watched(seconds)
        ticks = profiler.sampler.ticks - before
    print(growth, ticks, bare)


def grow(seconds: float) -> float:
    """Work at some depth; return by how many MB the process has grown."""
    gc.collect()
    process = psutil.Process()
    before = process.memory_info().rss
    descend(DEPTH, seconds)
    return (process.memory_info().rss - before) / 2**20


if __name__ == "__main__":
    main(float(sys.argv[1]))
