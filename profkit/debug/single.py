"""What a process does once at a time: one costly count for all who ask, one window of tracing. A fork starts afresh."""

from __future__ import annotations

import os
import threading
import time
import tracemalloc
from collections.abc import Callable


class Recent:
    """A costly answer, computed by one caller at a time and served again while it is younger than `seconds`."""

    def __init__(self, compute: Callable[[], dict[str, object]], seconds: float) -> None:
        self._compute = compute
        self._seconds = seconds
        self.forget()

    def forget(self) -> None:
        """Compute anew at the next call."""
        self._pid = os.getpid()
        self._lock = threading.Lock()
        self._found: dict[str, object] | None = None
        self._time = 0.0

    def get(self) -> dict[str, object]:
        """The answer, with its `age` in seconds."""
        if os.getpid() != self._pid:  # the lock may have been held when this process was forked
            self.forget()
        with self._lock:
            if self._found is None or time.monotonic() - self._time > self._seconds:
                self._found, self._time = self._compute(), time.monotonic()
            return {**self._found, "age": round(time.monotonic() - self._time, 3)}


class Window:
    """The one window in which profkit may trace; a child forked within it traces no more."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._started = False
        self._watching = False

    def enter(self) -> bool:
        """Whether the window is this caller's, who then must `leave` it."""
        if not self._watching and hasattr(os, "register_at_fork"):
            os.register_at_fork(after_in_child=self._forked)
        self._watching = True
        return self._lock.acquire(blocking=False)

    def leave(self) -> None:
        """Give the window back."""
        self._lock.release()

    def start(self) -> None:
        """Start tracemalloc, one frame a block."""
        self._started = True
        tracemalloc.start(1)

    def stop(self) -> None:
        """Stop what `start` started."""
        self._started = False
        tracemalloc.stop()

    def _forked(self) -> None:
        if self._started:
            self.stop()
        self._lock = threading.Lock()
