"""Tasks of trio, as the sampler asks those of asyncio. trio is never imported here: without it none of them runs."""

from __future__ import annotations

import sys
import weakref
from typing import Any


class TrioTask:
    """Refers to a task of trio without keeping it alive; called like a weak reference, it is the task itself."""

    __slots__ = ("_task",)
    _fut_waiter = None  # trio parks a task, and keeps nothing that would tell what for

    def __init__(self, task: object) -> None:
        self._task = weakref.ref(task)

    def __call__(self) -> TrioTask:
        return self

    def get_coro(self) -> object:
        """Return the task's outermost coroutine, None if the task has gone."""
        return getattr(self._task(), "coro", None)


def running_task() -> Any:  # noqa: ANN401 - stands in for a reference to a task of asyncio
    """Refer to the task of trio that is running in this thread, if any."""
    trio: Any = sys.modules.get("trio")
    try:
        return TrioTask(trio.lowlevel.current_task()) if trio.lowlevel.in_trio_task() else None
    except AttributeError:  # half imported, or too old to tell
        return None


def is_cancelled(error: BaseException) -> bool:
    """Tell whether trio takes a task back by `error`."""
    cancelled = getattr(sys.modules.get("trio"), "Cancelled", None)
    return cancelled is not None and isinstance(error, cancelled)
