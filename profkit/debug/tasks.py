"""Every asyncio task of this process: where it is, what it waits for, and since when."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterable, Mapping
from time import perf_counter
from types import FrameType
from typing import Any, NamedTuple, cast
from weakref import WeakKeyDictionary, ref

from profkit.debug.stacks import stack_lines
from profkit.debug.summary import mask_id
from profkit.handover.work import of_tasks
from profkit.masking import Masker
from profkit.operations import Operation, request_of
from profkit.profiler import PerformanceProfiler
from profkit.sampling.loops import loops_with_tasks, timers
from profkit.sampling.sampler import Sampler
from profkit.sampling.stacks import await_stack
from profkit.sampling.view import View

STATES = ("running", "starved", "waiting")
MAX_TASKS = 1_000
_MOST_LOOKED_AT = 100_000
_MOST_NAMED = 5

Task = asyncio.Task[Any]


class TaskAges:
    """When tasks were first seen by who looks: asyncio keeps no time. An operation's are known from their start."""

    def __init__(self) -> None:
        self._seen: WeakKeyDictionary[Task, float] = WeakKeyDictionary()

    def of(self, task: Task, owner: Operation | None, now: float) -> tuple[float, bool]:
        """Return the seconds since a task began and True; or False, and for how long at least it has been there."""
        branch = of_tasks.get(ref(task))
        if branch is not None:
            return now - branch.started, True
        seen = self._seen.setdefault(task, now)
        return now - (seen if owner is None else min(seen, owner.started)), False


class _Seen(NamedTuple):
    """A task, the innermost operation it works for, and in how many seconds its timer is due, if it has one."""

    task: Task
    state: str
    operation: Operation | None
    age: float
    exact: bool
    timer: float | None


def tasks_report(
    profiler: PerformanceProfiler,
    ages: TaskAges,
    *,
    masker: Masker,
    state: str | None = None,
    name: str | None = None,
    limit: int = 200,
) -> dict[str, object]:
    """`{"total", "loops", "states", "left_out", "tasks"}` of every event loop of the process, masked and bounded.

    `states` counts all tasks by state: `running`, `starved` (ready, but its loop is busy), `waiting`. `tasks`: those of
    a `state`, with `name` in their own or their coroutine's name, running and starved ones first, then the oldest;
    each `{"name", "coroutine", "state", "age", "age_is", "waits_for", "operation", "request_id", "stack"}`, `age` in
    seconds, `exact` or `at least`, `stack` outermost first.
    """
    now = perf_counter()
    loops = loops_with_tasks()
    owners = _owners(profiler.registry.copy())
    seen = [one for loop in loops for one in _look(loop, owners, ages, now)]
    matching = [one for one in seen if state in {None, one.state} and _is_named(one.task, name)]
    matching.sort(key=lambda one: (STATES.index(one.state), -one.age))
    shown = matching[:limit]
    stacks = _stacks([one.task for one in shown], profiler.sampler)
    counts = Counter(one.state for one in seen)
    return {
        "total": len(seen),
        "loops": len(loops),
        "states": {one: counts[one] for one in STATES if counts[one]},
        "left_out": len(matching) - len(shown),
        "tasks": [_row(one, stack, masker) for one, stack in zip(shown, stacks, strict=True)],
    }


def _look(
    loop: asyncio.AbstractEventLoop, owners: Mapping[int, Operation], ages: TaskAges, now: float
) -> Iterable[_Seen]:
    due = timers(loop)
    running = asyncio.current_task(loop)
    for task in list(asyncio.all_tasks(loop))[:_MOST_LOOKED_AT]:
        waiter = getattr(task, "_fut_waiter", None)
        timer = due.get(id(waiter), due.get(id(task)))
        if task is running:
            state = "running"
        elif waiter is None or waiter.done() or (timer is not None and timer < 0):
            state = "starved"
        else:
            state = "waiting"
        owner = owners.get(id(task))
        yield _Seen(task, state, owner, *ages.of(task, owner, now), timer)


def _is_named(task: Task, text: str | None) -> bool:
    return text is None or any(
        text.lower() in one.lower() for one in (task.get_name(), _coroutine_name(task.get_coro()))
    )


def _coroutine_name(coroutine: object) -> str:
    return str(getattr(coroutine, "__qualname__", type(coroutine).__name__))


def _owners(operations: Iterable[Operation]) -> dict[int, Operation]:
    """Return by the id of a task the innermost operation that it works for."""
    owners: dict[int, Operation] = {}
    for operation in sorted(operations, key=lambda one: one.started):
        task = None if operation.task is None else operation.task()
        tasks = [task, *(branch.task() for branch in list(operation.branches or ()) if branch.task)]
        owners.update((id(one), operation) for one in tasks if one is not None)
    return owners


def _stacks(tasks: list[Task], sampler: Sampler) -> list[list[str]]:
    with sampler.lock:
        return sampler.without_collections(lambda: _walk(tasks, sampler))


def _walk(tasks: list[Task], sampler: Sampler) -> list[list[str]]:
    view = sampler.view()
    try:
        return [stack_lines(_places(task, view), sampler.codes) for task in tasks]
    finally:
        view.close()


def _places(task: Task, view: View) -> list[int]:
    """Return a task's stack, leaf first: what it awaits, or where its thread is."""
    coroutine = task.get_coro()
    frame: FrameType | None = getattr(coroutine, "cr_frame", None)
    stack = view.find(frame) if getattr(coroutine, "cr_running", False) and frame is not None else None
    return stack or await_stack(coroutine, view.codes) or []


def _row(seen: _Seen, stack: list[str], masker: Masker) -> dict[str, object]:
    operation = seen.operation
    request = None if operation is None else request_of(operation)
    return {
        "name": masker.mask_text(seen.task.get_name()),
        "coroutine": masker.mask_text(_coroutine_name(seen.task.get_coro())),
        "state": seen.state,
        "age": round(seen.age, 3),
        "age_is": "exact" if seen.exact else "at least",
        "waits_for": masker.mask_text(_waits_for(seen)),
        "operation": None if operation is None else masker.mask_text(operation.tally.name),
        "request_id": mask_id(request.request_id, masker) if request else None,
        "stack": [masker.mask_text(line) for line in stack],
    }


def _waits_for(seen: _Seen) -> str:
    waiter = getattr(seen.task, "_fut_waiter", None)
    if seen.state == "running":
        return ""
    if waiter is None or (waiter.done() and seen.timer is None):
        return "its turn"
    if seen.timer is not None:
        return f"a timer, in {seen.timer:.1f} s" if seen.timer >= 0 else f"a timer, {-seen.timer:.1f} s ago"
    if isinstance(waiter, asyncio.Task):
        return f"task {waiter.get_name()}"
    gathered = getattr(waiter, "_children", None)
    if isinstance(gathered, list):
        children = cast("list[object]", gathered)
        pending = [one.get_name() for one in children if isinstance(one, asyncio.Task) and not one.done()]
        named = ", ".join(pending[:_MOST_NAMED]) + (", ..." if len(pending) > _MOST_NAMED else "")
        return f"{len(pending)} of {len(children)} tasks: {named}"
    return "a future"
