"""Threads as the sampler knows them: an ident to find the stack by, and a clock of the CPU seconds they used."""

from __future__ import annotations

import sys
import threading
import time

_HAS_THREAD_CLOCKS = hasattr(time, "pthread_getcpuclockid")


class WatchedThread:
    """A thread that has run an operation; made by that thread itself.

    Asking for the clock of a thread that has ended can crash; reading a clock id taken while it lived only fails.
    """

    __slots__ = ("_clock", "_tick", "before", "cpu", "ident")

    def __init__(self) -> None:
        self.ident = threading.get_ident()
        self._clock = time.pthread_getcpuclockid(self.ident) if _HAS_THREAD_CLOCKS else None
        self._tick = 0
        self.before: float | None = None
        self.cpu: float | None = None
        self.read(-1)

    def read(self, tick: int) -> float | None:
        """Return the thread's CPU seconds, read once a tick (it costs about 1 us); None if it cannot be known."""
        if tick != self._tick and self._clock is not None:
            self._tick = tick
            self.before = self.cpu
            try:
                self.cpu = time.clock_gettime(self._clock)
            except OSError:
                self.cpu = self.before = self._clock = None
        return self.cpu


class _ThisThread(threading.local):
    def __init__(self) -> None:
        self.thread = WatchedThread()


this = _ThisThread()
"""`this.thread` is the calling thread's `WatchedThread`."""


def cpu_seconds(native_id: int) -> float | None:
    """Return the CPU seconds of any thread of this process by its kernel id; None where that cannot be had.

    Linux makes the clock's id from the thread's: `~id << 3 | 6` (MAKE_THREAD_CPUCLOCK in the kernel's sources).
    """
    if sys.platform != "linux":
        return None
    try:
        return time.clock_gettime(~native_id << 3 | 6)
    except OSError:
        return None
