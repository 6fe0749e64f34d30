"""The interpreter's own threads and locks, also where gevent has put its own in their place.

The sampler has to look on while a greenlet has the thread, and the recorder to write: no greenlet can do that. gevent
may patch the process before profkit is imported or after it, so each of these asks when it is called.
"""

from __future__ import annotations

import sys
import threading
import time
from collections.abc import Callable
from importlib import import_module
from types import TracebackType
from typing import Any, Protocol

_POLL = 0.005
"""Seconds between two looks of a greenlet that waits for a thread of ours: the other greenlets run meanwhile."""
_ours: set[int] = set()
"""The idents of the bare threads."""


class Thread(Protocol):
    """A thread that was started."""

    @property
    def ident(self) -> int | None:
        """What `ident()` returns in it; None until it runs."""
        ...

    def is_alive(self) -> bool:
        """Tell whether it has not ended."""
        ...

    def join(self, timeout: float | None = None) -> None:
        """Wait for its end, for `timeout` seconds at the most."""
        ...


class Condition(Protocol):
    """What is used of `threading.Condition`."""

    def __enter__(self) -> object: ...

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
        /,
    ) -> object: ...

    def notify_all(self) -> None:
        """Have those that wait look again."""
        ...

    def wait(self, timeout: float | None = None) -> object:
        """Let go of the lock until something may have changed, for `timeout` seconds at the most."""
        ...

    def wait_for(self, predicate: Callable[[], object], timeout: float | None = None) -> object:
        """Let go of the lock until `predicate` is true; false if `timeout` seconds were not enough."""
        ...


def is_patched() -> bool:
    """Tell whether gevent has replaced the threads of this process by greenlets."""
    monkey = sys.modules.get("gevent.monkey")
    tell = getattr(monkey, "is_module_patched", None)  # None while it is being imported
    return tell is not None and bool(tell("threading"))


def original(module: str, name: str) -> Any:  # noqa: ANN401 - anything of any module
    """Return `name` of `module` as it was before gevent patched it."""
    if is_patched():
        return sys.modules["gevent.monkey"].get_original(module, name)
    return getattr(import_module(module), name)


def ident() -> int:
    """Return the running thread's ident, by which `sys._current_frames` knows it."""
    found: int = original("_thread", "get_ident")()
    return found


def is_ours(number: int) -> bool:
    """Tell whether a thread with this ident was begun by `start` in a patched process."""
    return number in _ours


def lock() -> threading.Lock:
    """Return a lock of threads."""
    made: threading.Lock = original("_thread", "allocate_lock")()
    return made


def rlock() -> threading.RLock:
    """Return a lock that its thread may take again: so may its greenlets, which must not switch while they have it."""
    made: threading.RLock = original("_thread", "RLock")()
    return made


def condition() -> Condition:
    """Return a condition for one thread of ours, and whatever the application runs."""
    return _Polled() if is_patched() else threading.Condition()


def start(run: Callable[[], object], name: str) -> Thread:
    """Start a daemon thread.

    Raises:
        RuntimeError: none can be had, or the interpreter is about to end.
    """
    if is_patched():
        return _Bare(run)
    thread = threading.Thread(target=run, name=name, daemon=True)
    thread.start()
    return thread


def is_ending(error: RuntimeError) -> bool:
    """Tell whether `start` failed because the interpreter ends, as it does from 3.12 on in exit functions too."""
    return "interpreter shutdown" in str(error)


class Signal:
    """A flag that one thread waits for. It is set in one step: no signal handler can come in its midst."""

    def __init__(self) -> None:
        self._lock = lock()
        self._lock.acquire()

    def set(self) -> None:
        """Let the thread that waits go on, or the next one that would wait."""
        try:
            self._lock.release()
        except RuntimeError:  # it is set
            pass

    def wait(self, timeout: float = -1) -> bool:
        """Wait until it is set, and take it back; False if `timeout` seconds were not enough."""
        return self._lock.acquire(timeout=timeout)


class _Bare:
    """A thread that `threading`, which gevent has patched, does not know."""

    def __init__(self, run: Callable[[], object]) -> None:
        self.ident: int | None = None
        self._run = run
        self._alive = True
        original("_thread", "start_new_thread")(self._go, ())

    def _go(self) -> None:
        self.ident = number = ident()
        _ours.add(number)
        try:
            self._run()
        finally:
            _ours.discard(number)
            self._alive = False

    def is_alive(self) -> bool:
        return self._alive

    def join(self, timeout: float | None = None) -> None:
        until = None if timeout is None else time.monotonic() + timeout
        while self._alive and (until is None or time.monotonic() < until):
            time.sleep(_POLL)


class _Polled:
    """A condition that greenlets wait for by looking again and again, and a thread of ours, one, by waiting."""

    def __init__(self) -> None:
        self._lock = rlock()
        self._signal = Signal()

    def __enter__(self) -> object:
        return self._lock.__enter__()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._lock.release()

    def notify_all(self) -> None:
        self._signal.set()

    def wait(self, timeout: float | None = None) -> None:
        self._lock.release()
        try:
            if is_ours(ident()):
                self._signal.wait(-1 if timeout is None else max(0.0, timeout))
            else:
                time.sleep(_POLL)
        finally:
            self._lock.acquire()

    def wait_for(self, predicate: Callable[[], object], timeout: float | None = None) -> bool:
        until = None if timeout is None else time.monotonic() + timeout
        while not predicate():
            left = None if until is None else until - time.monotonic()
            if left is not None and left <= 0:
                return False
            self.wait(left)
        return True
