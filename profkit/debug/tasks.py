"""Every asyncio task of this process: where it is, what it waits for, and since when."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from functools import cache
from time import perf_counter
from types import FrameType
from typing import Annotated, Any, Literal, NamedTuple, TypedDict, cast
from weakref import WeakKeyDictionary, ref

from profkit.debug.stacks import StackLines
from profkit.debug.summary import mask_id
from profkit.handover.work import of_tasks
from profkit.masking import Masker
from profkit.operations import Operation, request_of
from profkit.profiler import PerformanceProfiler
from profkit.sampling.loops import let_go, loops_with_tasks, timers
from profkit.sampling.sampler import Sampler
from profkit.sampling.stacks import await_stack
from profkit.sampling.view import View
from profkit_storage.formats.durations import in_seconds

TaskState = Literal["running", "starved", "waiting"]
STATES: tuple[TaskState, ...] = ("running", "starved", "waiting")
_MOST_LOOKED_AT = 100_000
_MOST_NAMED = 5

Task = asyncio.Task[Any]
Mask = Callable[[str], str]


class TaskRow(TypedDict):
    """One asyncio task.

    `starved` is one that could go on if its loop were not busy. asyncio keeps no time, so the age is `exact` only for
    tasks that an operation has started.
    """

    name: str
    coroutine: str
    state: TaskState
    age: Annotated[float, "seconds"]
    age_is: Literal["exact", "at least"]
    waits_for: Annotated[str, "empty if it runs"]
    operation: Annotated[str | None, "the innermost that it works for"]
    request_id: str | None
    stack: Annotated[list[str], "what it awaits, outermost first, at most 101 lines"]


class TasksReport(TypedDict):
    """The asyncio tasks of every event loop: running and starved ones first, then the oldest."""

    total: Annotated[int, "of all states and names"]
    loops: int
    states: Annotated[dict[str, int], "how many of all tasks are in each state"]
    left_out: Annotated[int, "how many more are as asked for"]
    tasks: list[TaskRow]


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


class _Waited(NamedTuple):
    """What a task waits for: words, and names that are masked one by one, as together they read otherwise."""

    words: str
    names: tuple[str, ...] = ()
    more: str = ""

    def masked(self, mask: Mask) -> str:
        """Return it as it is shown."""
        return f"{self.words}{', '.join(map(mask, self.names))}{self.more}"


class _Seen(NamedTuple):
    """What a task is at the moment: texts, not masked yet, and a weak reference.

    Nothing here keeps a task alive: its end would otherwise run in this thread. `timer` is in how many seconds what it
    waits for is due, `limit` when its time is over.
    """

    task: ref[Task]
    name: str
    coroutine: str
    state: TaskState
    operation: Operation | None
    age: float
    exact: bool
    waits_for: _Waited
    timer: float | None
    limit: float | None


def tasks_report(
    profiler: PerformanceProfiler,
    ages: TaskAges,
    *,
    masker: Masker,
    state: str | None = None,
    name: str | None = None,
    limit: int = 200,
) -> TasksReport:
    """Return the tasks of a `state`, with `name` in their own or their coroutine's name, masked and bounded."""
    mask = cache(masker.mask_text)  # thousands of tasks run a few coroutines
    now = perf_counter()
    loops = loops_with_tasks()
    owners = _owners(profiler.registry.copy())
    seen = [one for loop in loops for one in _look(loop, owners, ages, now)]
    matching = [one for one in seen if state in {None, one.state} and _is_named(one, name, mask)]
    matching.sort(key=lambda one: (STATES.index(one.state), -one.age))
    shown = matching[:limit]
    stacks = _stacks([one.task for one in shown], profiler.sampler, masker)
    counts = Counter(one.state for one in seen)
    return {
        "total": len(seen),
        "loops": len(loops),
        "states": {one: counts[one] for one in STATES if counts[one]},
        "left_out": len(matching) - len(shown),
        "tasks": [_row(one, stack, masker, mask) for one, stack in zip(shown, stacks, strict=True)],
    }


def _look(
    loop: asyncio.AbstractEventLoop,
    owners: Mapping[int, Operation],
    ages: TaskAges,
    now: float,
) -> Iterable[_Seen]:
    due = timers(loop)
    running = asyncio.current_task(loop)
    tasks = list(asyncio.all_tasks(loop))
    try:
        for number in range(min(len(tasks), _MOST_LOOKED_AT)):
            yield _see(tasks[number], tasks[number] is running, due, owners, ages, now)
    finally:
        let_go(loop, tasks)


