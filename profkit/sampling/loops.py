"""Event loops, as other threads see them: which have tasks, and when their timers are due."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

_MOST_TIMERS = 10_000
"""From so many timers on, they are not looked through."""


def loops_with_tasks() -> set[asyncio.AbstractEventLoop]:
    """Return the event loops that have tasks; asyncio keeps a list of all of these, of all threads."""
    names = "_scheduled_tasks", "_all_tasks"  # from 3.12 on, and before
    scheduled: Any = next((found for name in names if (found := getattr(asyncio.tasks, name, None))), ())
    for _ in range(100):
        try:
            return {task.get_loop() for task in list(scheduled) if not task.done()}
        except RuntimeError:  # another thread begins or ends tasks at this moment
            continue
    return set()


def let_go(loop: asyncio.AbstractEventLoop, tasks: list[Any]) -> None:
    """Empty a list of a loop's tasks, in its own thread: the last reference to one that has failed tells of it."""
    if loop.is_running():
        with suppress(RuntimeError):  # it is closed
            loop.call_soon_threadsafe(tasks.clear)
    else:  # it may never run again, and they would be kept
        tasks.clear()


def timers(loop: asyncio.AbstractEventLoop | None) -> dict[int, float]:
    """Return the ids of what the timers of a loop will wake, and in how many seconds; uvloop shows none."""
    scheduled = getattr(loop, "_scheduled", None) or ()
    if len(scheduled) >= _MOST_TIMERS:
        return {}
    now = time.monotonic()
    return {one: timer.when() - now for timer in list(scheduled) for one in _woken_by(timer)}


def due_timers(loop: asyncio.AbstractEventLoop | None) -> Iterator[tuple[int, float]]:
    """Yield the ids of what the timers that are due will wake, and for how many seconds they have been.

    They are at the top of asyncio's heap; uvloop shows none.
    """
    scheduled = getattr(loop, "_scheduled", None)
    if not scheduled:
        return
    now = time.monotonic()
    pending = [0]
    while pending:
        index = pending.pop()
        try:
            timer = scheduled[index]
        except IndexError:  # the loop goes on meanwhile
            continue
        overdue = now - timer.when()
        if overdue >= 0:
            yield from ((one, overdue) for one in _woken_by(timer))
            pending += (2 * index + 1, 2 * index + 2)


def _woken_by(timer: Any) -> Iterator[int]:  # noqa: ANN401 - a TimerHandle, whose inside has no types
    """Yield the ids of the future that a timer resolves, or of the task that a timeout cancels."""
    for argument in getattr(timer, "_args", None) or ():
        if argument is not None:  # the result of a sleep
            yield id(argument)
    task = getattr(getattr(getattr(timer, "_callback", None), "__self__", None), "_task", None)
    if task is not None:
        yield id(task)
