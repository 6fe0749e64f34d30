"""The routes that show what runs: asyncio tasks and threads."""

from __future__ import annotations

from starlette.responses import Response

from profkit.debug import tasks as task_report
from profkit.debug import threads as thread_report
from profkit.debug.answers import answer
from profkit.debug.routing import Call, DebugRoute
from profkit.debug.scopes import Scope

_PARAMETERS = frozenset({"state", "name", "limit"})


async def tasks(call: Call) -> Response:
    """Every asyncio task with its await chain."""
    return await _answer(call, "tasks", task_report.STATES, task_report.MAX_TASKS)


async def threads(call: Call) -> Response:
    """Every thread with its stack."""
    return await _answer(call, "threads", thread_report.STATES, thread_report.MAX_THREADS)


async def _answer(call: Call, kind: str, states: tuple[str, ...], most: int) -> Response:
    parameters = call.parameters()
    state, name = parameters.choice("state", states), parameters.text("name")
    limit = parameters.count("limit", 200, 1, most)
    collect = call.context.tasks if kind == "tasks" else call.context.threads
    data = await call.context.workers.run(
        (kind, state, name, limit), lambda: collect(state=state, name=name, limit=limit)
    )
    filters = {"state": state or "", "name": name or "", "limit": str(limit)}
    return await answer(call, data, "activity.html", kind=kind, states=states, filters=filters)


ROUTES = (
    DebugRoute(
        method="GET",
        path="/tasks",
        scope=Scope.READ,
        summary="every asyncio task: await chain, age, state, what it waits for, whose operation",
        handler=tasks,
        parameters=_PARAMETERS,
    ),
    DebugRoute(
        method="GET",
        path="/threads",
        scope=Scope.READ,
        summary="every thread: stack, state, CPU seconds, whose operations",
        handler=threads,
        parameters=_PARAMETERS,
    ),
)
