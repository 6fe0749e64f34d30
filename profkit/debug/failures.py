"""Failed attempts: slowed, and beyond a number refused, by address and in total. All of it bounded."""

from __future__ import annotations

import asyncio
import threading
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic

from profkit_storage import ConfigurationError

_MAX_PEERS = 4096
_MAX_WAITING = 32


@dataclass(frozen=True, slots=True, kw_only=True)
class FailureLimits:
    """How many wrong credentials are answered 401 before the answer is 429.

    `per_peer` and `total` attempts in `window` seconds; each is answered `delay` seconds late.
    """

    per_peer: int = 10
    total: int = 100
    window: float = 60.0
    delay: float = 0.25

    def __post_init__(self) -> None:
        for name, low, high in (
            ("per_peer", 1, 10**6),
            ("total", 1, 10**6),
            ("window", 1, 86_400),
            ("delay", 0, 5),
        ):
            value = getattr(self, name)
            if not low <= value <= high:
                raise ConfigurationError(f"{name}={value!r} is not allowed: give {low} to {high}")


class _Window:
    """Attempts since the beginning of a fixed span of time."""

    __slots__ = ("began", "count")

    def __init__(self, began: float) -> None:
        self.began = began
        self.count = 0


class Failures:
    """Counts failed attempts. May be used from several event loops."""

    def __init__(self, limits: FailureLimits, clock: Callable[[], float] = monotonic) -> None:
        self._limits = limits
        self._clock = clock
        self._lock = threading.Lock()
        self._total = _Window(clock())
        self._peers: OrderedDict[str, _Window] = OrderedDict()
        self._waiting = 0

    def retry_after(self, peer: str) -> int:
        """Return the seconds after which `peer` may fail again, 0 if he may now."""
        with self._lock:
            now = self._clock()
            own = self._peers.get(peer)
            waits = [self._left(self._total, self._limits.total, now)]
            if own is not None:
                waits.append(self._left(own, self._limits.per_peer, now))
            longest = max(waits)
        return int(longest) + 1 if longest > 0 else 0

    def add(self, peer: str) -> None:
        """Count a failed attempt; of more than 4096 addresses the one longest without an attempt is forgotten."""
        with self._lock:
            now = self._clock()
            self._total = self._current(self._total, now)
            self._total.count += 1
            own = self._peers[peer] = self._current(self._peers.get(peer), now)
            own.count += 1
            self._peers.move_to_end(peer)
            if len(self._peers) > _MAX_PEERS:
                self._peers.popitem(last=False)

    async def slow_down(self) -> None:
        """Let a failed attempt wait; not beyond 32 at once, for each holds a connection."""
        if self._waiting >= _MAX_WAITING or not self._limits.delay:
            return
        self._waiting += 1
        try:
            await asyncio.sleep(self._limits.delay)
        finally:
            self._waiting -= 1

    def _left(self, window: _Window, limit: int, now: float) -> float:
        return window.began + self._limits.window - now if window.count >= limit else 0.0

    def _current(self, window: _Window | None, now: float) -> _Window:
        if window is None or now - window.began >= self._limits.window:
            return _Window(now)
        return window
