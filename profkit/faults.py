"""What went wrong inside profkit: counted by reason, and logged at most once a minute each."""

from __future__ import annotations

import contextlib
import logging
import threading
import time

from profkit.masking import masker

logger = logging.getLogger("profkit")
_QUIET = 60.0


def log(level: int, message: str, *arguments: object, exc_info: BaseException | None = None) -> None:
    """Log a line of profkit's own; what the application's handlers raise must not reach the operation that ends."""
    with contextlib.suppress(Exception):
        logger.log(level, message, *arguments, exc_info=exc_info)


def without_secrets(error: BaseException) -> BaseException:
    """Return an exception of the same name for a log: the traceback, a masked message, and nothing that led to it."""
    name, _, message = masker.mask_error(error).partition(": ")
    made: type[Exception] = type(name, (Exception,), {"__module__": type(error).__module__})
    return made(message).with_traceback(error.__traceback__)


class Faults:
    """Counts by reason. Never raises; may be called from any thread."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Start over: at first, and in a forked child, where the lock may be held by nobody."""
        self._lock = threading.RLock()  # a finalizer may come in between, and may be an operation
        self._counts: dict[str, int] = {}
        self._logged: dict[str, float] = {}

    def add(self, reason: str, detail: object = "", error: BaseException | None = None) -> None:
        """Count one; log it with `detail` and `error`'s traceback, masked, unless it was within the last minute."""
        now = time.monotonic()
        with self._lock:
            self._counts[reason] = count = self._counts.get(reason, 0) + 1
            quiet = now - self._logged.get(reason, -_QUIET) < _QUIET
            if not quiet:
                self._logged[reason] = now
        if not quiet:
            times = f", for the {count}th time" if count > 1 else ""
            shown = None if error is None else without_secrets(error)
            log(logging.WARNING, "profkit: %s%s: %s", reason, times, _masked(detail), exc_info=shown)

    def counts(self) -> dict[str, int]:
        """Return how often each reason occurred."""
        with self._lock:
            return dict(self._counts)


def _masked(detail: object) -> str:
    if isinstance(detail, BaseException):
        return masker.mask_error(detail).partition(": ")[2]
    return masker.mask_text(str(detail))
