"""Operations that have been running for very long: each leaves a profile before it ends, lest it never does."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from profkit.operations import Operation

_LOOKS = 10
"""How many looks `after` seconds are divided into,"""
_MOST_BETWEEN = 1.0
"""and how many seconds lie between two of them at most."""
_LEFT_BEHIND = 60.0
"""Seconds after which an operation that has ended without a word is forgotten: an exception met its end."""


class Left(NamedTuple):
    """What the last profile of an operation has in common with the one it left while it was running."""

    id: str
    start_ns: int


class Stalls:
    """The operations in flight that are known to be running for longer than `after` seconds; 0: none ever is.

    `look` is for one thread, `end` for any.
    """

    def __init__(self, after: float) -> None:
        self.after = after
        self._known: dict[Operation, Left | None] = {}
        self._next = 0.0

    def look(self, registry: Iterable[Operation], now: float) -> Iterator[Operation]:
        """Yield those that were not known yet; seldom more often than each second. `now`: as of `perf_counter`."""
        if not self.after or now < self._next:
            return
        self._next = now + min(self.after / _LOOKS, _MOST_BETWEEN)
        self._forget(now)
        latest = now - self.after
        for operation in list(registry):
            if operation.started <= latest and operation not in self._known:
                self._known[operation] = None
                yield operation

    def leave(self, operation: Operation, left: Left | None) -> None:
        """Note what an operation leaves, unless it has just ended."""
        if operation in self._known:
            self._known[operation] = left

    def end(self, operation: Operation) -> Left | None:
        """Forget an operation that has ended; return what it has left."""
        return self._known.pop(operation, None)

    def _forget(self, now: float) -> None:
        for operation in list(self._known):
            if operation.ended and now - operation.ended > _LEFT_BEHIND:
                self._known.pop(operation, None)
