"""Blocking work off the event loop: bounded in number and time, shared by those who ask for the same at once."""

from __future__ import annotations

import asyncio
import os
import threading
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from typing import TypeVar, cast

from profkit.debug.problems import overloaded

T = TypeVar("T")


class _Job:
    """A piece of work, and who waits for it."""

    __slots__ = ("future", "work")

    def __init__(self, work: Callable[[], object]) -> None:
        self.work = work
        self.future: Future[object] = Future()
        self.future.set_running_or_notify_cancel()  # who no longer waits does not cancel it for the others

    def do(self) -> Callable[[], None]:
        """Do the work; return what tells the outcome to those who wait."""
        try:
            result = self.work()
        except BaseException as error:  # noqa: BLE001 - to whoever waits
            return partial(self.future.set_exception, error)
        return partial(self.future.set_result, result)


class Workers:
    """Runs work in daemon threads: one that hangs delays neither the others nor the exit of the process.

    Args:
        limit: how many may run at once; one more is answered 503.
        timeout: seconds a caller waits before the answer is 503. The thread cannot be stopped and keeps its place.
    """

    def __init__(self, *, limit: int = 6, timeout: float = 5.0) -> None:
        self._limit = limit
        self._timeout = timeout
        self._begin()

    async def run(self, key: object, work: Callable[[], T]) -> T:
        """Return what `work` does, or raise what it raises; no result is older than the call.

        Of the same `key` one is done at a time: those who ask meanwhile share the next.
        """
        return cast("T", await _wait(self._shared(key, work), self._timeout))

    def begin(self, key: object, work: Callable[[], T]) -> Future[T]:
        """Do `work` as `run` does, for those who wait in a thread, or not at all."""
        return cast("Future[T]", self._shared(key, work))

    async def run_alone(self, work: Callable[[], T], *, within: float | None = None) -> T:
        """Return what `work` does, for this caller only; within so many seconds, if given."""
        self._begin_in_child()
        job = _Job(work)
        self._start(lambda: self._do(job))
        return cast("T", await _wait(job.future, self._timeout if within is None else within))

    def _begin(self) -> None:
        self._pid = os.getpid()
        self._places = threading.BoundedSemaphore(self._limit)
        self._lock = threading.Lock()
        self._next: dict[
            object, _Job | None
        ] = {}  # the keys being worked on, and what is to be done after it

    def _begin_in_child(self) -> None:
        if os.getpid() != self._pid:  # the threads did not come along when this process was forked
            self._begin()

    def _shared(self, key: object, work: Callable[[], object]) -> Future[object]:
        self._begin_in_child()
        with self._lock:
            if key not in self._next:
                job = _Job(work)
                self._start(lambda: self._do_all(key, job))
                self._next[key] = None
                return job.future
            upcoming = self._next[key]
            if upcoming is None:
                upcoming = self._next[key] = _Job(work)
            return upcoming.future

    def _start(self, target: Callable[[], None]) -> None:
        places = self._places
        if not places.acquire(blocking=False):
            raise overloaded("Too much is being asked at once.")
        try:
            threading.Thread(target=target, name="profkit-debug", daemon=True).start()
        except RuntimeError:
            places.release()
            raise overloaded("No thread can be started.") from None

    def _do(self, job: _Job) -> None:
        tell = job.do()
        self._places.release()  # first: who is told may ask again
        tell()

    def _do_all(self, key: object, job: _Job) -> None:
        following: _Job | None = job
        while following is not None:
            tell = following.do()
            with self._lock:
                following = self._next[key]
                if following is None:
                    del self._next[key]
                    self._places.release()
                else:
                    self._next[key] = None
            tell()


async def _wait(future: Future[T], within: float) -> T:
    try:
        return await asyncio.wait_for(asyncio.wrap_future(future), within)
    except TimeoutError:
        if future.done():
            raise  # the work's own
        raise overloaded(f"This took longer than {within:g} seconds.") from None
