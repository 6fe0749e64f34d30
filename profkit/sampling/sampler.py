"""The watchdog thread. It looks at the operations in flight every few milliseconds, and sleeps when there are none."""

from __future__ import annotations

import gc
import random
import sys
import threading
import time
import weakref
from collections.abc import Collection, Iterable, Iterator
from time import perf_counter

from profkit.faults import Faults
from profkit.operations import Operation
from profkit.sampling.calltree import RUNNING, RUNNING_SHARE, SUSPENDED, WAITING, Recording
from profkit.sampling.capture import Capture
from profkit.sampling.codes import CodeTable
from profkit.sampling.stacks import await_stack, rooted_stacks

COST_LIMIT = 0.01
"""The share of one core that the sampler may use; its interval is stretched rather than more."""
_QUIET_TICKS = 100
"""Ticks without anything in flight before the thread goes to sleep; waking it costs an operation about 20 us."""
_COST_MEMORY = 0.1
"""How much of a tick's cost the moving average takes in."""
_COLLECTS_ANYWHERE = sys.version_info < (3, 12)
"""Before 3.12 a garbage collection may start inside a walk over frames, and has crashed processes there."""


class Sampler:
    """Records the stacks of what is in `registry`. `idle` is true while the thread sleeps or does not run."""

    def __init__(self, registry: Collection[Operation], faults: Faults) -> None:
        self._registry = registry
        self._faults = faults
        self.codes = CodeTable()
        self.interval = 0.01
        self.max_samples = 6_000
        self.reset()

    def reset(self) -> None:
        """Start over without a thread: at first, and in a forked child, which has none of its parent's threads."""
        self.lock = threading.Lock()
        self.idle = True
        self.ticks = 0
        self.cpu = 0.0
        self.captures: list[Capture] = []
        self._cost = 0.0
        self._used = 0.0
        self._awake = threading.Event()
        self._stopped = False
        self._thread: threading.Thread | None = None
        self._starting = threading.Lock()

    @property
    def real_interval(self) -> float:
        """The seconds between two ticks as the cost allows them."""
        return max(self.interval, self._cost / COST_LIMIT)

    def wake(self) -> None:
        """Begin to look, since something is in flight."""
        self.idle = False
        self._awake.set()
        if self._thread is None and not self._stopped:
            self._start()

    def stop(self, timeout: float) -> None:
        """End the thread; waits `timeout` seconds for it."""
        self._stopped = True
        self._awake.set()
        if self._thread is not None:
            self._thread.join(timeout)
            self._thread = None
        self._stopped = False
        self.idle = True

    def _start(self) -> None:
        with self._starting:
            if self._thread is not None:
                return
            thread = threading.Thread(target=self._run, name="profkit-sampler", daemon=True)
            try:
                thread.start()
            except RuntimeError as error:  # no thread can be had; operations go on unwatched
                self._faults.add("sampler_not_started", error)
                return
            self._thread = thread

    def _run(self) -> None:
        quiet = 0
        self._used = time.thread_time()
        while not self._stopped:
            if self._registry or self.captures:
                quiet = 0
                self._tick_safely()
            else:
                quiet += 1
            if quiet > _QUIET_TICKS:
                quiet = 0
                self._sleep_until_woken()
            else:
                # Jittered, so as not to lock in step with work that has a period of its own.
                time.sleep(self.real_interval * random.uniform(0.75, 1.25))  # noqa: S311 - no secret

    def _sleep_until_woken(self) -> None:
        self._awake.clear()
        self.idle = True
        # An operation that began before `idle` was set has not woken us: look once more.
        if not self._registry and not self.captures and not self._stopped:
            self._awake.wait()
        self.idle = False

    def _tick_safely(self) -> None:
        collects = _COLLECTS_ANYWHERE and gc.isenabled()
        if collects:
            gc.disable()
        try:
            with self.lock:
                self.tick()
        except Exception as error:  # noqa: BLE001 - the sampler outlives whatever it meets
            self._faults.add("sampler_error", repr(error))
        finally:
            if collects:
                gc.enable()
        # All that this thread used since the last tick, its waking and waiting for the GIL too.
        used = time.thread_time()
        cost, self._used = used - self._used, used
        self.cpu += cost
        self._cost += (cost - self._cost) * _COST_MEMORY

    def tick(self) -> None:
        """Look once at everything in flight."""
        self.ticks += 1
        due = [
            operation
            for operation in list(self._registry)
            if operation.recording is None or self.ticks % operation.recording.timeline.stride == 0
        ]
        now = perf_counter()
        changed = [operation for operation in due if not self._goes_on(operation, now)]
        for operation, stack, state in self.stacks(changed):
            # Still in flight, or its frame's id may already be another's.
            if operation in self._registry:
                self._observe(operation, now, stack, state)
        for capture in self.captures:
            capture.look(perf_counter())

    def stacks(self, operations: Iterable[Operation]) -> Iterator[tuple[Operation, list[int] | None, int]]:
        """Yield each operation with its stack (leaf first; None if it cannot be seen) and its state."""
        running: dict[int, list[Operation]] = {}
        for operation in operations:
            root, suspended = _find_root(operation)
            if not suspended:
                running.setdefault(root, []).append(operation)
                continue
            top = operation.coroutine or (operation.task and operation.task.get_coro())
            yield operation, await_stack(top, self.codes, operation.frame), SUSPENDED
        if running:
            yield from self._running_stacks(running)

    def _running_stacks(
        self, running: dict[int, list[Operation]]
    ) -> Iterator[tuple[Operation, list[int] | None, int]]:
        idents = {operation.thread.ident for operations in running.values() for operation in operations}
        for ident, frame in sys._current_frames().items():  # pyright: ignore[reportPrivateUsage]  # documented
            if ident not in idents:
                continue
            for root, stack in rooted_stacks(frame, self.codes, running).items():
                for operation in running.pop(root, ()):
                    yield operation, stack or None, RUNNING
        for operations in running.values():
            for operation in operations:
                yield operation, None, RUNNING

    def _goes_on(self, operation: Operation, now: float) -> bool:
        """Tell whether a task still waits for what it waited for at the last look, so has not run since.

        0.2 us instead of the 1 to 3 us of walking its await chain.
        """
        recording = operation.recording
        operation.thread.read(self.ticks)
        if recording is None or recording.waiter is None or operation.task is None:
            return False
        waiter = getattr(operation.task, "_fut_waiter", None)
        return waiter is not None and recording.waiter() is waiter and recording.timeline.repeat(now)

    def _observe(self, operation: Operation, now: float, stack: list[int] | None, state: int) -> None:
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
            recording.waiter = _reference(getattr(operation.task, "_fut_waiter", None))
        elif clock is not None:
            seen = thread.before if timeline.cpu_seen is None else timeline.cpu_seen
            wall = now - timeline.seen
            cpu = min(wall, clock - (clock if seen is None else seen))
            state = RUNNING if cpu >= wall * RUNNING_SHARE else WAITING
        # After a wait, only what the thread used since the last tick can be this task's.
        timeline.cpu_seen = None if state == SUSPENDED else clock
        timeline.observe(now, recording.tree.insert(stack), state, cpu)


def _find_root(operation: Operation) -> tuple[int, bool]:
    """Return the id of the frame the operation's stack starts at, and whether its coroutine is suspended."""
    coroutine = operation.coroutine
    if coroutine is not None:
        return id(coroutine.cr_frame), bool(coroutine.cr_suspended)
    if operation.task is None:
        return operation.root, False
    task = operation.task.get_coro()
    return operation.root, bool(getattr(task, "cr_suspended", False))


def _reference(waiter: object) -> weakref.ref[object] | None:
    """Refer to a future without keeping it alive: its end would otherwise run in the sampler's thread."""
    try:
        return None if waiter is None else weakref.ref(waiter)
    except TypeError:
        return None
