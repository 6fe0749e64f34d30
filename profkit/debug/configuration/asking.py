"""Asks functions of the application's, and does not wait for ever: one that hangs spoils only its own answer."""

from __future__ import annotations

import asyncio
import inspect
import threading
from collections.abc import Callable

SECONDS = 2.0


class Asking:
    """Remembers which function has not come back: it is not called again until it has."""

    def __init__(self, seconds: float = SECONDS) -> None:
        self._seconds = seconds
        self._lock = threading.Lock()
        self._threads: dict[str, threading.Thread] = {}

    def ask(self, name: str, function: Callable[[], object]) -> object:
        """Return what a function returns, or raise what it raises; of `sys.exit` and its like a RuntimeError.

        Raises:
            TypeError: it is asynchronous.
            TimeoutError: it took longer, or has not come back since an earlier request.
        """
        outcome: list[tuple[object, BaseException | None]] = []

        def call() -> None:
            try:
                outcome.append((_called(function), None))
            except BaseException as error:  # noqa: BLE001 - to who asked
                outcome.append((None, error))

        with self._lock:
            earlier = self._threads.get(name)
            if earlier is not None and earlier.is_alive():  # in a forked child none of the parent's is
                raise TimeoutError("the function has not come back since an earlier request")
            thread = self._threads[name] = threading.Thread(target=call, name="profkit-debug", daemon=True)
            thread.start()
        thread.join(self._seconds)
        if not outcome:
            raise TimeoutError(f"the function took longer than {self._seconds:g} s")
        value, error = outcome[0]
        if error is not None:
            raise error if isinstance(error, Exception) else RuntimeError(f"{type(error).__name__} {error}")
        return value


def _called(function: Callable[[], object]) -> object:
    found = function()
    if inspect.iscoroutine(found) or asyncio.isfuture(found):
        found.close() if inspect.iscoroutine(found) else found.cancel()
        raise TypeError("the function is asynchronous; give one that is not")
    return found
