"""Blocking work off the event loop: bounded in number and time, shared by those who ask for the same at once."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import Future
from time import monotonic
from typing import TypeVar, cast

from profkit.debug.problems import overloaded

T = TypeVar("T")
_MAX_KEPT = 32


class _Result:
    """A piece of work, under way or done; `done` is when, infinity until then."""

    __slots__ = ("done", "future")

    def __init__(self, future: Future[object]) -> None:
        self.future = future
        self.done = float("inf")


class Workers:
    """Runs work in daemon threads: one that hangs delays neither the others nor the exit of the process.

    Args:
        limit: how many may run at once; one more is answered 503.
        timeout: seconds a caller waits before the answer is 503. The thread cannot be stopped and keeps its place.
        keep: seconds for which a result serves again.
    """

    def __init__(self, *, limit: int = 6, timeout: float = 5.0, keep: float = 1.0) -> None:
        self._places = threading.BoundedSemaphore(limit)
        self._timeout = timeout
        self._keep = keep
        self._lock = threading.Lock()
        self._results: dict[object, _Result] = {}

    async def run(self, key: object, work: Callable[[], T]) -> T:
        """Return what `work` does, or did a moment ago for the same `key`; raises what it raises."""
        future = cast("Future[T]", self._shared(key, work))
        return await _wait(future, self._timeout)

    async def run_alone(self, work: Callable[[], T], *, within: float | None = None) -> T:
        """Return what `work` does now, for this caller only; within so many seconds, if given."""
        return await _wait(self._start(work), self._timeout if within is None else within)

    def _shared(self, key: object, work: Callable[[], object]) -> Future[object]:
        with self._lock:
            old = monotonic() - self._keep
            for other in [other for other, result in self._results.items() if result.done < old]:
                del self._results[other]
            known = self._results.get(key)
            if known is not None:
                return known.future
            result = _Result(self._start(work))
            while len(self._results) >= _MAX_KEPT:
                del self._results[next(iter(self._results))]
            self._results[key] = result
        result.future.add_done_callback(lambda _: setattr(result, "done", monotonic()))
        return result.future

    def _start(self, work: Callable[[], T]) -> Future[T]:
        if not self._places.acquire(blocking=False):
            raise overloaded("Too much is being asked at once.")
        future: Future[T] = Future()
        future.set_running_or_notify_cancel()  # who no longer waits does not cancel it for the others
        thread = threading.Thread(target=self._run, args=(future, work), name="profkit-debug", daemon=True)
        try:
            thread.start()
        except RuntimeError:
            self._places.release()
            raise overloaded("No thread can be started.") from None
        return future

    def _run(self, future: Future[T], work: Callable[[], T]) -> None:
        try:
            result = work()
        except BaseException as error:  # noqa: BLE001 - to whoever waits
            self._places.release()
            future.set_exception(error)
        else:
            self._places.release()
            future.set_result(result)


async def _wait(future: Future[T], within: float) -> T:
    try:
        return await asyncio.wait_for(asyncio.wrap_future(future), within)
    except TimeoutError:
        if future.done():
            raise  # the work's own
        raise overloaded(f"This took longer than {within:g} seconds.") from None
