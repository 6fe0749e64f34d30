"""Which lines allocate what stays: allocations traced for a while."""

from __future__ import annotations

import threading
import time
import tracemalloc
from functools import partial
from typing import Literal, NamedTuple, TypedDict

import psutil

from profkit.debug.memory.allocations import ChangedLine, ChangedTraceback, Tally, Trace
from profkit.debug.memory.bounds import check_count, check_seconds
from profkit.debug.memory.holds import held
from profkit.debug.memory.single import memory_job
from profkit.debug.memory.snapshots import is_full, take_snapshot, traces_expected
from profkit_storage.errors import ProfkitError

MAX_LINES = 500
MAX_FRAMES = 5
LIMIT = 1.0
"""Seconds for which a snapshot may stop the process; the window ends early rather than take longer."""

_LOOK = 0.05
Ended = Literal["time", "caller left", "size"]


class Disturbed(ProfkitError):
    """The application stopped tracemalloc while profkit was tracing."""


class TraceReport(TypedDict):
    """Blocks allocated in a window of `seconds` and alive at its end, by line and, with more frames, by traceback.

    The window `ended` when its time was over, the caller left, or so much was traced that looking at it would stop the
    process for a second. `tracing` says who did: where the application traces already, its tracing is left on, with as
    many `frames` a block as it keeps, and what was there at the start is compared with. Sizes in bytes;
    `overhead_bytes` is tracemalloc's own. `stall_seconds` is the longest time for which no other thread ran, for a
    snapshot or the end of tracing.
    """

    seconds: float
    ended: Ended
    tracing: Literal["profkit", "application"]
    frames: int
    current_bytes: int
    peak_bytes: int
    overhead_bytes: int
    rss_before: int
    rss_after: int
    lines: list[ChangedLine]
    lines_left_out: int
    tracebacks: list[ChangedTraceback]
    tracebacks_left_out: int
    stall_seconds: float


class _Window(NamedTuple):
    """What a window ends with: the traces not looked at yet, since that is better done when nothing is traced."""

    seconds: float
    ended: Ended
    current: int
    peak: int
    overhead: int
    traces: list[Trace]
    stall: float


def trace_memory(
    seconds: float, *, frames: int = 1, top: int = 25, stop: threading.Event | None = None
) -> TraceReport:
    """Trace allocations for `seconds` (1..60) or until `stop` is set, with `frames` (1..5) of each. Blocks.

    For a worker thread, never an event loop's: while it traces, Python allocates up to 7 times slower with one frame,
    and slower with more. Returns the `top` lines, and with more than one frame the `top` tracebacks.

    Raises `ConfigurationError` for seconds, frames or top (1..500) that are not allowed, `Busy` while another memory
    job runs, `TooLarge` if the application has traced too much to look at, `Disturbed` if it stops tracing meanwhile.
    """
    check_seconds(seconds)
    check_count("frames", frames, MAX_FRAMES)
    check_count("top", top, MAX_LINES)
    with memory_job.alone():
        rss = psutil.Process().memory_info().rss
        if tracemalloc.is_tracing():
            traces_expected(LIMIT / 2)  # at the end there may be twice as many
            traces, stall = take_snapshot()
            before, frames = Tally(traces), tracemalloc.get_traceback_limit()
            found = _watch(seconds, stop or threading.Event())
            tracing: Literal["profkit", "application"] = "application"
        else:
            before, stall, tracing = None, 0.0, "profkit"
            memory_job.start(frames)
            try:
                found = _watch(seconds, stop or threading.Event())
            finally:
                stall = held(partial(memory_job.stop))[1]
        after = Tally(found.traces)
        lines, lines_left = after.changed_lines(before, top)
        tracebacks, tracebacks_left = after.changed_tracebacks(before, top) if frames > 1 else ([], 0)
        return {
            "seconds": round(found.seconds, 3),
            "ended": found.ended,
            "tracing": tracing,
            "frames": frames,
            "current_bytes": found.current,
            "peak_bytes": found.peak,
            "overhead_bytes": found.overhead,
            "rss_before": rss,
            "rss_after": psutil.Process().memory_info().rss,
            "lines": lines,
            "lines_left_out": lines_left,
            "tracebacks": tracebacks,
            "tracebacks_left_out": tracebacks_left,
            "stall_seconds": round(max(stall, found.stall), 6),
        }


def _watch(seconds: float, stop: threading.Event) -> _Window:
    began = time.monotonic()
    ended: Ended = "time"
    while (left := began + seconds - time.monotonic()) > 0:
        if stop.wait(min(left, _LOOK)):
            ended = "caller left"
            break
        if is_full(LIMIT):
            ended = "size"
            break
    elapsed = time.monotonic() - began
    current, peak = tracemalloc.get_traced_memory()
    overhead = tracemalloc.get_tracemalloc_memory()
    try:
        traces, stall = take_snapshot()
    except RuntimeError:
        raise Disturbed(
            "the application stopped tracemalloc while profkit was tracing, and nothing was kept"
        ) from None
    return _Window(elapsed, ended, current, peak, overhead, traces, stall)
