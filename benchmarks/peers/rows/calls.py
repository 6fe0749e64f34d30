"""What one operation costs that does nothing: CPU of the whole process, what is left for other threads included."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

from benchmarks.peers.adapters.base import Peer
from benchmarks.peers.rows.base import How, Row

_ENOUGH = 0.05
"""Seconds that a measurement takes at least."""


class _Calls(Row):
    how = How.EXTRA
    form = "{:,.0f}"
    bare = "{:,.0f} ns"

    def __init__(self) -> None:
        self._calls: dict[type[Peer], int] = {}

    def measure(self, peer: Peer) -> dict[str, float]:
        calls = self._calls.get(type(peer), 100)
        while (seconds := self._time(peer, calls)) < _ENOUGH:
            calls *= 2
        self._calls[type(peer)] = calls
        return {"value": seconds / calls * 1e9}

    def _time(self, peer: Peer, calls: int) -> float:
        raise NotImplementedError


class SyncCall(_Calls):
    """An empty function."""

    title = "empty sync operation, extra CPU ns"

    def _time(self, peer: Peer, calls: int) -> float:
        return _time(peer.wrap(nothing), calls)


class AsyncCall(_Calls):
    """An empty coroutine."""

    title = "empty async operation, extra CPU ns"

    def _time(self, peer: Peer, calls: int) -> float:
        async def main() -> float:
            operation = peer.wrap_async(nothing_awaited)
            started = time.process_time()
            for _ in range(calls):
                await operation()
            return time.process_time() - started

        return asyncio.run(main())


def _time(operation: Callable[[], object], calls: int) -> float:
    started = time.process_time()
    for _ in range(calls):
        operation()
    return time.process_time() - started


def nothing() -> None:
    """Do nothing."""


async def nothing_awaited() -> None:
    """Do nothing, as a coroutine."""
