"""How much CPU this process uses."""

from __future__ import annotations

import os
import threading
import time
from typing import Final

LEAST: Final = 0.5
"""Seconds between two readings that say something."""


class CpuMeter:
    """Reads the process's CPU clock, which all its threads drive, each time somebody looks."""

    def __init__(self) -> None:
        self._begin()

    def _begin(self) -> None:
        self._lock = threading.Lock()
        self._read = time.monotonic(), time.process_time()
        self._cores = 0.0
        self._pid = os.getpid()

    def cores(self) -> float:
        """Return CPU seconds a second, of all threads: since the last look, at first since the meter was made.

        0 at the first look in a forked child, where there is nothing to compare with.
        """
        if os.getpid() != self._pid:  # the clock of a forked child starts from zero
            self._begin()
        with self._lock:
            at, used = self._read
            now = time.monotonic(), time.process_time()
            if now[0] - at >= LEAST:
                self._cores = max(0.0, now[1] - used) / (now[0] - at)
                self._read = now
            return self._cores
