"""Work handed to a thread by an operation in flight."""

from __future__ import annotations

import asyncio
import functools
from asyncio import _get_running_loop  # pyright: ignore[reportPrivateUsage]  # exported for event loops
from collections.abc import Callable
from contextvars import Context, Token
from sys import _getframe  # pyright: ignore[reportPrivateUsage]  # documented, and the only way to a frame
from threading import Thread
from time import perf_counter, thread_time
from types import MethodType
from typing import Any, NamedTuple, cast
from weakref import ref

from profkit.operations import Operation, current
from profkit.sampling.branches import Branch
from profkit.sampling.callsites import native_name
from profkit.sampling.threads import WatchedThread, this

of_tasks: dict[ref[Any], Branch] = {}
"""The branches of tasks, by weak references that take themselves out (`forget`): half the cost of a weak mapping."""
forget = of_tasks.pop
being_made: dict[int, Branch] = {}
"""By the id of its loop, the branch of a task that is being made: an eager one runs before anybody has it."""


class FollowedBranch(Branch):
    """A branch that a task or a future says the end of."""

    __slots__ = ()

    def done(self, _of: object) -> None:
        """Be its done callback."""
        if not self.ended:
            self.ended = perf_counter()


class NativeBranch(FollowedBranch):
    """One that calls a C function at once, in which no frame shows it."""

    __slots__ = ("native",)


class _Before(NamedTuple):
    """What a thread had in hand before the work."""

    thread: WatchedThread
    branch: Branch | None
    token: Token[Operation | None]
    cpu: float


class Work:
    """A callable in the place of one that an operation hands over, with a branch for it.

    The frame of its call is the branch's root, so its callees are the work. What a raw executor runs has no context:
    the operation is set meanwhile, and operations begun there are its children.
    """

    __slots__ = ("branch", "function", "operation")

    def __init__(self, operation: Operation, function: Callable[..., Any], called: object) -> None:
        self.operation = operation
        self.function = function
        native = native_name(called)
        if native:
            self.branch: FollowedBranch = NativeBranch(native, starter(this.thread))
            self.branch.native = native
        else:
            self.branch = FollowedBranch(name_of(called), starter(this.thread))

    def __call__(self, /, *args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - the callable's own
        function = self.function
        before = self._begin(id(_getframe()))
        try:
            return function(*args, **kwargs)
        finally:
            self._end(before)
            # An exception that somebody keeps has this frame in its traceback.
            del self, function, before, args, kwargs

    def _begin(self, root: int) -> _Before | None:
        branch = self.branch
        try:
            operation = in_flight(self.operation)
            if operation is None or branch.ended:
                return None
            thread = this.thread
            before = _Before(thread, thread.branch, current.set(operation), thread_time())
            branch.thread = thread
            branch.root = root
            thread.branch = branch
        except Exception:  # noqa: BLE001 - nothing of ours reaches the application
            return None
        return before

    def _end(self, before: _Before | None) -> None:
        if before is not None:
            self.branch.cpu = thread_time() - before.cpu
        self.branch.end()
        if before is not None:
            before.thread.branch = before.branch
            try:
                current.reset(before.token)
            except ValueError:  # the work went on in another context
                pass


class ThreadWork(Work):
    """The work of a thread: its `run`, until it begins."""

    __slots__ = ("_replaced",)

    def __init__(self, operation: Operation, thread: Thread, called: object) -> None:
        super().__init__(operation, thread.run, called)
        self._replaced = vars(thread).get("run")
        # A method: others who wrap a thread's `run` look for its function, and call that with the thread.
        vars(thread)["run"] = MethodType(self.run_in, thread)

    def run_in(self, thread: Thread) -> None:
        """Be the `run` of the thread."""
        self.give_back(thread)  # or it would be part of a reference cycle
        self()

    def give_back(self, thread: Thread) -> None:
        """Give the thread its own `run` back."""
        attributes = vars(thread)
        if getattr(attributes.get("run"), "__func__", None) == self.run_in:
            if self._replaced is None:
                del attributes["run"]
            else:
                attributes["run"] = self._replaced


def in_flight(operation: Operation | None) -> Operation | None:
    """Return `operation`, or if it has ended the innermost one around it that has not."""
    while operation is not None and operation.ended:
        operation = operation.parent
    return operation


def starter(thread: WatchedThread) -> Branch | None:
    """Return the branch that runs now in the calling thread, whose watched one is given."""
    loop = _get_running_loop()
    if loop is not None:
        task = asyncio.current_task(loop)
        branch = None if task is None else of_tasks.get(ref(task)) or being_made.get(id(loop))
        if branch is not None:
            return branch
    return thread.branch


def called_by(function: object, args: tuple[object, ...] = ()) -> object:
    """Return what is called in the end, behind partials and `Context.run`."""
    while True:
        if isinstance(function, functools.partial):
            partial = cast("functools.partial[object]", function)
            function, args = partial.func, (*partial.args, *args)
        elif args and isinstance(getattr(function, "__self__", None), Context):
            function, args = args[0], args[1:]
        else:
            return function


def name_of(called: object) -> str:
    """Return the qualified name of what is called."""
    name = getattr(called, "__qualname__", None)
    return name if isinstance(name, str) else type(called).__qualname__
