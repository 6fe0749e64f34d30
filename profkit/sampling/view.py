"""What one tick sees of the process: its threads' stacks, which of them run, and what its event loops are doing.

Everything is looked up when it is first asked for and kept for the tick.
"""

from __future__ import annotations

import asyncio
import sys
import time
import weakref
from time import perf_counter
from types import FrameType
from typing import Any, NamedTuple

from profkit.sampling import switches
from profkit.sampling.codes import OFFSET_BITS, CodeTable
from profkit.sampling.loops import due_timers, timers
from profkit.sampling.stacks import Walk, walk
from profkit.sampling.threads import LoopUse, WatchedThread
from profkit.sampling.timeline import HELD, NOBODY, RUNNING, STARVED, SUSPENDED, WAITING

HELD_FROM = 0.05
"""Seconds from which one step of an event loop holds up those who wait for input, from its beginning."""
_BUSY_SHARE = 0.8
"""A thread that used this share of the time between two ticks was on the CPU, whatever else is seen."""
_ITS_SHARE = 0.25
"""A tick that took the GIL took it from this thread if it used this share of all CPU time since the last tick."""
_RUNNING_SHARE = 0.2
"""Where nothing else is known, a thread that used this share was running: on a crowded machine it gets no more."""
_SHORTEST_PROBE = 20e-6
"""Seconds within a tick after which a thread's clock tells whether it runs without the GIL."""
_WORTH_PROBING = 0.02
"""A thread that used less than this share of the time was not on the CPU now, or it does not matter."""
_CONTENDED_SHARE = 0.7
"""The share of one core from which the threads of a process are in each other's way, if it is not one that uses it."""
_SAME_WORK = 1.0
"""Seconds between two looks at a loop up to which the later one stands for both."""


class Step(NamedTuple):
    """What an event loop is running: its task (None for a callback), since when at least, and the code to blame."""

    task: asyncio.Task[Any] | None
    seconds: float
    holder: int


class Waiting(NamedTuple):
    """How a task waits: its state, the index of the code that has its loop, and for how many seconds it has had it."""

    state: int
    holder: int = NOBODY
    seconds: float = 0.0


_WAITING = Waiting(SUSPENDED)


class Hold:
    """A step that may hold up its loop: `turned` once the loop has come round."""

    __slots__ = ("since", "task", "turned")

    def __init__(self, task: asyncio.Task[Any], since: float) -> None:
        self.task = weakref.ref(task)
        self.since = since
        self.turned = False

    def turn(self) -> None:
        """Called by the loop when the step is over."""
        self.turned = True


