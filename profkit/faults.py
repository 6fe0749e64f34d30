"""What went wrong inside profkit: counted by reason, and logged at most once a minute each."""

from __future__ import annotations

import contextlib
import logging
import threading
import time

logger = logging.getLogger("profkit")
_QUIET = 60.0


def log(level: int, message: str, *arguments: object) -> None:
    """Log a line of profkit's own; what the application's handlers raise must not reach the operation that ends."""
    with contextlib.suppress(Exception):
        logger.log(level, message, *arguments)


class Faults:
    """Counts by reason. Never raises; may be called from any thread."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Start over: at first, and in a forked child, where the lock may be held by nobody."""
        self._lock = threading.RLock()  # a finalizer may come in between, and may be an operation
        self._counts: dict[str, int] = {}
        self._logged: dict[str, float] = {}

    def add(self, reason: str, detail: object = "") -> None:
        """Count one; log it with `detail` unless this reason was logged within the last minute."""
        now = time.monotonic()
        with self._lock:
            self._counts[reason] = count = self._counts.get(reason, 0) + 1
            quiet = now - self._logged.get(reason, -_QUIET) < _QUIET
            if not quiet:
                self._logged[reason] = now
        if not quiet:
            log(logging.WARNING, "%s (%d so far): %s", reason, count, detail)

    def counts(self) -> dict[str, int]:
        """Return how often each reason occurred."""
        with self._lock:
            return dict(self._counts)
