"""What a process does once at a time: one costly count for all who ask, one memory job. A fork starts afresh."""

from __future__ import annotations

import os
import threading
import time
import tracemalloc
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Generic, TypeVar

from profkit_storage.errors import ProfkitError

T = TypeVar("T")


class Busy(ProfkitError):
    """Another memory job is running in this process; try again when it is done."""


class Recent(Generic[T]):
    """A costly answer, computed by one caller at a time and served again while it is younger than `seconds`."""

    def __init__(self, compute: Callable[[], T], seconds: float) -> None:
        self._compute = compute
        self._seconds = seconds
        self.forget()

    def forget(self) -> None:
        """Compute anew at the next call."""
        self._pid = os.getpid()
        self._lock = threading.Lock()
        self._found: tuple[T, float] | None = None

    def get(self) -> tuple[T, float]:
        """Return the answer and its age in seconds. What computing raises is raised, and the last answer is kept."""
        if os.getpid() != self._pid:  # the lock may have been held when this process was forked
            self.forget()
        with self._lock:
            if self._found is None or time.monotonic() - self._found[1] > self._seconds:
                self._found = self._compute(), time.monotonic()
            value, since = self._found
        return value, round(time.monotonic() - since, 3)

    def last(self) -> tuple[T, float] | None:
        """Return the last answer, however old, and its age; None if there is none in this process."""
        found = self._found if os.getpid() == self._pid else None
        return None if found is None else (found[0], round(time.monotonic() - found[1], 3))

    def put(self, value: T) -> None:
        """Keep an answer that somebody else computed."""
        if os.getpid() != self._pid:
            self.forget()
        self._found = value, time.monotonic()


class MemoryJob:
    """The one memory job of a process, which alone may trace; a child forked within it traces no more."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._watching = False
        self.tracing = False
        """Whether profkit has started tracemalloc."""

    @contextmanager
    def alone(self) -> Generator[None]:
        """Be the one job; raises `Busy` while there is another."""
        if not self._watching and hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._forked)
        self._watching = True
        lock = self._lock  # a child of a fork has another
        if not lock.acquire(blocking=False):
            raise Busy("a memory job is running in this process; one at a time is allowed")
        try:
            yield
        finally:
            lock.release()

    def start(self, frames: int) -> None:
        """Start tracemalloc with so many frames a block."""
        self.tracing = True
        tracemalloc.start(frames)

    def stop(self) -> None:
        """Stop what `start` started."""
        tracemalloc.stop()
        self.tracing = False

    def _forked(self) -> None:
        if self.tracing:
            self.stop()
        self._lock = threading.Lock()


memory_job = MemoryJob()
