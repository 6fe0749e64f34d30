"""The watchdog thread. It looks at the operations in flight every few milliseconds, and sleeps when there are none."""

from __future__ import annotations

import gc
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from time import perf_counter
from typing import TypeVar

from profkit.chance import chance
from profkit.faults import Faults
from profkit.operations import Operation
from profkit.sampling import pauses, real, switching
from profkit.sampling.calltree import CallTree
from profkit.sampling.capture import Capture
from profkit.sampling.codes import CodeTable
from profkit.sampling.gilwait import GilWait
from profkit.sampling.governor import Governor
from profkit.sampling.recording import Recording
from profkit.sampling.rota import Rota
from profkit.sampling.sights import look
from profkit.sampling.view import View

R = TypeVar("R")

_QUIET_INTERVAL = 0.05
_QUIET_AFTER = 5
"""Ticks without anything in flight after which it looks only 20 times a second,"""
_ASLEEP_AFTER = 60
"""and after which it sleeps until an operation wakes it; that costs the operation about 20 us."""
_MANY_CODES = 20_000
"""Functions in the table from which it is begun anew when nothing is in flight."""
_CONTENDED = 0.5
"""The share of recent ticks at which threads fought for the GIL from which they are left the usual switch interval;"""
_CONTENTION_STEP = 0.2
"""each tick counts this much in it: four in a row are enough."""
_CAPTURE_OVERHEAD = 0.1
"""Of a core, while a capture that somebody asked for goes on: it is short, and seldom a look would show nothing."""
_COLLECTS_ANYWHERE = sys.version_info < (3, 12)
"""Before 3.12 a garbage collection may start inside a walk over frames, and has crashed processes there."""
_TRY_AGAIN = 1.0
"""Seconds after which a thread is asked for again where none could be had."""


