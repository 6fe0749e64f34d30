"""Threads as the sampler knows them: an ident to find the stack by, and a clock of the CPU seconds they used."""

from __future__ import annotations

import asyncio
import math
import os
import sys
import time
import weakref
from collections.abc import Callable
from time import perf_counter
from typing import TYPE_CHECKING, NamedTuple

from profkit.sampling import real

if TYPE_CHECKING:
    from threading import local as Local  # noqa: N812 - a class

    from profkit.sampling.branches import Branch

else:
    Local = real.original("_thread", "_local")

native_id: Callable[[], int] = real.original("_thread", "get_native_id")
_HAS_THREAD_CLOCKS = hasattr(time, "pthread_getcpuclockid")


class Clocks(NamedTuple):
    """Seconds of `time.perf_counter`, and CPU seconds of a thread and of its process, at one moment.

    `queued` are the seconds in which the thread could have run and had no processor; 0 where nobody counts them.
    """

    wall: float
    thread: float
    process: float
    queued: float


class LoopUse(NamedTuple):
    """What an event loop's thread used while it was looked at: its CPU seconds, and those it was seen running.

    Sums over looks: the differences between two of them count. `tick` and `wall` are the last look's.
    """

    tick: int
    wall: float
    cpu: float
    used: float
    running: float


class WatchedThread:
    """A thread that has run an operation; made by that thread itself.

    `now` and `before` are its clocks at the last two ticks they were read at. `hold` is the step that its loop was last
    seen in (see `view`), `loop` the event loop that last ran an operation here, `branch` the work handed over that it
    runs now, `use` what its loop used, `notes_switches` since when it notes them, see `switches`. `greenlet` is set
    where several share the thread, see `greenlets`.
    Asking for the clock of a thread that has ended can crash; reading a clock id taken while it lived only fails.
    """

    __slots__ = (
        "_clock",
        "_queue",
        "_tick",
        "before",
        "branch",
        "cpu",
        "hold",
        "ident",
        "loop",
        "notes_switches",
        "now",
        "use",
    )
    greenlet: weakref.ref[object] | None = None

    def __init__(self) -> None:
        self.ident = real.ident()
        self._clock = time.pthread_getcpuclockid(self.ident) if _HAS_THREAD_CLOCKS else None
        self._queue = _Queue(native_id()) if self._clock is not None else None
        self._tick: int = 0
        self.cpu: float | None = None
        self.loop: asyncio.AbstractEventLoop | None = None
        self.branch: Branch | None = None
        self.hold: object = None
        self.notes_switches = -math.inf
        self.use = LoopUse(0, 0.0, 0.0, 0.0, 0.0)
        self.now = self.before = Clocks(perf_counter(), 0.0, time.process_time(), 0.0)
        self.read(-1, self.now.process)
        self.before = self.now

    def read(self, tick: int, process: float) -> float | None:
        """Return the thread's CPU seconds, read once a tick (it costs about 3 us); None if it cannot be known.

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
            queued = 0.0 if self._queue is None or tick < 0 else self._queue.seconds()
            self.now = Clocks(perf_counter(), self.cpu, process, queued)
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


class _Queue:
    """For how long a thread has waited for a processor: the second figure of its `schedstat` on Linux.

    The file is opened when it is first read, by a sampler, and stays open while the thread is known: 2 us a reading.
    """

    __slots__ = ("_descriptor", "_path")
    _close = staticmethod(os.close)  # when the interpreter ends, the module is gone before the last thread

    def __init__(self, native_id: int) -> None:
        self._path = f"/proc/self/task/{native_id}/schedstat"
        self._descriptor = -1

    def seconds(self) -> float:
        if not self._path:
            return 0.0
        try:
            if self._descriptor < 0:
                self._descriptor = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
            return int(os.pread(self._descriptor, 80, 0).split()[1]) / 1e9
        except (OSError, ValueError, IndexError):  # no such kernel; or the thread has ended
            self.__del__()
            return 0.0

    def __del__(self) -> None:
        self._path = ""
        if self._descriptor >= 0:
            descriptor, self._descriptor = self._descriptor, -1
            try:  # by now there may be no `suppress`
                self._close(descriptor)
            except OSError:
                pass


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
