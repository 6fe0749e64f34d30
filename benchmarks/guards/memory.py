"""What a long operation leaves in memory while it runs: the growth of the resident memory of a process of its own."""

from __future__ import annotations

import gc
import subprocess
import sys
from pathlib import Path

import psutil

from benchmarks.guards.measuring import Measurement, watching
from benchmarks.guards.work import descend

_ROOT = Path(__file__).resolve().parents[2]
_DEPTH = 60
_SECONDS = 60.0
_WARM_UP = 1.0
"""Seconds of an operation before, after which all is imported and every function has been seen."""


def long_operation() -> tuple[Measurement, ...]:
    """A minute at depth 60."""
    return (grown(_SECONDS),)


def grown(seconds: float) -> Measurement:
    """Return the growth during an operation of so many seconds."""
    command = [sys.executable, "-m", "benchmarks.guards.memory", str(seconds)]
    done = subprocess.run(command, cwd=_ROOT, stdout=subprocess.PIPE, text=True, check=True)
    growth, ticks, bare = (float(word) for word in done.stdout.split())
    name = f"{seconds:.0f} s operation at depth {_DEPTH}, growth of resident memory"
    detail = f"{ticks:.0f} ticks; a tenth of the time without profkit, before: {bare:.2f} MB"
    return Measurement(name, growth, 1.0, "MB", detail)


def main(seconds: float) -> None:
    """Print the growth in MB within an operation, its ticks, and the growth without one."""
    bare = _growth(seconds / 10)
    with watching(threshold=0.5) as profiler:
        watched = profiler.profile(_growth)
        watched(_WARM_UP)
        profiler.flush()
        before = profiler.sampler.ticks
        growth = watched(seconds)
        ticks = profiler.sampler.ticks - before
    print(growth, ticks, bare)


def _growth(seconds: float) -> float:
    gc.collect()
    process = psutil.Process()
    before = process.memory_info().rss
    descend(_DEPTH, seconds)
    return (process.memory_info().rss - before) / 2**20


if __name__ == "__main__":
    main(float(sys.argv[1]))
