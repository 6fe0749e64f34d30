"""The routes that show what runs: asyncio tasks and threads."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from starlette.responses import Response

from profkit.debug import tasks as task_report
from profkit.debug import threads as thread_report
from profkit.debug.answers import answer
from profkit.debug.parameters import Parameter, choice, text, whole
from profkit.debug.routing import Call, DebugRoute
from profkit.debug.scopes import Scope

TASK_STATE = choice("state", "only tasks in this state", task_report.STATES)
THREAD_STATE = choice("state", "only threads in this state", thread_report.STATES)
NAME = text("name", "only those with this text in their name, or a task's coroutine's, in any case")
LIMIT = whole("limit", "how many at the most", low=1, high=1_000, default=200)


async def tasks(call: Call) -> Response:
    """Every asyncio task with its await chain."""
    return await _answer(call, "tasks", call.context.tasks, TASK_STATE, task_report.STATES)


async def threads(call: Call) -> Response:
    """Every thread with its stack."""
    return await _answer(call, "threads", call.context.threads, THREAD_STATE, thread_report.STATES)


async def _answer(
    call: Call,
    kind: str,
    collect: Callable[..., Mapping[str, object]],
    by_state: Parameter[Any],
    states: tuple[str, ...],
) -> Response:
    state, name, limit = call.parameters[by_state], call.parameters[NAME], call.parameters[LIMIT]
    data = await call.context.workers.run(
        (kind, state, name, limit), lambda: collect(state=state, name=name, limit=limit)
    )
    filters = {**call.parameters.texts, "limit": str(limit)}
    return await answer(call, data, "activity.html", kind=kind, states=states, filters=filters)


ROUTES = (
    DebugRoute(
        method="GET",
        path="/tasks",
        scope=Scope.READ,
        summary="every asyncio task: await chain, age, state, what it waits for, whose operation",
        handler=tasks,
        answers=task_report.TasksReport,
        parameters=(TASK_STATE, NAME, LIMIT),
    ),
    DebugRoute(
        method="GET",
        path="/threads",
        scope=Scope.READ,
        summary="every thread: stack, state, CPU seconds, whose operations",
        handler=threads,
        answers=thread_report.ThreadsReport,
        parameters=(THREAD_STATE, NAME, LIMIT),
    ),
)
