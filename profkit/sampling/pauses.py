"""Garbage collections of over a millisecond, and the operations they interrupted."""

from __future__ import annotations

import gc
from collections import deque
from time import perf_counter
from typing import Any

from profkit.operations import Operation, current

_WORTH_NOTING = 0.001
_MOST_WAITING = 10_000
_began = 0.0
_pauses: deque[tuple[Operation, float]] = deque(maxlen=_MOST_WAITING)


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
    while _pauses:
        try:
            operation, seconds = _pauses.popleft()
        except IndexError:  # another profiler's sampler was faster
            return
        recording = operation.recording
        if recording is not None:
            recording.collected += seconds


def _on_collection(phase: str, info: dict[str, Any]) -> None:  # noqa: ARG001 - the interpreter's signature
    global _began  # noqa: PLW0603 - a collection is never interrupted by another
    if phase == "start":
        _began = perf_counter()
        return
    seconds = perf_counter() - _began
    if seconds < _WORTH_NOTING:
        return
    operation = current.get()
    while operation is not None:
        if not operation.ended:
            _pauses.append((operation, seconds))
        operation = operation.parent