class View:
    """One tick. `took_gil`: whether some thread had the GIL when it was due (see `gilwait`), None if nobody knows."""

    def __init__(self, codes: CodeTable, tick: int, *, took_gil: bool | None) -> None:
        self.codes = codes
        self.tick = tick
        self.now = perf_counter()
        self._took_gil = took_gil
        self._process: float | None = None
        self._clocked: WatchedThread | None = None
        self._frames: dict[int, FrameType] | None = None
        self._walks: dict[int, Walk] = {}
        self._states: dict[int, int] = {}
        self._steps: dict[int, Step | None] = {}
        self._due: dict[int, dict[int, float]] = {}
        self._timed: dict[int, set[int]] = {}

    def walk(self, ident: int) -> Walk:
        """Return the stack of a thread, empty if it has none."""
        found = self._walks.get(ident)
        if found is None:
            frame = self._thread_frames().get(ident)
            found = self._walks[ident] = walk(frame, self.codes, switches.parents(ident))
        return found

    def find(self, running: FrameType) -> list[int] | None:
        """Return the stack of a function that is running, from its frame on, in whatever thread; None in none."""
        for ident in self._thread_frames():
            stack = self.walk(ident).above(id(running))
            if stack is not None:
                return stack
        return None

    def _thread_frames(self) -> dict[int, FrameType]:
        if self._frames is None:
            self._frames = sys._current_frames()  # pyright: ignore[reportPrivateUsage]  # documented
        return self._frames

    @property
    def had_to_wait(self) -> bool:
        """Whether the tick came when a thread let the GIL be taken from it."""
        return bool(self._took_gil)

    @property
    def is_contended(self) -> bool | None:
        """Whether several threads fought for the GIL since the last tick; None if no thread's clock was read."""
        if self._clocked is None:
            return None
        used, wall, all_used = _usage(self._clocked)
        return all_used >= _CONTENDED_SHARE * wall and used < _BUSY_SHARE * all_used

    def close(self) -> None:
        """Let go of every frame."""
        self._frames = None

    def clock(self, thread: WatchedThread) -> float | None:
        """Return the thread's CPU seconds at this tick, None where that cannot be known."""
        if self._process is None:
            self._process = time.process_time() - time.thread_time()
            self._clocked = thread
        return thread.read(self.tick, self._process)

    def thread_state(self, thread: WatchedThread) -> int:
        """Return RUNNING if the thread was on the CPU, or waiting for the GIL, when this tick was due, else WAITING."""
        state = self._states.get(thread.ident)
        if state is None:
            state = self._states[thread.ident] = RUNNING if self._runs(thread) else WAITING
        return state

    def _runs(self, thread: WatchedThread) -> bool:
        if self.clock(thread) is None:
            return bool(self._took_gil)
        used, wall, all_used = _usage(thread)
        if used + self.queued(thread) >= _BUSY_SHARE * wall:
            return True
        if used > _WORTH_PROBING * wall and thread.runs_now(_SHORTEST_PROBE):
            return True
        if self._took_gil is None:
            return used >= _RUNNING_SHARE * wall
        # Somebody had the GIL: this thread, if it used enough, and no others used much more.
        return self._took_gil and used >= _ITS_SHARE * all_used and used > 0

    def share_of_cpu(self, thread: WatchedThread) -> float:
        """Return which part of a running thread's time it had the CPU: less than 1 beside others that are busy."""
        self.clock(thread)
        used, _, all_used = _usage(thread)
        if used <= 0:
            return 1.0
        share = used / (used + self.queued(thread))
        return share if all_used <= 1.2 * used else min(share, used / all_used)

    def is_beside_others(self, thread: WatchedThread) -> bool:
        """Tell whether other threads of the process used the CPU too since the last tick: they may have had the GIL."""
        self.clock(thread)
        used, _, all_used = _usage(thread)
        return used > 0 and all_used > 1.2 * used

    def queued(self, thread: WatchedThread) -> float:
        """Return for how many seconds the thread had no processor that it wanted, since the last tick."""
        before = thread.before.queued
        return max(0.0, thread.now.queued - before) if before else 0.0

    def waiting_state(self, task: asyncio.Task[Any], waiter: object, thread: WatchedThread) -> Waiting:
        """Return how a suspended task waits."""
        step = self._step(thread)
        if step is None or step.task is task:
            return _WAITING
        due = self._overdue(waiter, task, thread)
        if due is not None:
            return Waiting(STARVED, step.holder, due)
        if waiter is None or _is_done(waiter):
            return Waiting(STARVED, step.holder, step.seconds)
        if step.seconds > HELD_FROM and not self._is_timed(waiter, thread):
            return Waiting(HELD, step.holder, step.seconds)
        return _WAITING

    def loop_use(self, thread: WatchedThread) -> LoopUse | None:
        """Return what the loop of a thread used up to this tick; None where that cannot be known."""
        use = thread.use
        if use.tick != self.tick:
            cpu = self.clock(thread)
            if cpu is None:
                return None
            passed = self.now - use.wall
            used, running = use.used, use.running
            if passed < _SAME_WORK:  # or nobody looked meanwhile
                used += cpu - use.cpu
                running += passed if self._is_seen_running(thread) else 0.0
            use = thread.use = LoopUse(self.tick, self.now, cpu, used, running)
        return use

    def _is_seen_running(self, thread: WatchedThread) -> bool:
        """Tell whether a loop's thread is seen at what it runs; where it selects, the GIL was had after a step."""
        if self.thread_state(thread) != RUNNING:
            return False
        places = self.walk(thread.ident).places
        return not places or self.codes.entries[places[0] >> OFFSET_BITS].module != "selectors"

    def is_in_greenlet(self, task: asyncio.Task[Any], thread: WatchedThread) -> bool:
        """Tell whether a thread runs a step of this task, and a stack that no event loop is below."""
        step = self._step(thread)
        if step is None or step.task is not task:
            return False
        loops = self.codes.loops
        return not any(place >> OFFSET_BITS in loops for place in self.walk(thread.ident).places)

    def has_step(self, thread: WatchedThread) -> bool:
        """Tell whether the thread's event loop is running something now."""
        return self._step(thread) is not None

    def _step(self, thread: WatchedThread) -> Step | None:
        ident = thread.ident
        if ident not in self._steps:
            self._steps[ident] = self._find_step(thread)
        return self._steps[ident]

    def _find_step(self, thread: WatchedThread) -> Step | None:
        loop = thread.loop
        if loop is None:
            return None
        task = asyncio.current_task(loop)
        hold = thread.hold
        if task is None:
            thread.hold = None
            callbacks = self.codes.callbacks
            if not any(place >> OFFSET_BITS in callbacks for place in self.walk(thread.ident).places):
                return None
            holder = self._holder(thread.ident)
            return None if holder is None else Step(None, 0.0, holder)
        if not isinstance(hold, Hold) or hold.turned or hold.task() is not task:
            hold = thread.hold = Hold(task, self.now)
            try:
                # The only exact sign that a step is over, on every kind of loop: what it calls next.
                loop.call_soon_threadsafe(hold.turn)
            except Exception:  # noqa: BLE001 - a loop that is being closed, or of somebody's own making
                thread.hold = None
        holder = self._holder(thread.ident)
        return Step(task, self.now - hold.since, NOBODY if holder is None else holder)

    def _holder(self, ident: int) -> int | None:
        """Return the innermost function of the application in the loop's step, else the step's outermost one.

        None if the loop is in no step.
        """
        outermost = None
        loops, applications = self.codes.loops, self.codes.applications
        for place in self.walk(ident).places:
            index = place >> OFFSET_BITS
            if index in loops:
                return outermost
            if index in applications:
                return index
            outermost = index
        return outermost

    def _overdue(self, waiter: object, task: asyncio.Task[Any], thread: WatchedThread) -> float | None:
        """Return for how many seconds the timer that wakes a task has been due; None if there is none."""
        due = self._due.get(thread.ident)
        if due is None:
            due = self._due[thread.ident] = dict(due_timers(thread.loop))
        return due.get(id(waiter), due.get(id(task)))

    def _is_timed(self, waiter: object, thread: WatchedThread) -> bool:
        timed = self._timed.get(thread.ident)
        if timed is None:
            timed = self._timed[thread.ident] = set(timers(thread.loop))
        return id(waiter) in timed


def _usage(thread: WatchedThread) -> tuple[float, float, float]:
    """Return the thread's CPU seconds, the seconds they were used in, and the process's CPU seconds in the same."""
    now, before = thread.now, thread.before
    return now.thread - before.thread, now.wall - before.wall, now.process - before.process


def _is_done(waiter: object) -> bool:
    done = getattr(waiter, "done", None)
    return bool(done()) if callable(done) else False
