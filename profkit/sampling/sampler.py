"""The watchdog thread. It looks at the operations in flight every few milliseconds, and sleeps when there are none."""

from __future__ import annotations

import gc
import random
import sys
import threading
import time
import weakref
from collections.abc import Iterable, Iterator
from time import perf_counter
from typing import NamedTuple

from profkit.faults import Faults
from profkit.operations import Operation
from profkit.sampling.calltree import RUNNING, RUNNING_SHARE, SUSPENDED, WAITING, Recording
from profkit.sampling.capture import Capture
from profkit.sampling.codes import CodeTable
from profkit.sampling.stacks import await_stack, thread_stacks

COST_LIMIT = 0.01
"""The share of one core that the sampler may use; its interval is stretched rather than more."""
_LONGEST_INTERVAL = 0.5
_TICK_LIMIT = 0.002
"""Seconds one tick may take; the next goes on with the operations it had no time for. Well below the interpreter's
switch interval, so that a tick is seldom interrupted: what it holds, it then lets go of before anybody else runs."""
_QUIET_TICKS = 100
"""Ticks without anything in flight before the thread goes to sleep; waking it costs an operation about 20 us."""
_MOST_CREDIT = 0.01
"""CPU seconds that may be saved up while there is little to do: a first second at full resolution."""
_MANY_CODES = 20_000
"""Functions in the table from which it is begun anew when nothing is in flight."""
_COLLECTS_ANYWHERE = sys.version_info < (3, 12)
"""Before 3.12 a garbage collection may start inside a walk over frames, and has crashed processes there."""


class Look(NamedTuple):
    """What was seen of an operation: its stack, leaf first (None: nothing), and what its task waits for."""

    operation: Operation
    stack: list[int] | None
    state: int
    waiter: object = None


