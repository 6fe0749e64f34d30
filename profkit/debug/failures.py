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
_PATIENCE = 2.0
_LOOK_AGAIN = 0.02


@dataclass(frozen=True, slots=True, kw_only=True)
class FailureLimits:
    """How many wrong credentials are answered 401 before the answer is 429.

    `per_peer` and `total` attempts in `window` seconds; each is answered `delay` seconds late. An attempt counts from
    when it is made, and no more once it has turned out right: many at once are no more than one after another.
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
    """Attempts since the beginning of a fixed span of time; of `count` not failed yet are `pending`."""

    __slots__ = ("began", "count", "pending")

    def __init__(self, began: float) -> None:
        self.began = began
        self.count = 0
        self.pending = 0


@dataclass(frozen=True, slots=True)
class Attempt:
    """One attempt. It may be made if `wait` is 0, else one may be made after so many seconds.

    `undecided`: others are being made, and it may be made as soon as enough of them have turned out right.
    """

    wait: int = 0
    undecided: bool = False
    windows: tuple[_Window, ...] = ()


class Failures:
    """Counts attempts, from when they are made. May be used from several event loops."""

    def __init__(self, limits: FailureLimits, clock: Callable[[], float] = monotonic) -> None:
        self._limits = limits
        self._clock = clock
        self._lock = threading.Lock()
        self._total = _Window(clock())
        self._peers: OrderedDict[str, _Window] = OrderedDict()
        self._delayed = 0
        self._queued = 0

    def begin(self, peer: str) -> Attempt:
        """Count an attempt of `peer`, if it may be made; `end` must follow.

        Of more than 4096 addresses the one longest without an attempt is forgotten.
        """
        limits = self._limits
        with self._lock:
            now = self._clock()
            self._total = self._current(self._total, now)
            own = self._current(self._peers.get(peer), now)
            self._peers[peer] = own
            self._peers.move_to_end(peer)
            if len(self._peers) > _MAX_PEERS:
                self._peers.popitem(last=False)
            windows = ((self._total, limits.total), (own, limits.per_peer))
            full = [(window, limit) for window, limit in windows if window.count >= limit]
            if full:
                longest = max(window.began + limits.window - now for window, _ in full)
                undecided = all(window.count - window.pending < limit for window, limit in full)
                return Attempt(int(longest) + 1, undecided)
            for window, _ in windows:
                window.count += 1
                window.pending += 1
        return Attempt(windows=tuple(window for window, _ in windows))

    async def begin_soon(self, peer: str) -> Attempt:
        """Do as `begin`, but while that is undecided wait: 2 s at most, and not beyond 32 at once."""
        give_up = self._clock() + _PATIENCE
        while (attempt := self.begin(peer)).undecided:
            if self._queued >= _MAX_WAITING or self._clock() >= give_up:
                return Attempt(1)
            self._queued += 1
            try:
                await asyncio.sleep(_LOOK_AGAIN)
            finally:
                self._queued -= 1
        return attempt

    def end(self, attempt: Attempt, *, passed: bool) -> None:
        """Say how an attempt turned out: one that passed is given back."""
        with self._lock:
            for window in attempt.windows:
                window.pending -= 1
                window.count -= passed

    async def slow_down(self) -> None:
        """Let a failed attempt wait; not beyond 32 at once, for each holds a connection."""
        if self._delayed >= _MAX_WAITING or not self._limits.delay:
            return
        self._delayed += 1
        try:
            await asyncio.sleep(self._limits.delay)
        finally:
            self._delayed -= 1

    def _current(self, window: _Window | None, now: float) -> _Window:
        if window is None or now - window.began >= self._limits.window:
            return _Window(now)
        return window
