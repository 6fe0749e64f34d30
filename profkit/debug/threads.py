"""Every thread of this process: its stack, whether it runs, and which operations it works for."""

from __future__ import annotations

import sys
import threading
import time
from collections import Counter
from collections.abc import Iterable
from typing import NamedTuple

from profkit.debug.stacks import StackLines
from profkit.masking import Masker
from profkit.operations import Operation
from profkit.profiler import PerformanceProfiler
from profkit.sampling.capture import OWN_THREADS
from profkit.sampling.sampler import Sampler
from profkit.sampling.threads import cpu_seconds

STATES = ("running", "waiting")
MAX_THREADS = 1_000
_LOOKED_AT_FOR = 0.02
"""Seconds between two readings of each thread's clock."""
_RUNNING_SHARE = 0.2


class _Thread(NamedTuple):
    """`ident` is Python's, `native_id` the system's; `daemon` is None for a thread that Python did not start."""

    ident: int
    name: str
    daemon: bool | None
    native_id: int | None


def threads_report(
    profiler: PerformanceProfiler,
    *,
    masker: Masker,
    state: str | None = None,
    name: str | None = None,
    limit: int = 200,
) -> dict[str, object]:
    """`{"total", "states", "left_out", "threads"}` of every thread that runs Python code, masked and bounded.

    `threads`: those of a `state` (`running`: it used the CPU just now) and with `name` in theirs, running ones first;
    each `{"name", "daemon", "native_id", "state", "cpu", "profkit", "operations", "stack"}`. `cpu` is its CPU seconds
    so far, None where the system does not tell, and then so is `state`; `profkit` says that it is one of ours;
    `operations` are in flight in it, the outermost first; `stack` is outermost first.
    """
    threads = _threads()
    states, cpu = _states(threads)
    shown_as = {one.ident: masker.mask_text(one.name) for one in threads}
    matching = [
        one
        for one in threads
        if state in {None, states[one.ident]}
        and (name is None or name.lower() in shown_as[one.ident].lower())
    ]
    matching.sort(key=lambda one: (states[one.ident] != "running", one.name))
    shown = matching[:limit]
    working = _working(profiler.registry.copy())
    stacks = _stacks(shown, profiler.sampler, masker)
    counts = Counter(states.values())
    return {
        "total": len(threads),
        "states": {one: counts[one] for one in STATES if counts[one]},
        "left_out": len(matching) - len(shown),
        "threads": [
            {
                "name": shown_as[one.ident],
                "daemon": one.daemon,
                "native_id": one.native_id,
                "state": states[one.ident],
                "cpu": None if cpu[one.ident] is None else round(cpu[one.ident] or 0.0, 3),
                "profkit": one.name in OWN_THREADS,
                "operations": [masker.mask_text(operation) for operation in working.get(one.ident, ())],
                "stack": stack,
            }
            for one, stack in zip(shown, stacks, strict=True)
        ],
    }


def _threads() -> list[_Thread]:
    known = {
        thread.ident: _Thread(thread.ident, thread.name, thread.daemon, thread.native_id)
        for thread in threading.enumerate()
        if thread.ident is not None
    }
    frames = sys._current_frames()  # pyright: ignore[reportPrivateUsage]  # documented
    idents = list(frames)
    del frames
    return [known.get(ident) or _Thread(ident, f"thread {ident}", None, None) for ident in idents]


def _states(threads: Iterable[_Thread]) -> tuple[dict[int, str | None], dict[int, float | None]]:
    before = _clocks(threads)
    began = time.perf_counter()
    time.sleep(_LOOKED_AT_FOR)
    after, passed = _clocks(threads), time.perf_counter() - began
    states: dict[int, str | None] = {}
    for ident, now in after.items():
        then = before[ident]
        if now is None or then is None:
            states[ident] = None
        else:
            states[ident] = "running" if now - then > _RUNNING_SHARE * passed else "waiting"
    return states, after


def _clocks(threads: Iterable[_Thread]) -> dict[int, float | None]:
    return {one.ident: None if one.native_id is None else cpu_seconds(one.native_id) for one in threads}


def _working(operations: Iterable[Operation]) -> dict[int, list[str]]:
    """Return by a thread's ident the names of the operations that it runs now; a task's loop may run another."""
    found: dict[int, list[str]] = {}
    for operation in sorted(operations, key=lambda one: one.started):
        idents = {operation.thread.ident} if operation.task is None else set[int]()
        idents.update(
            branch.thread.ident
            for branch in list(operation.branches or ())
            if branch.task is None and branch.thread is not None and not branch.ended
        )
        for ident in idents:
            found.setdefault(ident, []).append(operation.tally.name)
    return found


def _stacks(threads: Iterable[_Thread], sampler: Sampler, masker: Masker) -> list[list[str]]:
    with sampler.lock:  # not for longer than it takes: the sampler waits
        lines = StackLines(sampler.codes, masker)
        stacks = sampler.without_collections(lambda: _walk(threads, sampler))
    return [lines.of(stack) for stack in stacks]


def _walk(threads: Iterable[_Thread], sampler: Sampler) -> list[list[int]]:
    view = sampler.view()
    try:
        return [view.walk(one.ident).places for one in threads]
    finally:
        view.close()
