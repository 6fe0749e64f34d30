"""Event loops that a synchronous operation runs itself: `asyncio.run` in a decorated `def`, a Celery task, a script.

What such a loop runs is what the operation does, so its tasks are its branches. Those that are there when the loop
begins to run are told of here; the later ones the task factory tells of.
"""

from __future__ import annotations

import asyncio
import functools
import sys
from asyncio import base_events
from collections.abc import Callable
from typing import Any
from weakref import ref

from profkit.handover.tasks import watch_loop
from profkit.handover.work import FollowedBranch, forget, in_flight, of_tasks
from profkit.operations import Operation, current
from profkit.sampling.branches import add
from profkit.sampling.threads import this

_originals: dict[Any, Callable[..., None]] = {}


def install() -> None:
    """Hook `run_forever` of asyncio's loops, and of uvloop's if it is there; once, however often it is called."""
    uvloop = sys.modules.get("uvloop")
    kinds: tuple[Any, ...] = (base_events.BaseEventLoop, getattr(uvloop, "Loop", None))
    for kind in kinds:
        if kind is not None and kind not in _originals:
            original = _originals[kind] = kind.run_forever
            kind.run_forever = _hooked(original)


def uninstall() -> None:
    """Take the hooks out, unless others have put theirs around them."""
    for kind, original in list(_originals.items()):
        if getattr(kind.run_forever, "__wrapped__", None) is original:
            kind.run_forever = original
            del _originals[kind]


def _hooked(original: Callable[..., None]) -> Callable[..., None]:
    @functools.wraps(original)
    def run_forever(self: asyncio.AbstractEventLoop) -> None:
        operation = in_flight(current.get())
        if operation is not None:
            _adopt(self, operation)
        original(self)

    return run_forever


def _adopt(loop: asyncio.AbstractEventLoop, operation: Operation) -> None:
    """Make the tasks of a loop branches of the operation that runs it."""
    try:
        thread = this.thread
        thread.loop = loop
        watch_loop(loop)
        for task in asyncio.all_tasks(loop):
            known = ref(task, forget)
            if known in of_tasks:
                continue
            coroutine = task.get_coro()
            branch = FollowedBranch(
                getattr(coroutine, "__qualname__", type(coroutine).__name__), thread.branch
            )
            branch.task = known
            branch.thread = thread
            of_tasks[known] = branch
            task.add_done_callback(branch.done)
            add(operation, branch)
    except Exception:  # noqa: BLE001 - nothing of ours reaches the application
        return