class Sampler:
    """Records the stacks of what is in `registry`. `idle` is true while the thread sleeps or does not run.

    `each_tick` is called after every tick, in the sampler's thread and at its cost.
    """

    def __init__(
        self, registry: set[Operation], faults: Faults, each_tick: Callable[[], object] = lambda: None
    ) -> None:
        self._registry = registry
        self._faults = faults
        self._each_tick = each_tick
        self.interval = 0.01
        self.max_samples = 6_000
        self.max_overhead = 0.01
        self.switch_interval = 0.0
        self._gc_off = False
        self.reset()

    def reset(self) -> None:
        """Start over without a thread: at first, and in a forked child, which has none of its parent's threads."""
        if self._gc_off:  # the fork came in the middle of a tick
            gc.enable()
            self._gc_off = False
        self.lock = real.lock()
        self.codes = CodeTable()  # the parent's may be half written
        self.idle = True
        self.ticks = 0
        self.cpu = 0.0
        self.captures: list[Capture] = []
        self._governor = Governor(self.max_overhead)
        self._capture_governor = Governor(_CAPTURE_OVERHEAD)
        self._rota = Rota()
        self._used = 0.0
        self._ticked = perf_counter()
        self._took_gil: bool | None = None
        self._contention = 0.0
        self._thread: real.Thread | None = None
        self._not_before = 0.0
        self._signal: real.Signal | None = None  # wakes the thread; one that finds another in its place ends
        self._changing = real.rlock()

    @property
    def real_interval(self) -> float:
        """The seconds between two ticks as the cost allows them."""
        if self.captures:
            return self._capture_governor.interval(self.interval)  # a look for it is one for operations too
        return self._governor.interval(self.interval, self._rota.risk_interval)

    def wake(self) -> None:
        """Begin to look, since something is in flight."""
        # That it is idle no more, the thread says itself: an exception of a signal handler may come in between here.
        signal = self._signal
        if signal is not None:
            signal.set()
        elif not self._not_before or perf_counter() >= self._not_before:
            self._start()

    def stop(self, timeout: float) -> None:
        """End the thread; waits `timeout` seconds for it."""
        with self._changing:
            thread, signal = self._thread, self._signal
            self._thread = self._signal = None
            self.idle = True
            if signal is not None:
                signal.set()
        if thread is not None and thread.ident != real.ident():
            thread.join(timeout)

    def _start(self) -> None:
        with self._changing:
            if self._signal is not None:
                return
            self._signal = signal = real.Signal()
            try:
                self._thread = real.start(partial(self._run, signal), "profkit-sampler")
                self._not_before = 0.0
            except RuntimeError as error:  # no thread can be had now: an operation tries again
                self._signal = None
                self._not_before = perf_counter() + _TRY_AGAIN
                if not real.is_ending(error):
                    self._faults.add("sampler_not_started", error)
                self._call_each_tick()  # what has ended is counted all the same, or it would fill the memory
            except BaseException:  # of a signal handler; should the thread have begun, it ends
                self._signal = None
                raise

    def _run(self, signal: real.Signal) -> None:
        try:
            while self._is_on(signal):
                try:
                    self._look_until_stopped(signal)
                except Exception as error:  # noqa: BLE001 - no memory, and not even within a tick
                    self._faults.add("sampler_error", repr(error))
                    signal.wait(_QUIET_INTERVAL)
        finally:  # should it end, the next operation begins another
            switching.restore(self)
            with self._changing:
                if self._signal is signal:
                    self._thread = self._signal = None
                    self.idle = True

    def _look_until_stopped(self, signal: real.Signal) -> None:
        quiet = 0
        self._used = time.thread_time()
        self._governor.limit = self.max_overhead
        while self._is_on(signal):
            if self._registry or self.captures:
                quiet = 0
                self._choose_switch_interval()
                self._tick_safely()
            else:
                quiet += 1
                switching.restore(self)
                self._rota.forget()
                self._call_each_tick()
            if quiet > _ASLEEP_AFTER:
                quiet = 0
                self._sleep_until_woken(signal)
            else:
                self._wait(signal, quiet > _QUIET_AFTER)

    def _choose_switch_interval(self) -> None:
        """Have a short one, except while several threads compute: they would do little but take turns.

        Four threads at once take 1.07 times as long with 0.5 ms and 1.12 times with 0.2 ms as with the usual 5 ms.
        """
        if self._contention > _CONTENDED:
            switching.restore(self)
        else:
            switching.shorten(self, self.switch_interval)

    def _is_on(self, signal: real.Signal) -> bool:
        """Tell whether the thread with this signal is to go on; if so, operations need not wake it."""
        with self._changing:
            if self._signal is signal:
                self.idle = False
                return True
            return False

    def _wait(self, signal: real.Signal, quiet: bool) -> None:  # noqa: FBT001
        """Wait for the next tick, and note whether the GIL had to be taken from a thread."""
        # Jittered, so as not to lock in step with work that has a period of its own.
        interval = _QUIET_INTERVAL if quiet else self.real_interval * chance.uniform(0.75, 1.25)
        wait = GilWait(interval)
        signal.wait(interval)
        self._took_gil = wait.was_taken()

    def _sleep_until_woken(self, signal: real.Signal) -> None:
        with self.lock:
            if len(self.codes.entries) > _MANY_CODES:
                self.codes = CodeTable()
        signal.wait(0)  # from when it was awake
        with self._changing:
            self.idle = True
        # An operation that began before `idle` was set has not woken us: look once more.
        if not self._registry and not self.captures and self._signal is signal:
            signal.wait()
        self._took_gil = None

    def _tick_safely(self) -> None:
        lengthened = switching.lengthen(self)  # so that others do not come in between, see rota.TICK_LIMIT
        try:
            with self.lock:
                self.without_collections(self.tick)
        except Exception as error:  # noqa: BLE001 - the sampler outlives whatever it meets
            self._faults.add("sampler_error", repr(error))
        finally:
            if lengthened:
                switching.again(self)
        self._call_each_tick()
        # All that this thread used since the last tick, its waking and waiting for the GIL too.
        used, now = time.thread_time(), perf_counter()
        cost, elapsed = used - self._used, now - self._ticked
        self._used, self._ticked = used, now
        self.cpu += cost
        # A capture has a budget of its own: it would leave operations none for minutes, and they it.
        captures = bool(self.captures)
        self._governor.account(0.0 if captures else cost, elapsed, few=self._rota.few)
        self._capture_governor.account(cost if captures else 0.0, elapsed)

    def without_collections(self, look: Callable[[], R]) -> R:
        """Walk over stacks while none is collected, where that is not safe. The caller holds `lock`."""
        self._gc_off = _COLLECTS_ANYWHERE and gc.isenabled()
        if self._gc_off:
            gc.disable()
        try:
            return look()
        finally:
            if self._gc_off:
                gc.enable()
                self._gc_off = False

    def _call_each_tick(self) -> None:
        try:
            self._each_tick()
        except Exception as error:  # noqa: BLE001 - as in a tick
            self._faults.add("sampler_error", repr(error))

    def tick(self) -> None:
        """Look once at what is in flight, as far as the time for one tick goes."""
        self.ticks += 1
        pauses.drain()
        view = View(self.codes, self.ticks, took_gil=self._took_gil)
        try:
            self._rota.begin(self._registry, view.now, in_need=self._governor.in_need)
            for operation in self._rota:
                self._look(operation, view)
        finally:
            contended = view.is_contended
            if contended is not None:
                self._contention += _CONTENTION_STEP * (contended - self._contention)
            view.close()
        for capture in self.captures:
            capture.look(perf_counter())

    def view(self) -> View:
        """Return what can be seen of the process now, for one look outside the ticks."""
        return View(self.codes, -self.ticks - 2, took_gil=None)

    def _look(self, operation: Operation, view: View) -> None:
        recording = operation.recording
        if operation.ended:  # an exception came in the middle of its end
            self._registry.discard(operation)
            return
        # A generator that stood still has places of the table before, if there is another by now.
        if recording is None or recording.tree.codes is not self.codes:
            recording = Recording(CallTree(self.codes), operation.started, self.max_samples, self.cpu)
            recording.collected = pauses.before(operation)
            _watch_again(operation)
        elif self.ticks % recording.stride:
            return
        give = look(operation, recording, view)
        if operation in self._registry:  # or its frame's id may already be another's
            give()
            operation.recording = recording


def _watch_again(operation: Operation) -> None:
    """Have its loop tell of its tasks, should the application have set a task factory of its own since."""
    loop = operation.thread.loop
    if loop is None or operation.task is None:
        return
    from profkit import handover

    if not handover.watched(loop):
        with suppress(RuntimeError):  # closed
            loop.call_soon_threadsafe(handover.watch_loop, loop)
