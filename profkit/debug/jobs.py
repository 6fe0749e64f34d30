"""Work that is done once at a time, such as a capture of the process."""

from __future__ import annotations

import os
import threading
from collections.abc import Generator
from contextlib import contextmanager

from profkit.debug.problems import busy

_RETRY_AFTER = 5


class Jobs:
    """Which jobs are being done."""

    def __init__(self) -> None:
        self._begin()

    def _begin(self) -> None:
        self._pid = os.getpid()
        self._lock = threading.Lock()
        self._running: set[str] = set()

    @contextmanager
    def alone(self, name: str) -> Generator[None]:
        """Do the one job of this name; raise a `Problem` (409) if it is being done already."""
        if os.getpid() != self._pid:  # what the parent was at goes on there
            self._begin()
        with self._lock:
            if name in self._running:
                raise busy(f"A {name} of this process is going on, and there is one at a time.", _RETRY_AFTER)
            self._running.add(name)
        try:
            yield
        finally:
            with self._lock:
                self._running.discard(name)
