"""What a long operation leaves in memory while it runs: the growth of the resident memory of a process of its own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from benchmarks.guards.measuring import Measurement

_ROOT = Path(__file__).resolve().parents[2]
_SECONDS = 60.0


def long_operation() -> tuple[Measurement, ...]:
    """A minute at depth 60."""
    command = [sys.executable, "-m", "benchmarks.guards.growth", str(_SECONDS)]
    done = subprocess.run(command, cwd=_ROOT, stdout=subprocess.PIPE, text=True, check=True)
    growth, ticks, bare = (float(word) for word in done.stdout.split())
    detail = f"{ticks:.0f} ticks; {bare:.2f} MB in the first tenth of the time, without profkit"
    name = f"{_SECONDS:.0f} s operation at depth 60, growth of resident memory"
    return (Measurement(name, growth, 1.0, "MB", detail),)
