"""The garbage collector: what it says of itself, and a collection on demand."""

from __future__ import annotations

import gc
from functools import partial
from typing import Final, TypedDict

import psutil

from profkit.debug.memory.footprint import MallocMemory, heap_memory
from profkit.debug.memory.holds import LOOK_LIMIT, Cost, TooLarge, allocated_blocks, held
from profkit.debug.memory.single import memory_job
from profkit_storage.errors import ConfigurationError

OLDEST: Final = 2
JOB_LIMIT = 5.0
"""Seconds for which a collection may stop the process; one that Python begins by itself takes as long."""

_walking = Cost("counting the frozen ones", "blocks of memory are allocated", 5e-9)
_collecting = Cost("a full collection", "blocks of memory are allocated", 60e-9)


class Generation(TypedDict):
    """How often one generation was collected, how many objects that freed, and how many could not be."""

    collections: int
    collected: int
    uncollectable: int


class CollectorReport(TypedDict):
    """The collector's state: new objects of each generation since it was collected, and from how many on it is.

    `frozen` objects are left alone (`gc.freeze`); None if too many objects are there to count them, and `unknown` says
    so. `garbage` are uncollectable objects that are kept. `stall_seconds`: how long counting the frozen ones stopped
    the process.
    """

    enabled: bool
    counts: list[int]
    thresholds: list[int]
    frozen: int | None
    garbage: int
    generations: list[Generation]
    unknown: str | None
    stall_seconds: float


class CollectionReport(TypedDict):
    """What a collection of a generation (0 to 2, and the younger ones) did.

    `collected` objects were freed, `uncollectable` ones found; `freed_bytes` is by how much the resident memory
    shrank, below zero if it grew meanwhile, `freed_blocks` the same of Python's blocks. `malloc` is the C library's
    heap afterwards: what is free there went back to it, not to the system. `stall_seconds` is for how long at most no
    other thread ran.
    """

    generation: int
    collected: int
    uncollectable: int
    freed_bytes: int
    freed_blocks: int
    rss_before: int
    rss_after: int
    malloc: MallocMemory | None
    stall_seconds: float


def collector_report() -> CollectorReport:
    """Return the collector's state."""
    frozen, stall, unknown = _frozen()
    return {
        "enabled": gc.isenabled(),
        "counts": list(gc.get_count()),
        "thresholds": list(gc.get_threshold()),
        "frozen": frozen,
        "garbage": len(gc.garbage),
        "generations": _generations(),
        "unknown": unknown,
        "stall_seconds": round(stall, 6),
    }


def collect_garbage(generation: int = OLDEST) -> CollectionReport:
    """Collect a generation now, in this thread: finalizers run here. Blocks.

    Raises `ConfigurationError` for a generation that there is not, `Busy` while another memory job runs, `TooLarge` if
    it would stop the process for more than 5 s.
    """
    if type(generation) is not int or not 0 <= generation <= OLDEST:
        raise ConfigurationError(f"generation: {generation!r} is not allowed; allowed is 0, 1 or 2")
    with memory_job.alone():
        process = psutil.Process()
        rss, blocks, before = process.memory_info().rss, allocated_blocks(), _generations()[generation]
        stall = collect_now(generation, JOB_LIMIT)
        after, rss_after = _generations()[generation], process.memory_info().rss
        return {
            "generation": generation,
            "collected": after["collected"] - before["collected"],
            "uncollectable": after["uncollectable"] - before["uncollectable"],
            "freed_bytes": rss - rss_after,
            "freed_blocks": blocks - allocated_blocks(),
            "rss_before": rss,
            "rss_after": rss_after,
            "malloc": heap_memory(JOB_LIMIT)["malloc"],
            "stall_seconds": round(stall, 6),
        }


def collect_now(generation: int, limit: float) -> float:
    """Collect; return for how many seconds at most no other thread ran. Raises `TooLarge`."""
    if generation < OLDEST:
        return held(partial(gc.collect, generation))[1]
    blocks = allocated_blocks()
    _collecting.check(blocks, limit)
    stall = held(partial(gc.collect, generation))[1]
    _collecting.learn(blocks, stall)
    return stall


def _frozen() -> tuple[int | None, float, str | None]:
    blocks = allocated_blocks()
    try:
        _walking.check(blocks, LOOK_LIMIT)
    except TooLarge as error:
        return None, 0.0, str(error)
    frozen, stall = held(gc.get_freeze_count)
    _walking.learn(blocks, stall)
    return frozen, stall, None


def _generations() -> list[Generation]:
    return [
        {
            "collections": one["collections"],
            "collected": one["collected"],
            "uncollectable": one["uncollectable"],
        }
        for one in gc.get_stats()
    ]
