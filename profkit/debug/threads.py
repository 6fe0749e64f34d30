"""Every thread of this process: its stack, whether it runs, and which operations it works for."""

from __future__ import annotations

import sys
import threading
import time
from collections import Counter
from collections.abc import Iterable
from typing import Annotated, Literal, NamedTuple, TypedDict

from profkit.debug.stacks import StackLines
from profkit.masking import Masker
from profkit.operations import Operation
from profkit.profiler import PerformanceProfiler
from profkit.sampling.capture import OWN_THREADS
from profkit.sampling.sampler import Sampler
from profkit.sampling.threads import cpu_seconds

ThreadState = Literal["running", "waiting"]
STATES: tuple[ThreadState, ...] = ("running", "waiting")
_LOOKED_AT_FOR = 0.02
"""Seconds between two readings of each thread's clock."""
_RUNNING_SHARE = 0.2


class ThreadRow(TypedDict):
    """One thread that runs Python code. What the system does not tell is null."""

    name: str
    daemon: Annotated[bool | None, "null for one that Python did not start"]
    native_id: int | None
    state: Annotated[ThreadState | None, "running: it used the CPU just now"]
    cpu: Annotated[float | None, "CPU seconds so far"]
    profkit: Annotated[bool, "one of profkit's own"]
    operations: Annotated[list[str], "those in flight in it, outermost first"]
    stack: Annotated[list[str], "outermost first, at most 101 lines"]


class ThreadsReport(TypedDict):
    """Every thread that runs Python code, running ones first, then by name."""

    total: Annotated[int, "of all states and names"]
    states: Annotated[dict[str, int], "how many of all threads are in each state"]
    left_out: Annotated[int, "how many more are as asked for"]
    threads: list[ThreadRow]


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
) -> ThreadsReport:
    """Return the threads of a `state`, with `name` in theirs, masked and bounded. Takes 20 ms, to see who runs."""
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


def _states(threads: Iterable[_Thread]) -> tuple[dict[int, ThreadState | None], dict[int, float | None]]:
    before = _clocks(threads)
    began = time.perf_counter()
    time.sleep(_LOOKED_AT_FOR)
    after, passed = _clocks(threads), time.perf_counter() - began
    states: dict[int, ThreadState | None] = {}
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
