"""The watchdog thread. It looks at the operations in flight every few milliseconds, and sleeps when there are none."""

from __future__ import annotations

import gc
import random
import sys
import threading
import time
from collections.abc import Callable
from time import perf_counter

from profkit.faults import Faults
from profkit.operations import Operation
from profkit.sampling import pauses, switching
from profkit.sampling.calltree import CallTree
from profkit.sampling.capture import Capture
from profkit.sampling.codes import CodeTable
from profkit.sampling.governor import Governor
from profkit.sampling.recording import Recording
from profkit.sampling.rota import Rota
from profkit.sampling.sights import look
from profkit.sampling.view import View

_QUIET_INTERVAL = 0.05
_QUIET_AFTER = 5
"""Ticks without anything in flight after which it looks only 20 times a second,"""
_ASLEEP_AFTER = 60
"""and after which it sleeps until an operation wakes it; that costs the operation about 20 us."""
_TAKEN = 0.9
"""The part of a switch interval after which a late tick counts as one that had to take the GIL from a thread."""
_MANY_CODES = 20_000
"""Functions in the table from which it is begun anew when nothing is in flight."""
_COLLECTS_ANYWHERE = sys.version_info < (3, 12)
"""Before 3.12 a garbage collection may start inside a walk over frames, and has crashed processes there."""


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
        self.codes = CodeTable()
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
        self.lock = threading.Lock()
        self.idle = True
        self.ticks = 0
        self.cpu = 0.0
        self.captures: list[Capture] = []
        self._governor = Governor(self.max_overhead)
        self._rota = Rota()
        self._used = 0.0
        self._ticked = perf_counter()
        self._late = 0.0
        self._awake = threading.Event()
        self._thread: threading.Thread | None = None
        self._stop = threading.Lock()  # held while the thread runs; released to end it
        self._changing = threading.RLock()

    @property
    def real_interval(self) -> float:
        """The seconds between two ticks as the cost allows them."""
        return self._governor.interval(self.interval, self._rota.risk_interval)

    def wake(self) -> None:
        """Begin to look, since something is in flight."""
        self.idle = False
        self._awake.set()
        if self._thread is None:
            self._start()

    def stop(self, timeout: float) -> None:
        """End the thread; waits `timeout` seconds for it."""
        with self._changing:
            thread, self._thread = self._thread, None
            self.idle = True
            if thread is not None:
                self._stop.release()
                self._awake.set()
        if thread is not None and thread is not threading.current_thread():
            thread.join(timeout)

    def _start(self) -> None:
        with self._changing:
            if self._thread is not None:
                return
            self._stop = threading.Lock()
            self._stop.acquire()
            arguments = (self._stop, self._awake)
            thread = threading.Thread(target=self._run, args=arguments, name="profkit-sampler", daemon=True)
            try:
                thread.start()
            except RuntimeError as error:  # no thread can be had now: the next operation tries again
                self.idle = True
                self._faults.add("sampler_not_started", error)
                return
            self._thread = thread

    def _run(self, stop: threading.Lock, awake: threading.Event) -> None:
        quiet = 0
        self._used = time.thread_time()
        self._governor.limit = self.max_overhead
        try:
            while True:
                if self._registry or self.captures:
                    quiet = 0
                    switching.shorten(self, self.switch_interval)
                    self._tick_safely()
                else:
                    quiet += 1
                    switching.restore(self)
                    self._rota.forget()
                    self._call_each_tick()
                if quiet > _ASLEEP_AFTER:
                    quiet = 0
                    self._sleep_until_woken(stop, awake)
                elif self._wait(stop, quiet > _QUIET_AFTER):
                    return
        finally:
            switching.restore(self)

    def _wait(self, stop: threading.Lock, quiet: bool) -> bool:  # noqa: FBT001
        """Wait for the next tick, and note how long it waited for the GIL; True if the thread is to end."""
        # Jittered, so as not to lock in step with work that has a period of its own.
        interval = _QUIET_INTERVAL if quiet else self.real_interval * random.uniform(0.75, 1.25)  # noqa: S311
        due = perf_counter() + interval
        if stop.acquire(timeout=interval):
            return True
        # Given after a whole switch interval it was taken from a thread, sooner it was let go of.
        late = perf_counter() - due
        self._late = late if late >= _TAKEN * sys.getswitchinterval() else 0.0
        return False

    def _sleep_until_woken(self, stop: threading.Lock, awake: threading.Event) -> None:
        with self.lock:
            if len(self.codes.entries) > _MANY_CODES:
                self.codes = CodeTable()
        awake.clear()
        self.idle = True
        # An operation that began before `idle` was set has not woken us: look once more.
        if not self._registry and not self.captures and stop.locked():
            awake.wait()
        self.idle = False
        self._late = 0.0

    def _tick_safely(self) -> None:
        self._gc_off = _COLLECTS_ANYWHERE and gc.isenabled()
        if self._gc_off:
            gc.disable()
        shortened = self.switch_interval if switching.is_shortened(self) else 0.0
        if shortened:  # so that others do not come in between, see rota.TICK_LIMIT
            sys.setswitchinterval(switching.USUAL)
        try:
            with self.lock:
                self.tick()
        except Exception as error:  # noqa: BLE001 - the sampler outlives whatever it meets
            self._faults.add("sampler_error", repr(error))
        finally:
            if shortened:
                switching.again(self)
            if self._gc_off:
                gc.enable()
                self._gc_off = False
        self._call_each_tick()
        # All that this thread used since the last tick, its waking and waiting for the GIL too.
        used, now = time.thread_time(), perf_counter()
        cost, elapsed = used - self._used, now - self._ticked
        self._used, self._ticked = used, now
        self.cpu += cost
        self._governor.account(cost, elapsed)

    def _call_each_tick(self) -> None:
        try:
            self._each_tick()
        except Exception as error:  # noqa: BLE001 - as in a tick
            self._faults.add("sampler_error", repr(error))

    def tick(self) -> None:
        """Look once at what is in flight, as far as the time for one tick goes."""
        self.ticks += 1
        view = View(self.codes, self.ticks, self._late)
        try:
            self._rota.begin(self._registry, view.now, self._governor.in_need)
            for operation in self._rota:
                self._look(operation, view)
        finally:
            view.close()
        pauses.drain()
        for capture in self.captures:
            capture.look(perf_counter())

    def view(self) -> View:
        """Return what can be seen of the process now, for one look outside the ticks."""
        return View(self.codes, -self.ticks - 2, 0.0)

    def _look(self, operation: Operation, view: View) -> None:
        recording = operation.recording
        if operation.ended:  # an exception came in the middle of its end
            self._registry.discard(operation)
            return
        if recording is None:
            recording = Recording(CallTree(self.codes), operation.started, self.max_samples, self.cpu)
        elif self.ticks % recording.stride:
            return
        give = look(operation, recording, view)
        if operation in self._registry:  # or its frame's id may already be another's
            give()
            operation.recording = recording
