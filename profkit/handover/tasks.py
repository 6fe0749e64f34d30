"""The tasks of an event loop, seen at their birth by a task factory in front of the one that is there."""

from __future__ import annotations

import asyncio
import functools
from asyncio import base_events, current_task
from collections.abc import Callable
from contextlib import suppress
from contextvars import Context
from types import CellType, CoroutineType, MethodType
from typing import Any, cast
from weakref import WeakKeyDictionary, ref

from profkit.handover.threads import hook_anyio
from profkit.handover.work import FollowedBranch, being_made, forget, in_flight, of_tasks
from profkit.operations import Operation, current
from profkit.sampling.branches import Branch, add
from profkit.sampling.threads import this

Maker = Callable[..., Any]
"""A task factory: takes a loop, a coroutine and the keywords of `create_task`."""

_tasks: Any = asyncio.tasks  # the module: others may have put their own Task there
_EAGER = getattr(getattr(asyncio, "eager_task_factory", None), "__code__", None)
_ANYIO = frozenset({"TaskHandle._run_coro", "TaskGroup._run_wrapped_task"})
"""What anyio's task groups run coroutines in."""


class _Watch:
    """What our factories of one loop share: there is more than one when others were set over ours.

    `context` is the empty one of the done callbacks: a copy for each would keep its values alive.
    `making` is the factory that is making a task now, so that a task is told of once; True if none is to tell.
    """

    __slots__ = ("context", "making")

    def __init__(self) -> None:
        self.context = Context()
        self.making: Factory | bool | None = None


class Factory:
    """Makes tasks as `inner` does, None for a loop without a factory, and tells operations in flight of them.

    Its attributes are those of `inner`: anyio looks for what asyncio's eager factory is made of.
    """

    __slots__ = ("inner", "loop", "watch")

    def __init__(self, inner: Maker | None, loop: asyncio.AbstractEventLoop, watch: _Watch) -> None:
        self.inner = inner
        self.loop = id(loop)
        self.watch = watch

    def __getattr__(self, name: str) -> object:
        inner: Any = None if name in Factory.__slots__ else self.inner
        if name == "__closure__" and getattr(inner, "__code__", None) is _EAGER is not None:
            return (CellType(functools.partial(self.construct, inner.__closure__[0].cell_contents)),)
        return getattr(inner, name)

    def make(self, loop: asyncio.AbstractEventLoop, coro: object, **kwargs: object) -> object:
        """Be the task factory."""
        inner = self.inner
        operation = current.get()
        if operation is not None:
            making = self.watch.making
            if (making is None or making is self) and (not operation.ended or in_flight(operation)):
                return self._tell(operation, inner, loop, coro, kwargs)
        if inner is not None:
            return inner(loop, coro, **kwargs)
        task: Any = _tasks.Task(coro, loop=loop, **kwargs)
        if task._source_traceback:  # noqa: SLF001 - in debug mode a task has it
            _hide_factory(task)
        return task

    __call__ = make

    def construct(
        self, constructor: Maker, coro: object, *, loop: asyncio.AbstractEventLoop, **kwargs: object
    ) -> object:
        """Be the task constructor in an eager factory; anyio calls it itself, since its tasks must not be eager."""

        def construct(loop: asyncio.AbstractEventLoop, coro: object, **kwargs: object) -> object:
            return constructor(coro, loop=loop, **kwargs)

        operation = current.get()
        if operation is None or self.watch.making not in (None, self) or not in_flight(operation):
            return construct(loop, coro, **kwargs)
        return self._tell(operation, construct, loop, coro, kwargs)

    def _tell(
        self,
        operation: Operation,
        inner: Maker | None,
        loop: asyncio.AbstractEventLoop,
        coro: Any,  # noqa: ANN401 - mostly a coroutine
        kwargs: dict[str, object],
    ) -> Any:  # noqa: ANN401 - a task of any kind
        # Written out here: `starter` and `_name_of` would cost 0.4 us more.
        thread, key = this.thread, id(loop)
        running = current_task(loop)
        parent = thread.branch
        if running is not None:
            parent = of_tasks.get(ref(running)) or being_made.get(key) or parent
        name = coro.__qualname__ if coro.__class__ is CoroutineType else None
        branch = FollowedBranch(_name_of(coro) if name is None or name in _ANYIO else name, parent)
        branch.thread = thread
        if inner is None:
            task = _tasks.Task(coro, loop=loop, **kwargs)
            if task._source_traceback:  # noqa: SLF001 - as above
                _hide_factory(task)
        else:
            task = self._make_by(inner, branch, loop, coro, kwargs)
        try:
            if (inner is not None or kwargs) and task.done():  # an eager one
                branch.task = ref(task)
                branch.end()
            else:
                reference = ref(task, forget)
                of_tasks[reference] = branch
                branch.task = reference
                # A factory may have been lent to another loop, and two threads cannot run in one context at once.
                context = self.watch.context if self.loop == key else Context()
                task.add_done_callback(branch.done, context=context)
            add(operation, branch)
        except Exception:  # noqa: BLE001 - a task of somebody's own making, that cannot be followed
            return task
        return task

    def _make_by(
        self,
        inner: Maker,
        branch: Branch,
        loop: asyncio.AbstractEventLoop,
        coro: object,
        kwargs: dict[str, object],
    ) -> Any:  # noqa: ANN401 - as above
        watch, key = self.watch, id(loop)
        making, watch.making = watch.making, self
        outer, being_made[key] = being_made.get(key), branch
        try:
            return inner(loop, coro, **kwargs)
        finally:
            watch.making = making
            if outer is None:
                del being_made[key]
            else:
                being_made[key] = outer


