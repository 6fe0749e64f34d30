"""Garbage collections of over a millisecond, and the operations they interrupted.

A sampler that wants to look meanwhile gets its turn when the collection is over, and before Python has told of its end.
"""

from __future__ import annotations

import gc
from collections import deque
from time import perf_counter
from typing import Any

from profkit.operations import Operation, current

_WORTH_NOTING = 0.001
_MOST_WAITING = 10_000


class _Collection:
    """The one that goes on: since when its time has not been given to `operation`, 0 if there is none."""

    since = 0.0
    operation: Operation | None = None


_pauses: deque[tuple[Operation, float]] = deque(maxlen=_MOST_WAITING)
_unseen: dict[Operation, float] = {}
"""Seconds in operations that have no recording yet."""


def install() -> None:
    """Be told of every collection; 0.3 us each."""
    if _on_collection not in gc.callbacks:
        gc.callbacks.append(_on_collection)


def uninstall() -> None:
    """Be told no more."""
    if _on_collection in gc.callbacks:
        gc.callbacks.remove(_on_collection)


def drain() -> None:
    """Give the pauses since the last call to the recordings of the operations they were in."""
    since, now = _Collection.since, perf_counter()
    if since and now - since >= _WORTH_NOTING:
        _Collection.since = now
        _note(_Collection.operation, now - since)
    while _pauses:
        try:
            operation, seconds = _pauses.popleft()
        except IndexError:  # another profiler's sampler was faster
            return
        recording = operation.recording
        if recording is not None:
            recording.collected += seconds
        elif not operation.ended and len(_unseen) < _MOST_WAITING:
            _unseen[operation] = _unseen.get(operation, 0.0) + seconds
    for operation in list(_unseen):
        if operation.ended:
            _unseen.pop(operation, None)


def before(operation: Operation) -> float:
    """Return the seconds of collections in an operation that is being looked at for the first time."""
    return _unseen.pop(operation, 0.0) if _unseen else 0.0


def _on_collection(phase: str, info: dict[str, Any]) -> None:  # noqa: ARG001 - the interpreter's signature
    if phase == "start":
        _Collection.operation = current.get()
        _Collection.since = perf_counter()
        return
    since, operation = _Collection.since, _Collection.operation
    _Collection.since, _Collection.operation = 0.0, None
    seconds = perf_counter() - since
    if since and seconds >= _WORTH_NOTING:
        _note(operation, seconds)


def _note(operation: Operation | None, seconds: float) -> None:
    while operation is not None:
        if not operation.ended:
            _pauses.append((operation, seconds))
        operation = operation.parent
