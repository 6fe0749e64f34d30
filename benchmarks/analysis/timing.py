"""Whole processes, timed: their seconds, and the most memory that they and those they started had at a time."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import psutil

_LOOK = 0.05
_MB = 2**20


class Run(NamedTuple):
    """Wall seconds of a process, and its peak of resident memory in MB, with that of its own processes.

    What several of them share is counted in each. `largest` is the most that one of them had.
    """

    seconds: float
    memory: float
    largest: float


def run(command: Sequence[str | Path]) -> Run:
    """Run a command to its end; raises CalledProcessError if it fails."""
    # An installed package has its bytecode; here it must not be compiled anew each time.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    started = time.perf_counter()
    process = subprocess.Popen(
        [str(word) for word in command], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=environment
    )
    memory = largest = 0.0
    while process.poll() is None:
        sizes = _sizes(process.pid)
        memory, largest = max(memory, sum(sizes)), max(largest, *sizes, 0.0)
        time.sleep(_LOOK)
    seconds = time.perf_counter() - started
    errors = process.communicate()[1]
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, process.args, stderr=errors)
    return Run(seconds, memory, largest)


def profkit(*arguments: str | Path) -> list[str | Path]:
    """Return the command line of profkit's own command."""
    return [Path(sys.executable).with_name("profkit"), *arguments]


def _sizes(pid: int) -> list[float]:
    try:
        process = psutil.Process(pid)
        return [one.memory_info().rss / _MB for one in (process, *process.children(recursive=True))]
    except psutil.Error:
        return []  # it, or one that it started, has just ended
