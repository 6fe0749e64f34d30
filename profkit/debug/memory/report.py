"""How much memory this process uses, for what types of objects, and which lines allocate.

Only type names and places in code are ever shown, never an object or its repr.
"""

from __future__ import annotations

import tracemalloc
from typing import NamedTuple, TypedDict

from profkit.debug.memory.allocations import AllocatedLine, Tally, masked
from profkit.debug.memory.bounds import check_count
from profkit.debug.memory.census import Census, TypeCount, commonest, recent_census
from profkit.debug.memory.collector import CollectorReport, collector_report
from profkit.debug.memory.footprint import HeapMemory, ProcessMemory, heap_memory, process_memory
from profkit.debug.memory.holds import LOOK_LIMIT, TooLarge
from profkit.debug.memory.single import Recent, memory_job
from profkit.debug.memory.snapshots import take_snapshot, traces_expected
from profkit.debug.memory.typenames import shown_name
from profkit.masking import Masker
from profkit.masking import masker as default_masker

MAX_TYPES = 1000
_LINES = 25
_AGE = 5.0


class TypeCounts(TypedDict):
    """The types of which the collector tracks most objects.

    `objects` is how many it tracks in all; None if they were never counted, since that would stop the process for too
    long: `skipped` says so, and `top` is then the last count that a growth job made. Counting took `seconds`, for
    `stall_seconds` of which nothing else ran, and was done `age` seconds ago; None if it was not done.
    """

    objects: int | None
    top: list[TypeCount]
    types_left_out: int
    skipped: str | None
    seconds: float | None
    stall_seconds: float | None
    age: float | None


class TracedMemory(TypedDict):
    """tracemalloc's state: whether it traces, for profkit's job or the application, sizes in bytes, largest lines.

    `frames` is how many frames it keeps of each block. Lines are of the application's own tracing, and looked up only
    if that is cheap enough; if not, `skipped` says why. They took `stall_seconds` and are `age` seconds old.
    """

    tracing: bool
    by_profkit: bool
    current_bytes: int | None
    peak_bytes: int | None
    overhead_bytes: int | None
    frames: int | None
    lines: list[AllocatedLine]
    lines_left_out: int
    skipped: str | None
    stall_seconds: float | None
    age: float | None


class MemoryReport(TypedDict):
    """The process's memory: what the system says, the allocators, the collector, types of objects, traced lines."""

    process: ProcessMemory
    heap: HeapMemory
    gc: CollectorReport
    types: TypeCounts
    tracemalloc: TracedMemory


class _Lines(NamedTuple):
    lines: list[AllocatedLine]
    left_out: int
    stall: float


def memory_report(*, types: int = 25, masker: Masker = default_masker) -> MemoryReport:
    """Return what is cheap enough to look at: no part stops the process for longer than about 40 ms, as far as known.

    `types` of the commonest types are shown. Raises `ConfigurationError` for a number outside 0..1000.
    """
    check_count("types", types, MAX_TYPES, least=0)
    return {
        "process": process_memory(),
        "heap": heap_memory(),
        "gc": collector_report(),
        "types": _types(types, masker),
        "tracemalloc": _traced(masker),
    }


def _types(most: int, masker: Masker) -> TypeCounts:
    skipped = None
    try:
        found: tuple[Census, float] | None = recent_census.get()
    except TooLarge as error:
        found, skipped = (
            recent_census.last(),
            f"{error}; POST memory/growth is allowed more, and is shown here then",
        )
    if found is None:
        return {
            "objects": None,
            "top": [],
            "types_left_out": 0,
            "skipped": skipped,
            "seconds": None,
            "stall_seconds": None,
            "age": None,
        }
    census, age = found
    top = commonest(census.counts, most)
    return {
        "objects": census.objects,
        "top": [{"type": shown_name(one["type"], masker), "count": one["count"]} for one in top],
        "types_left_out": len(census.counts) - len(top),
        "skipped": skipped,
        "seconds": round(census.seconds, 4),
        "stall_seconds": round(census.stall, 6),
        "age": age,
    }


def _traced(masker: Masker) -> TracedMemory:
    """The application's own tracing; one of profkit's windows is neither disturbed nor mistaken for it."""
    report: TracedMemory = {
        "tracing": tracemalloc.is_tracing(),
        "by_profkit": False,
        "current_bytes": None,
        "peak_bytes": None,
        "overhead_bytes": None,
        "frames": None,
        "lines": [],
        "lines_left_out": 0,
        "skipped": None,
        "stall_seconds": None,
        "age": None,
    }
    if not report["tracing"]:
        return report
    report["by_profkit"] = memory_job.tracing
    report["current_bytes"], report["peak_bytes"] = tracemalloc.get_traced_memory()
    report["overhead_bytes"] = tracemalloc.get_tracemalloc_memory()
    report["frames"] = tracemalloc.get_traceback_limit()
    if not report["by_profkit"]:
        try:
            found, report["age"] = _traced_lines.get()
        except (TooLarge, RuntimeError) as error:  # it was stopped in between
            report["skipped"] = str(error) if isinstance(error, TooLarge) else "tracing was stopped"
        else:
            report["lines"], report["lines_left_out"] = masked(found.lines, masker), found.left_out
            report["stall_seconds"] = round(found.stall, 6)
    return report


def _trace_now() -> _Lines:
    traces_expected(LOOK_LIMIT)
    traces, stall = take_snapshot()
    return _Lines(*Tally(traces).lines(_LINES), stall)


_traced_lines = Recent(_trace_now, _AGE)
