"""What a long operation leaves in memory while it runs."""

from __future__ import annotations

import time

import psutil

from benchmarks.peers.adapters.base import Peer
from benchmarks.peers.rows.base import How, Row, fib, run

_SETTLED, _SECONDS = 1.0, 20.0
_DEPTH = 60


class LongOperation(Row):
    """Resident memory from its first second to its twentieth."""

    title = "20 s operation at depth 60, memory, KB a second"
    how = How.ALONE
    runs = 1
    form = "{:,.0f}"

    def measure(self, peer: Peer) -> dict[str, float]:
        found: list[float] = []
        run(peer, lambda: found.append(descend(_DEPTH)))
        return {"value": found[0]}


def descend(levels: int) -> float:
    """Work at some depth; return the growth in KB a second."""
    return descend(levels - 1) if levels else _work()


def _work() -> float:
    process = psutil.Process()
    started = time.perf_counter()
    settled = 0
    while (passed := time.perf_counter() - started) < _SECONDS:
        read_rows()
        format_rows()
        wait_for_rows()
        if passed > _SETTLED and not settled:
            settled = process.memory_info().rss
    return (process.memory_info().rss - settled) / 1024 / (_SECONDS - _SETTLED)


def read_rows() -> None:
    """Compute for about a millisecond."""
    fib(15)


def format_rows() -> None:
    """Compute for about a millisecond, some levels deeper."""
    ",".join(str(fib(5)) for _ in range(500))


def wait_for_rows() -> None:
    """Wait for three milliseconds."""
    time.sleep(0.003)
