"""Branches: the tasks and threads that an operation started, and the work it handed to a thread.

A branch is seen like an operation is: by its task, or by its thread and the frame it began with. It belongs to the
operation in flight where it was started, and to all those that one runs inside.
"""

from __future__ import annotations

import asyncio
import weakref
from time import perf_counter
from types import FrameType
from typing import TYPE_CHECKING, Any

from profkit.sampling.threads import WatchedThread

if TYPE_CHECKING:
    from profkit.operations import Operation

MAX_BRANCHES = 1_000
"""Branches kept of one operation, ended and pending; those that ended longest ago go first."""


class Branch:
    """One of them; `started` and `ended` are seconds of `time.perf_counter`, `ended` 0 while it is pending.

    `parent` is the branch that started it, None for the operation itself. Of a task, `task` is set and `thread` is that
    of its loop; of work in a thread, `thread` and `root`, the id of its outermost frame, from when it runs, and `cpu`,
    the CPU seconds it took, when it has ended.
    """

    __slots__ = ("__weakref__", "cpu", "ended", "name", "parent", "root", "started", "task", "thread")
    coroutine = None
    frame: FrameType | None = None
    native = ""

    def __init__(self, name: str, parent: Branch | None = None) -> None:
        self.name = name
        self.parent = parent
        self.task: weakref.ref[asyncio.Task[Any]] | None = None
        self.thread: WatchedThread | None = None
        self.root = 0
        self.cpu: float | None = None
        self.ended = 0.0
        self.started = perf_counter()

    def end(self) -> None:
        """Note that it is over."""
        if not self.ended:
            self.ended = perf_counter()


def add(operation: Operation, branch: Branch) -> None:
    """Give a branch to an operation in flight, and to those it runs inside."""
    inside: Operation | None = operation
    while inside is not None:
        if not inside.ended:
            branches = inside.branches
            if branches is None:
                inside.branches = [branch]
            else:
                branches.append(branch)
                count = len(branches)
                # Seldom, so that each costs little: while most are pending there is little to let go of.
                if count > 2 * MAX_BRANCHES and not count & (count - 1):
                    _thin_out(branches)
        inside = inside.parent


def _thin_out(branches: list[Branch]) -> None:
    """Let go of the shortest of those that have ended, in place: others append meanwhile."""
    seen = branches[:]
    ended = sorted((one for one in seen if one.ended), key=lambda one: one.ended - one.started)
    gone = set(map(id, ended[: len(seen) - MAX_BRANCHES]))
    branches[: len(seen)] = [one for one in seen if id(one) not in gone]
