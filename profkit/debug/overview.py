"""How a process is, at a glance: what the first page shows above the routes."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypedDict, TypeVar

from profkit.counts import Stats
from profkit.debug.connections import ConnectionsReport
from profkit.debug.context import DebugContext, OperationRow
from profkit.debug.memory.footprint import ProcessMemory, process_memory
from profkit.debug.pools import PoolReport
from profkit.debug.pools.threads import default_limiter
from profkit.debug.results import HealthAnswer
from profkit.debug.tasks import TasksReport
from profkit.debug.threads import ThreadsReport

T = TypeVar("T")
_MOST_IN_FLIGHT = 5
_MOST_OPERATIONS = 12
_MOST_POOLS = 6


class OperationTotals(TypedDict):
    """What the operations of one name come to since the start; `seconds` is the sum of theirs, `mean` that of one."""

    name: str
    category: str
    calls: int
    errors: int
    slow: int
    seconds: float
    mean: float


class Look(TypedDict):
    """A process at a glance; what cannot be had is None.

    `cores` is the CPU it uses, since the last look. `in_flight` are the oldest, `flying` counts all of them and `over`
    those over their threshold, of which one is the `furthest`. `operations` are those with most slow calls, then with
    most seconds, without requests for these routes. Of tasks and threads only the counts are there; `pools` are the
    fullest.
    """

    recorder: Stats
    cores: float
    memory: ProcessMemory | None
    connections: ConnectionsReport | None
    pools: list[PoolReport]
    pools_left_out: int
    tasks: TasksReport | None
    threads: ThreadsReport | None
    in_flight: list[OperationRow]
    flying: int
    over: int
    furthest: OperationRow | None
    operations: list[OperationTotals]
    operations_left_out: int


async def look_at(context: DebugContext) -> tuple[Look, HealthAnswer]:
    """Look at all that is cheap to look at, in one thread beside the event loop, and run the health checks."""
    limiter = default_limiter()
    look = await context.workers.run("overview", lambda: _look(context, limiter))
    health = await context.checks.report()  # not meanwhile: each check is a task, and there may be many
    return look, health.as_dict(context.masker)


def _look(context: DebugContext, limiter: object) -> Look:
    connections = _had(lambda: context.connections(limiter=limiter))
    pools = sorted(connections["pools"], key=_fullness) if connections else []
    left_out = connections["pools_left_out"] if connections else 0
    flying = _had(context.in_flight) or []
    over = [one for one in flying if one.age >= one.threshold]
    furthest = max(over, key=lambda one: one.age - one.threshold, default=None)
    operations, operations_left_out = _totals(context)
    return {
        "recorder": context.current_profiler().stats(),
        "cores": round(context.cpu.cores(), 3),
        "memory": _had(process_memory),
        "connections": connections,
        "pools": pools[:_MOST_POOLS],
        "pools_left_out": left_out + max(0, len(pools) - _MOST_POOLS),
        "tasks": _had(lambda: context.tasks(limit=0)),
        "threads": _had(lambda: context.threads(limit=0)),
        "in_flight": context.rows_of(flying[:_MOST_IN_FLIGHT]),
        "flying": len(flying),
        "over": len(over),
        "furthest": None if furthest is None else context.rows_of([furthest])[0],
        "operations": operations,
        "operations_left_out": operations_left_out,
    }


def _had(collect: Callable[[], T]) -> T | None:
    """Return what can be had: one part that fails does not spoil the page, whose routes tell why."""
    try:
        return collect()
    except Exception:  # noqa: BLE001 - psutil's, or what an application's object raises
        return None


def _fullness(pool: PoolReport) -> tuple[bool, int, float]:
    """Order pools: those that fail, those that others wait for, the fullest."""
    return pool["error"] is None, -(pool["waiting"] or 0), -(pool["saturation"] or 0.0)


def _totals(context: DebugContext) -> tuple[list[OperationTotals], int]:
    """Return the first of the application's, and how many there are besides."""
    mask = context.masker.mask_text
    counts = context.current_profiler().rollups.counts().items()
    ranked = sorted(
        (item for item in counts if item[1].calls and item[0][0] not in context.own_operations),
        key=lambda item: (-item[1].slow, -item[1].seconds),
    )
    shown: list[OperationTotals] = [
        {
            "name": mask(name),
            "category": mask(category),
            "calls": of.calls,
            "errors": of.errors,
            "slow": of.slow,
            "seconds": of.seconds,
            "mean": of.seconds / of.calls,
        }
        for (name, category), of in ranked[:_MOST_OPERATIONS]
    ]
    return shown, len(ranked) - len(shown)
