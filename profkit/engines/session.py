"""pyinstrument's engine at work on one operation, in the thread the operation began in.

The engine is what is below `pyinstrument.Profiler`: the profile hook in C and the thread's `StackSampler`, which asks
each of its subscribers to take a sample when an interval has passed. To subscribe directly costs a third of starting a
`Profiler`, gives each sample while its frames are there to be read, and needs no memory for samples to come.
`Profiler`'s tracking of asynchronous contexts is left aside: it knows neither the tasks an operation has started nor
what those wait for, and lets no second profiler start in the same context, the application's own least of all.
"""

from __future__ import annotations

import atexit
import signal
import sys
import threading
import time
from functools import cache
from sys import _getframe  # pyright: ignore[reportPrivateUsage]  # documented, and the only way to a caller
from time import perf_counter
from types import FrameType, ModuleType
from typing import TYPE_CHECKING, Any

from profkit.engines.events import EventRecording, Moment, observe
from profkit.operations import Operation
from profkit.sampling import real
from profkit.sampling.origins import is_application

if TYPE_CHECKING:
    from pyinstrument.stack_sampler import StackSampler

    from profkit.profiler import PerformanceProfiler
    from profkit.sampling.recording import Recording

_SHORTEST = 0.001
"""Seconds between two samples at least."""
_SILENCE = 0.05
"""Seconds beyond an interval without a sample that tell of a hook which is not called any more."""
_BUILT_IN = "\x00<built-in>\x00"

_MISSING = "pyinstrument cannot be imported"
_OCCUPIED = "sys.setprofile was in use"
_NESTED = "another profiler was running"
_REFUSED = "sys.setprofile had no effect"
_REPLACED = "its hook was silent: sys.setprofile was called meanwhile, or the machine is too crowded"
_MOVED = "it ended in another thread"
_HANDED = "work was handed to other threads, which its hook does not see"
_CROWDED = "too many others were measured in its thread"
_DEAR = "its samples took longer than what they were samples of"
_WORTH_STOPPING = 0.1
"""Seconds of CPU that samples may take in any case,"""
_TOO_DEAR = 0.8
"""and the share of the thread's that they may not."""
_MOST_AT_ONCE = 4
"""Sessions of one thread: each has all that the thread calls sampled, and looks at all of its stack."""


@cache
def available() -> ModuleType | None:
    """Return the module of pyinstrument's samplers, None if it cannot be imported; takes 70 ms the first time.

    Whatever the hook needs is imported here: it may be called in the midst of the application's imports and locks, so
    it must wait for none.
    """
    try:
        from pyinstrument import stack_sampler
    except Exception:  # noqa: BLE001 - its extension may be built for another Python
        return None
    is_application("")  # asks sysconfig, which imports, under a lock
    atexit.register(_withdraw_all)
    return stack_sampler