class Sampler:
    """Records the stacks of what is in `registry`. `idle` is true while the thread sleeps or does not run."""

    def __init__(self, registry: set[Operation], faults: Faults) -> None:
        self._registry = registry
        self._faults = faults
        self.codes = CodeTable()
        self.interval = 0.01
        self.max_samples = 6_000
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
        self._first = 0
        self._debt = -_MOST_CREDIT
        self._used = 0.0
        self._ticked = perf_counter()
        self._awake = threading.Event()
        self._thread: threading.Thread | None = None
        self._stop = threading.Lock()  # held while the thread runs; released to end it
        self._changing = threading.RLock()

    @property
    def real_interval(self) -> float:
        """The seconds between two ticks as the cost allows them."""
        return max(self.interval, min(self._debt / COST_LIMIT, _LONGEST_INTERVAL))

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
        while True:
            if self._registry or self.captures:
                quiet = 0
                self._tick_safely()
            else:
                quiet += 1
            if quiet > _QUIET_TICKS:
                quiet = 0
                self._sleep_until_woken(stop, awake)
            # Jittered, so as not to lock in step with work that has a period of its own.
            elif stop.acquire(timeout=self.real_interval * random.uniform(0.75, 1.25)):  # noqa: S311 - no secret
                return

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

    def _tick_safely(self) -> None:
        self._gc_off = _COLLECTS_ANYWHERE and gc.isenabled()
        if self._gc_off:
            gc.disable()
        try:
            with self.lock:
                self.tick()
        except Exception as error:  # noqa: BLE001 - the sampler outlives whatever it meets
            self._faults.add("sampler_error", repr(error))
        finally:
            if self._gc_off:
                gc.enable()
                self._gc_off = False
        # All that this thread used since the last tick, its waking and waiting for the GIL too.
        used, now = time.thread_time(), perf_counter()
        cost, elapsed = used - self._used, now - self._ticked
        self._used, self._ticked = used, now
        self.cpu += cost
        self._debt = max(self._debt + cost - elapsed * COST_LIMIT, -_MOST_CREDIT)

    def tick(self) -> None:
        """Look once at what is in flight, as far as the time for one tick goes."""
        self.ticks += 1
        operations = list(self._registry)
        now = perf_counter()
        for look in self.looks(self._due(operations, now)):
            # Still in flight, or its frame's id may already be another's.
            if look.operation in self._registry:
                self._observe(look, now)
        for capture in self.captures:
            capture.look(perf_counter())

    def _due(self, operations: list[Operation], now: float) -> Iterator[Operation]:
        """Yield those whose stack has to be read, beginning where the last tick had to stop."""
        count, first, self._first = len(operations), self._first, 0
        for index in range(count):
            if perf_counter() - now > _TICK_LIMIT:
                self._first = first + index
                return
            operation = operations[(first + index) % count]
            recording = operation.recording
            if operation.ended:  # an exception came in the middle of its end
                self._registry.discard(operation)
            elif (recording is None or self.ticks % recording.timeline.stride == 0) and not self._goes_on(
                operation, recording, now
            ):
                yield operation

    def looks(self, operations: Iterable[Operation]) -> Iterator[Look]:
        """Yield what can be seen of each operation now."""
        running: dict[int, list[Operation]] = {}
        for operation in operations:
            coroutine = None if operation.coroutine is None else operation.coroutine()
            task = None if operation.task is None else operation.task()
            top = coroutine if task is None else task.get_coro()
            if not getattr(top if coroutine is None else coroutine, "cr_suspended", False):
                root = operation.root if coroutine is None else id(getattr(coroutine, "cr_frame", None))
                running.setdefault(root, []).append(operation)
                continue
            waiter = getattr(task, "_fut_waiter", None)
            root_frame = operation.frame if coroutine is None else getattr(coroutine, "cr_frame", None)
            stack = await_stack(top, self.codes, root_frame)
            if stack is None and coroutine is not None:  # driven by another task than the one it began in
                waiter, stack = None, await_stack(coroutine, self.codes, root_frame)
            # If the task ran during the walk, the stack may be that of another wait.
            same = getattr(task, "_fut_waiter", None) is waiter
            yield Look(operation, stack, SUSPENDED, waiter if same else None)
        if running:
            yield from self._running(running)

    def _running(self, running: dict[int, list[Operation]]) -> Iterator[Look]:
        idents = {operation.thread.ident for operations in running.values() for operation in operations}
        for ident, frame in sys._current_frames().items():  # pyright: ignore[reportPrivateUsage]  # documented
            if ident not in idents:
                continue
            for root, stack in thread_stacks(frame, self.codes, running)[1].items():
                for operation in running.pop(root, ()):
                    yield Look(operation, stack or None, RUNNING)
        for operations in running.values():
            for operation in operations:
                yield Look(operation, None, RUNNING)

    def _goes_on(self, operation: Operation, recording: Recording | None, now: float) -> bool:
        """Tell whether a task still waits for what it waited for at the last look, so has not run since.

        0.2 us instead of the 1 to 3 us of walking its await chain.
        """
        operation.thread.read(self.ticks)
        if recording is None or recording.waiter is None or operation.task is None:
            return False
        waiter = getattr(operation.task(), "_fut_waiter", None)
        return waiter is not None and recording.waiter() is waiter and recording.timeline.repeat(now)

    def _observe(self, look: Look, now: float) -> None:
        operation, stack, state, waiter = look
        recording = operation.recording
        if recording is None:
            recording = operation.recording = Recording(
                self.codes, operation.started, self.max_samples, self.cpu
            )
        timeline = recording.timeline
        recording.waiter = None
        if stack is None:
            timeline.miss(now)
            return
        thread = operation.thread
        clock = thread.read(self.ticks)
        cpu = 0.0
        if state == SUSPENDED:
            recording.waiter = _reference(waiter)
        elif clock is not None:
            seen = thread.before if timeline.cpu_seen is None else timeline.cpu_seen
            wall = now - timeline.seen
            cpu = min(wall, clock - (clock if seen is None else seen))
            state = RUNNING if cpu >= wall * RUNNING_SHARE else WAITING
        # After a wait, only what the thread used since the last tick can be this task's.
        timeline.cpu_seen = None if state == SUSPENDED else clock
        timeline.observe(now, recording.tree.insert(stack), state, cpu)


def _reference(waiter: object) -> weakref.ref[object] | None:
    """Refer to a future without keeping it alive: its end would otherwise run in the sampler's thread."""
    try:
        return None if waiter is None else weakref.ref(waiter)
    except TypeError:
        return None
