"""Work that is done once at a time, such as a capture of the process."""

from __future__ import annotations

import threading
from collections.abc import Generator
from contextlib import contextmanager

from profkit.debug.problems import busy

_RETRY_AFTER = 5


class Jobs:
    """Which jobs are being done."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running: set[str] = set()

    @contextmanager
    def alone(self, name: str) -> Generator[None]:
        """Do the one job of this name; raise a `Problem` (409) if it is being done already."""
        with self._lock:
            if name in self._running:
                raise busy(f"A {name} of this process is going on, and there is one at a time.", _RETRY_AFTER)
            self._running.add(name)
        try:
            yield
        finally:
            with self._lock:
                self._running.discard(name)