class Session:
    """One subscription, and what was sampled. Whatever pyinstrument does, no method raises, but for signal handlers."""

    def __init__(self, operation: Operation, profiler: PerformanceProfiler) -> None:
        self.operation = operation
        self._registry = profiler.registry
        self._faults = profiler.faults
        self._watchdog = profiler.sampler
        self._interval = max(profiler.settings.interval, _SHORTEST)
        self._limit = profiler.settings.max_samples
        self._ident = real.ident()
        self._sampler: StackSampler | None = None
        self._recording: EventRecording | None = None
        self._hook: object = None
        self._fault = ""
        self._error: Exception | None = None
        self._calls = 0
        self._called = operation.started
        self._cost = 0.0
        self._began = time.thread_time()

    def start(self) -> str:
        """Begin to sample; return why not, "" if it has begun."""
        try:
            return self._start()
        except Exception as error:
            self.withdraw()
            if _comes_from_signal(error):
                raise
            return f"pyinstrument did not start: {type(error).__name__}"

    def _start(self) -> str:
        stacks = available()
        if stacks is None:
            return _MISSING
        hook = sys.getprofile()
        if hook is not None and not _is_pyinstruments(hook):
            return _OCCUPIED  # pyinstrument would put its own in its place
        sampler: StackSampler = stacks.get_stack_sampler()
        if len(sampler.subscribers) >= _MOST_AT_ONCE:
            return _CROWDED
        # A hook without a subscriber is that of another greenlet of this thread.
        if (hook is not None and not sampler.subscribers) or any(
            self._is_around(one, stacks) for one in sampler.subscribers
        ):
            return _NESTED
        self._sampler = sampler
        threading.current_thread()  # pyinstrument's hook asks for it, which takes a lock the first time
        # Else it may print, once in each thread, what its clock costs.
        warned, sampler.has_warned_about_timing_overhead = sampler.has_warned_about_timing_overhead, True
        sampler.subscribe(self.sampled, desired_interval=self._interval, use_async_context=False)
        sampler.has_warned_about_timing_overhead = warned
        self._hook = sys.getprofile()
        if not _is_pyinstruments(self._hook):
            self.withdraw()
            return _REFUSED
        return ""

    def _is_around(self, subscriber: Any, stacks: ModuleType) -> bool:  # noqa: ANN401 - the module is known at run time
        """Tell whether a subscriber of this thread profiles what the operation is part of."""
        other = getattr(subscriber.target, "__self__", None)
        if not isinstance(other, Session):
            here = stacks.active_profiler_context_var.get()
            return not subscriber.bound_to_async_context or bool(here == subscriber.target)
        around = self.operation.parent
        while around is not None and around is not other.operation:
            around = around.parent
        return around is not None

    def _is_dear(self) -> bool:
        """Tell whether to sample costs more than the rest: of many tasks or deep stacks each sample takes too long."""
        return self._cost > max(_WORTH_STOPPING, _TOO_DEAR * (time.thread_time() - self._began))

    def stop(self) -> str:
        """Sample no more; return why what was sampled does not show the whole operation, "" if it does."""
        if real.ident() != self._ident:
            return _MOVED  # its thread's hook takes itself out when it finds the operation gone
        if self.operation not in self._registry:
            return ""  # so it did in a forked child, where nothing is kept of it
        silent = self._is_silent
        if self._error is not None:
            self._faults.add("engine_error", repr(self._error))
        try:
            if _is_pyinstruments(sys.getprofile()) and self._sampler is not None:
                self._sampler.unsubscribe(self.sampled)
            else:
                self.withdraw()
                self._fault = self._fault or _REPLACED
        except Exception as error:
            self.withdraw()
            if _comes_from_signal(error):
                raise
            self._fault = f"pyinstrument did not stop: {type(error).__name__}"
        handed = any(branch.task is None for branch in self.operation.branches or ())
        return self._fault or (_REPLACED if silent else _HANDED if handed else "")

    def recording(self, watched: Recording | None) -> Recording:
        """Return what was sampled, when it has stopped; `watched` is the watchdog's."""
        recording = self._recorded()
        before = self._watchdog.cpu if watched is None else watched.sampler_cpu
        recording.sampler_cpu = before - self._cost  # what both have cost
        return recording

    def _recorded(self) -> EventRecording:
        if self._recording is None:
            self._recording = EventRecording(self.operation.started, self._limit, self._began)
        return self._recording

    def sampled(self, call_stack: list[str], _seconds: float, _async_state: object) -> None:
        """Be told by pyinstrument that a sample is due. What is raised here is raised in the application."""
        began = time.thread_time()
        try:
            if self.operation not in self._registry:  # in a forked child; or it has ended in another thread
                self._leave()
            elif not self._fault and not self._was_replaced():
                self._called = perf_counter()
                self._sample(call_stack, began - self._cost)
        except Exception as error:
            if _comes_from_signal(error):
                raise
            self._fault = f"sampling failed: {type(error).__name__}"
            self._error = error.with_traceback(None)  # told of when it stops: a log's handler has a lock
        finally:
            self._cost += time.thread_time() - began
            if not self._fault and self._is_dear():
                self._fault = _DEAR
                self._leave()

    @property
    def _is_silent(self) -> bool:
        return perf_counter() - self._called > self._interval + _SILENCE

    def _was_replaced(self) -> bool:
        """Tell whether there was another hook, or none, until pyinstrument put a new one of its own in its place.

        It does that for any profiler that starts with another interval; but then none of its own has been silent.
        """
        hook = sys.getprofile()
        if hook is not self._hook:
            self._hook = hook
            if self._is_silent:
                self._fault = _REPLACED
        return bool(self._fault)

    def _sample(self, call_stack: list[str], cpu: float) -> None:
        recording = self._recorded()
        self._calls += 1
        if self._calls % recording.stride:
            return
        native = call_stack[-1].partition(_BUILT_IN)[0] if _BUILT_IN in call_stack[-1] else ""
        frame = _event_frame()
        # Element 0 is the thread. Of a call that begins, pyinstrument shows the caller only: the time was the caller's.
        if frame is not None and _depth(frame) > len(call_stack) - 1 - bool(native):
            frame = frame.f_back
        observe(self.operation, recording, Moment(frame, native, cpu), self._registry)

    def withdraw(self) -> None:
        """Subscribe no more, however far it has come; a hook that is not pyinstrument's stays."""
        sampler = self._sampler
        if sampler is None:
            return
        sampler.subscribers = [one for one in sampler.subscribers if one.target != self.sampled]
        if not sampler.subscribers:
            sampler.current_sampling_interval = None
            sampler.last_profile_time = 0.0
            if _is_pyinstruments(sys.getprofile()):
                sys.setprofile(None)

    def _leave(self) -> None:
        """Subscribe no more, from within the hook."""
        self.withdraw()
        stacks = available()
        if stacks is not None and self._sampler is not None and not self._sampler.subscribers:
            # The old one notes the time of this sample when we return, and would give the next profiler all since then.
            stacks.thread_locals.stack_sampler = stacks.StackSampler()


def _withdraw_all() -> None:
    """Take out the hook of the thread that ends the interpreter: operations may be in flight."""
    stacks = available()
    for subscriber in list(stacks.get_stack_sampler().subscribers) if stacks is not None else ():
        session = getattr(subscriber.target, "__self__", None)
        if isinstance(session, Session):
            session.withdraw()


def _is_pyinstruments(hook: object) -> bool:
    return (type(hook).__module__ or "").partition(".")[0] == "pyinstrument"


def _event_frame() -> FrameType | None:
    """Return the frame whose call or return pyinstrument was told of, past pyinstrument's and this module's."""
    frame: FrameType | None = _getframe(1)
    inner = {id(globals()), id(vars(available()))}
    while frame is not None and id(frame.f_globals) in inner:
        frame = frame.f_back
    return frame


def _depth(frame: FrameType | None) -> int:
    depth = 0
    while frame is not None:
        depth += 1
        frame = frame.f_back
    return depth


def _comes_from_signal(error: BaseException) -> bool:
    """Tell whether a signal handler of the application's raised this while the hook ran: it is meant for them."""
    if type(error).__module__ != "builtins":  # nothing here raises such: a handler, or another thread, did
        return True
    handlers = [signal.getsignal(number) for number in signal.valid_signals()]
    codes = {id(code) for code in (getattr(handler, "__code__", None) for handler in handlers) if code}
    traceback = error.__traceback__
    while traceback is not None:
        if id(traceback.tb_frame.f_code) in codes:
            return True
        traceback = traceback.tb_next
    return False