def watch_loop(loop: asyncio.AbstractEventLoop) -> None:
    """See to it that operations are told of the tasks of `loop`; once is enough unless others set their factory."""
    hook_anyio()
    with suppress(Exception):  # a loop of somebody's own making may have no factories
        factory = loop.get_task_factory()
        ours = _ours(factory)
        if ours is None:
            watch = _watches.get(loop)
            if watch is None:
                watch = _watches[loop] = _Watch()
            ours = Factory(factory, loop, watch)
            loop.set_task_factory(cast("Any", ours.make if factory is None else ours))
        if ours.watch.making is True:
            ours.watch.making = None


def watched(loop: asyncio.AbstractEventLoop) -> bool:
    """Tell whether our factory is the one that `loop` calls: an application may set its own at any time."""
    with suppress(Exception):
        ours = _ours(loop.get_task_factory())
        return ours is not None and ours.watch.making is not True
    return False


def unwatch_loop(loop: asyncio.AbstractEventLoop) -> None:
    """Give the loop its own factory back; under those of others ours stays, and does nothing."""
    with suppress(Exception):
        watch = _watches.get(loop)
        if watch is not None:
            watch.making = True
        ours = _ours(loop.get_task_factory())
        if ours is not None:
            loop.set_task_factory(ours.inner)


_watches: WeakKeyDictionary[asyncio.AbstractEventLoop, _Watch] = WeakKeyDictionary()


def _ours(factory: object) -> Factory | None:
    if isinstance(factory, Factory):
        return factory
    owner = factory.__self__ if isinstance(factory, MethodType) else None
    return owner if isinstance(owner, Factory) else None


def _hide_factory(task: Any) -> None:  # noqa: ANN401 - as above
    """Let a task of a loop in debug mode say where it was made as it would without us."""
    stack = task._source_traceback  # noqa: SLF001
    while stack and stack[-1].filename == __file__:
        del stack[-1]
    if stack and stack[-1].filename == base_events.__file__:
        del stack[-1]


def _name_of(coro: Any) -> str:  # noqa: ANN401 - whatever it is, making a task of it says what is wrong
    try:
        name: object = coro.__qualname__
        if name in _ANYIO:
            arguments = coro.cr_frame.f_locals
            name = (arguments.get("coro") or arguments["self"]._coro).__qualname__  # noqa: SLF001
    except Exception:  # noqa: BLE001 - as above
        name = None
    return name if isinstance(name, str) else type(coro).__qualname__