def _see(  # noqa: PLR0917 - one call
    task: Task,
    runs: bool,  # noqa: FBT001
    due: Mapping[int, float],
    owners: Mapping[int, Operation],
    ages: TaskAges,
    now: float,
) -> _Seen:
    waiter: Any = getattr(task, "_fut_waiter", None)
    timer = None if waiter is None else due.get(id(waiter))
    state: TaskState
    if runs:
        state = "running"
    elif waiter is None or waiter.done() or (timer is not None and timer < 0):
        state = "starved"
    else:
        state = "waiting"
    owner = owners.get(id(task))
    return _Seen(
        ref(task),
        task.get_name(),
        _coroutine_name(task.get_coro()),
        state,
        owner,
        *ages.of(task, owner, now),
        _Waited("") if runs else _waits_for(waiter),
        timer,
        due.get(id(task)),
    )


def _is_named(one: _Seen, text: str | None, mask: Mask) -> bool:
    """Tell whether a text is in what is shown: in a name unmasked, one could look for what is hidden, bit by bit."""
    if text is None:
        return True
    return any(text.lower() in mask(name).lower() for name in (one.name, one.coroutine))


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


def _stacks(tasks: list[ref[Task]], sampler: Sampler, masker: Masker) -> list[list[str]]:
    with sampler.lock:  # not for longer than it takes: the sampler waits
        lines = StackLines(sampler.codes, masker)
        stacks = sampler.without_collections(lambda: _walk(tasks, sampler))
    return [lines.of(stack) for stack in stacks]


def _walk(tasks: list[ref[Task]], sampler: Sampler) -> list[list[int]]:
    view = sampler.view()
    try:
        return [_places(task, view) for task in tasks]
    finally:
        view.close()


def _places(reference: ref[Task], view: View) -> list[int]:
    """Return a task's stack, leaf first: what it awaits, or where its thread is; nothing if it has ended."""
    task = reference()
    coroutine = None if task is None else task.get_coro()
    frame: FrameType | None = getattr(coroutine, "cr_frame", None)
    stack = view.find(frame) if getattr(coroutine, "cr_running", False) and frame is not None else None
    return stack or await_stack(coroutine, view.codes) or []


def _row(seen: _Seen, stack: list[str], masker: Masker, mask: Mask) -> TaskRow:
    operation = seen.operation
    request = None if operation is None else request_of(operation)
    return {
        "name": mask(seen.name),
        "coroutine": mask(seen.coroutine),
        "state": seen.state,
        "age": round(seen.age, 3),
        "age_is": "exact" if seen.exact else "at least",
        "waits_for": _described(seen, stack, seen.waits_for.masked(mask)),
        "operation": None if operation is None else mask(operation.tally.name),
        "request_id": mask_id(request.request_id, masker) if request else None,
        "stack": stack,
    }


def _described(seen: _Seen, stack: list[str], what: str) -> str:
    """Return what a task waits for, with its timer: that of a sleep, or one that only limits the wait."""
    limit = seen.limit
    if seen.timer is not None and seen.state != "running":
        if stack and stack[-1].startswith("sleep ("):
            what = (
                f"a timer, in {in_seconds(seen.timer)}"
                if seen.timer >= 0
                else f"a timer, {in_seconds(-seen.timer)} ago"
            )
        else:
            limit = seen.timer if limit is None else min(limit, seen.timer)
    return (
        what
        if limit is None
        else f"{what}, for {in_seconds(max(0.0, limit))} more at the most".removeprefix(", ")
    )


def _waits_for(waiter: Any) -> _Waited:  # noqa: ANN401 - a future of any kind
    if waiter is None or waiter.done():
        return _Waited("its turn")
    if isinstance(waiter, asyncio.Task):
        return _Waited("task ", (waiter.get_name(),))
    gathered = getattr(waiter, "_children", None)
    if isinstance(gathered, list):
        children = cast("list[object]", gathered)
        pending = [one.get_name() for one in children if isinstance(one, asyncio.Task) and not one.done()]
        more = ", ..." if len(pending) > _MOST_NAMED else ""
        return _Waited(f"{len(pending)} of {len(children)} tasks: ", tuple(pending[:_MOST_NAMED]), more)
    return _Waited("a future")
