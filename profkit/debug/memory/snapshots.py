"""What tracemalloc has traced, at what it costs: a snapshot keeps the interpreter to itself."""

from __future__ import annotations

import tracemalloc
from typing import Any, cast

from profkit.debug.memory.allocations import Trace
from profkit.debug.memory.holds import Cost, held

_TRACE_BYTES = 60
"""What tracemalloc keeps of each block in its own table, in every version from 3.11 to 3.13."""

_cost = Cost("looking at them", "blocks of memory are traced", 0.8e-6)


def traces_expected(limit: float) -> int:
    """Return about how many blocks are traced; raises `TooLarge` if a snapshot would take more than `limit` seconds."""
    traces = _traced()
    _cost.check(traces, limit)
    return traces


def is_full(limit: float) -> bool:
    """Tell whether a snapshot taken now would nearly take `limit` seconds."""
    return _cost.expected(_traced()) >= 0.9 * limit


def take_snapshot() -> tuple[list[Trace], float]:
    """Return every traced block, and for how many seconds at most no other thread ran.

    Raises `RuntimeError` if nothing is traced.
    """
    snapshot, stall = held(tracemalloc.take_snapshot)
    # Not by way of Snapshot.statistics: only the list itself can be given back bit by bit.
    traces = cast("list[Trace]", cast("Any", snapshot.traces)._traces)  # noqa: SLF001 - as above
    _cost.learn(len(traces), stall)
    return traces, stall


def _traced() -> int:
    return tracemalloc.get_tracemalloc_memory() // _TRACE_BYTES
