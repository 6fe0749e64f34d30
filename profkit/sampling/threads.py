"""Threads as the sampler knows them: an ident to find the stack by, and a clock of the CPU seconds they used."""

from __future__ import annotations

import asyncio
import sys
import time
import weakref
from time import perf_counter
from typing import TYPE_CHECKING, NamedTuple

from profkit.sampling import real

if TYPE_CHECKING:
    from threading import local as Local  # noqa: N812 - a class

    from profkit.sampling.branches import Branch

else:
    Local = real.original("_thread", "_local")

_HAS_THREAD_CLOCKS = hasattr(time, "pthread_getcpuclockid")


class Clocks(NamedTuple):
    """Seconds of `time.perf_counter`, and CPU seconds of a thread and of its process, at one moment."""

    wall: float
    thread: float
    process: float


class WatchedThread:
    """A thread that has run an operation; made by that thread itself.

    `now` and `before` are its clocks at the last two ticks they were read at. `hold` is the step that its loop was last
    seen in (see `view`), `loop` the event loop that last ran an operation here, `branch` the work handed over that it
    runs now. `greenlet` is set where several share the thread, see `greenlets`.
    Asking for the clock of a thread that has ended can crash; reading a clock id taken while it lived only fails.
    """

    __slots__ = ("_clock", "_tick", "before", "branch", "cpu", "hold", "ident", "loop", "now")
    greenlet: weakref.ref[object] | None = None

    def __init__(self) -> None:
        self.ident = real.ident()
        self._clock = time.pthread_getcpuclockid(self.ident) if _HAS_THREAD_CLOCKS else None
        self._tick = 0
        self.cpu: float | None = None
        self.loop: asyncio.AbstractEventLoop | None = None
        self.branch: Branch | None = None
        self.hold: object = None
        self.now = self.before = Clocks(perf_counter(), 0.0, time.process_time())
        self.read(-1, self.now.process)
        self.before = self.now

    def read(self, tick: int, process: float) -> float | None:
        """Return the thread's CPU seconds, read once a tick (it costs about 1 us); None if it cannot be known.

        `process` are those of the whole process.
        """
        if tick != self._tick and self._clock is not None:
            self._tick = tick
            try:
                self.cpu = time.clock_gettime(self._clock)
            except OSError:
                self.cpu = self._clock = None
                return None
            self.before = self.now
            self.now = Clocks(perf_counter(), self.cpu, process)
        return self.cpu

    def runs_now(self, shortest: float) -> bool:
        """Tell whether the thread is using the CPU at this moment, while the caller has the GIL."""
        if self._clock is None or self.cpu is None:
            return False
        while (passed := perf_counter() - self.now.wall) < shortest:
            pass
        try:
            return time.clock_gettime(self._clock) - self.cpu >= passed / 2
        except OSError:
            return False


class ThisThread(Local):
    """One value for each thread."""

    def __init__(self) -> None:
        self.thread = WatchedThread()


this = ThisThread()
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
