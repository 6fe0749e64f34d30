"""How much memory this process uses, for what types of objects, and which lines allocate.

Only type names and places in code are ever shown, never an object or its repr.
"""

from __future__ import annotations

import contextlib
import gc
import importlib
import threading
import time
import tracemalloc
from collections.abc import Callable, Mapping
from typing import cast

import psutil

from profkit.debug.allocations import changed_lines, top_lines
from profkit.debug.single import Recent, Window
from profkit_storage.errors import ConfigurationError, ProfkitError

MAX_OBJECTS = 2_000_000
"""Tracked objects beyond which types are not counted: at this many it takes a second (other threads run meanwhile)."""

MAX_TYPES = 1000
MAX_LINES = 500
TOP_LINES = 25
MIN_SECONDS, MAX_SECONDS = 1.0, 60.0
COUNTS_AGE = 5.0
"""Seconds for which a costly count serves again: a page that reloads must not cost the application."""


class Busy(ProfkitError):
    """Another memory trace is running in this process; try again when it is done."""


def memory_report(*, types: int = 25) -> dict[str, object]:
    """`{"process", "gc", "types", "tracemalloc"}`; bytes. Raises `ConfigurationError` for `types` outside 0..1000.

    `process`: resident `rss` and virtual `vms` size, and `uss` (its own alone) where the system tells. `types`: the
    `top` types by how many objects of them the collector tracks, or in `skipped` why they were not counted.
    `tracemalloc`: `{"tracing": false}`, or the current and peak size and the 25 largest lines where the application
    traces. Types and lines are counted at most every 5 s; `age` says how old they are.
    """
    if type(types) is not int or not 0 <= types <= MAX_TYPES:
        raise ConfigurationError(
            f"types: {types!r} is not allowed; allowed is a whole number from 0 to {MAX_TYPES}"
        )
    counted = _type_counts.get()
    top = cast("list[dict[str, object]]", counted["top"])[:types]
    return {
        "process": _process(),
        "gc": _collector(),
        "types": {**counted, "top": top},
        "tracemalloc": _traced(),
    }


def trace_memory(seconds: float, *, top: int = 25, stop: threading.Event | None = None) -> dict[str, object]:
    """Trace allocations for `seconds` (1..60) or until `stop` is set; returns the `top` lines by size. Blocks.

    For a worker thread, never an event loop's: while it traces, Python allocates up to 7 times slower, and the
    snapshot at the end holds the GIL (0.3 s for a million blocks). Lines are of blocks allocated in this window and
    alive at its end. If the application traces already, its tracing is left on, and lines show the difference the
    window made. Analysis comes after tracing has stopped, since it is 10 times faster then.

    Raises `ConfigurationError` for seconds or top (1..500) that are not allowed, `Busy` while another trace runs.
    """
    number = isinstance(cast("object", seconds), int | float) and not isinstance(seconds, bool)
    if not number or not MIN_SECONDS <= seconds <= MAX_SECONDS:
        raise ConfigurationError(f"seconds: {seconds!r} is not allowed; allowed is 1 to 60")
    if type(top) is not int or not 1 <= top <= MAX_LINES:
        raise ConfigurationError(
            f"top: {top!r} is not allowed; allowed is a whole number from 1 to {MAX_LINES}"
        )
    if not _window.enter():
        raise Busy("a memory trace is running in this process; one at a time is allowed")
    try:
        return _trace(seconds, top, stop or threading.Event())
    finally:
        _window.leave()


def _trace(seconds: float, top: int, stop: threading.Event) -> dict[str, object]:
    rss = psutil.Process().memory_info().rss
    ours = not tracemalloc.is_tracing()
    before = None if ours else tracemalloc.take_snapshot()
    if ours:
        _window.start()
    started = time.monotonic()
    try:
        stopped = stop.wait(seconds)
        elapsed = time.monotonic() - started
        if not tracemalloc.is_tracing():
            raise ProfkitError(
                "the application stopped tracemalloc while profkit was tracing: nothing was kept"
            )
        current, peak = tracemalloc.get_traced_memory()
        overhead = tracemalloc.get_tracemalloc_memory()
        after = tracemalloc.take_snapshot()
    finally:
        if ours:
            _window.stop()
    lines, left = top_lines(after, top) if before is None else changed_lines(after, before, top)
    return {
        "seconds": round(elapsed, 3),
        "stopped_early": stopped,
        "tracing": "profkit" if ours else "application",
        "current_bytes": current,
        "peak_bytes": peak,
        "overhead_bytes": overhead,
        "rss_before": rss,
        "rss_after": psutil.Process().memory_info().rss,
        "lines": lines,
        "lines_left_out": left,
    }


def _process() -> dict[str, object]:
    process = psutil.Process()
    sizes = process.memory_info()
    percent = round(sizes.rss / psutil.virtual_memory().total * 100, 2)
    found: dict[str, object] = {"rss": sizes.rss, "vms": sizes.vms, "percent": percent}
    with contextlib.suppress(psutil.Error, OSError):  # needs rights on some systems
        full = process.memory_full_info()
        found.update({name: getattr(full, name) for name in ("uss", "pss", "swap") if hasattr(full, name)})
    return found


def _collector() -> dict[str, object]:
    return {
        "enabled": gc.isenabled(),
        "counts": list(gc.get_count()),
        "thresholds": list(gc.get_threshold()),
        "frozen": gc.get_freeze_count(),
        "generations": [dict(generation) for generation in gc.get_stats()],
    }


def _count_types() -> dict[str, object]:
    count = _objgraph()
    if count is None:
        why = 'objgraph is not installed: pip install "profkit[memory]"'
        return {"objects": None, "top": [], "skipped": why}
    objects = gc.get_objects()
    size = len(objects)
    if size > MAX_OBJECTS:
        return {"objects": size, "top": [], "skipped": f"{size} tracked objects, more than {MAX_OBJECTS}"}
    counts = count(objects)
    del objects  # they must not live longer for having been counted
    ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:MAX_TYPES]
    frozen = None if size else "all objects are frozen (gc.freeze)"
    return {"objects": size, "top": [{"type": name, "count": n} for name, n in ranked], "skipped": frozen}


def _objgraph() -> Callable[[list[object]], Mapping[str, int]] | None:
    try:
        module = importlib.import_module("objgraph")
    except ImportError:
        return None
    return lambda objects: cast("Mapping[str, int]", module.typestats(objects, shortnames=False))


def _traced() -> dict[str, object]:
    """The application's own tracing; one of profkit's windows is neither disturbed nor mistaken for it."""
    if not tracemalloc.is_tracing():
        return {"tracing": False, "by_profkit": False}
    if not _window.enter():
        return {"tracing": True, "by_profkit": True}
    try:
        return _traced_lines.get()
    except RuntimeError:  # stopped in between
        return {"tracing": False, "by_profkit": False}
    finally:
        _window.leave()


def _trace_now() -> dict[str, object]:
    current, peak = tracemalloc.get_traced_memory()
    lines, left = top_lines(tracemalloc.take_snapshot(), TOP_LINES)
    return {
        "tracing": True,
        "by_profkit": False,
        "current_bytes": current,
        "peak_bytes": peak,
        "frames": tracemalloc.get_traceback_limit(),
        "lines": lines,
        "lines_left_out": left,
    }


_type_counts = Recent(_count_types, COUNTS_AGE)
_traced_lines = Recent(_trace_now, COUNTS_AGE)
_window = Window()
