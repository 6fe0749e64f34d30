"""An operation: one call of what was decorated, or one pass through a `with operation(...)` block.

Beginning and ending one is the hot path of profkit. What it costs is in benchmarks/RESULTS.md.
"""

from __future__ import annotations

import asyncio
import heapq
import inspect
import sys
import weakref
from asyncio import _get_running_loop  # pyright: ignore[reportPrivateUsage]  # exported for event loops
from contextvars import ContextVar, Token
from sys import _getframe  # pyright: ignore[reportPrivateUsage]  # documented, and the only way to a caller
from time import perf_counter
from types import CodeType, FrameType, TracebackType
from typing import TYPE_CHECKING, Any, Protocol, Self

from profkit import trio_tasks
from profkit.request_context import RequestContext
from profkit.rollups import Rollups
from profkit.sampling.threads import WatchedThread, this
from profkit.tallies import Tally
from profkit_storage import Status

if TYPE_CHECKING:
    from profkit.sampling.branches import Branch
    from profkit.sampling.recording import Recording

_MAX_NAME = 200
_WORKERS = frozenset({"anyio", "asyncio", "concurrent", "threading", "queue", "uvloop"})
"""Packages whose functions run other people's work in threads and loops."""
_GENERATOR = inspect.CO_GENERATOR | inspect.CO_ASYNC_GENERATOR

current: ContextVar[Operation | None] = ContextVar("profkit_operation", default=None)
"""The innermost operation in flight of the running thread or task."""


class Watcher(Protocol):
    """What an operation needs of the profiler it belongs to."""

    registry: set[Operation]
    rollups: Rollups
    active: bool
    max_children: int
    keep_errors: bool

    @property
    def sampler(self) -> Wakeable:
        """What has to be woken when something begins."""
        ...

    def activate(self) -> bool:
        """Tell whether an operation that begins now is to be watched."""
        ...

    def finish(self, operation: Operation) -> None:
        """Take over an operation that was slow."""
        ...


class Wakeable(Protocol):
    """A thread that sleeps while nothing is in flight."""

    idle: bool

    def wake(self) -> None:
        """Begin to look."""
        ...


_UNSET: dict[str, Any] = {
    "tags": None,
    "status": Status.OK,
    "request": None,
    "dropped_children": 0,
    "discarded": False,
    "number": 0,
    "offset": 0.0,
    "started": 0.0,
    "ended": 0.0,
    "paused": 0.0,
    "stood": 0.0,
}
"""What most operations never set, and so do not spend time on: `Operation.__getattr__` answers for it."""


class Operation:
    """One operation in flight, also a context manager, for synchronous and asynchronous code alike.

    Its stack is found by its coroutine, or by the frame whose id is `root`. An id alone is enough: an operation leaves
    the registry before its frame ends, so while it is in flight no other frame has that id.

    `started` and `ended` are seconds of `time.perf_counter`; for a generator `started` moves on by the time between its
    steps, which is `stood` in all. `children` are the operations that ended inside it, its children's own among them,
    each with its `offset`, the seconds from its parent's start to its own. `branches` are the tasks and threads it
    started.
    """

    # Slots that are filled when an operation begins, and a table for the rest: 15 % of the hot path.
    __slots__ = (
        "_token", "branches", "children", "coroutine", "discarded", "dropped_children", "ended", "frame", "number",
        "offset", "parent", "paused", "profiler", "recording", "request", "root", "started", "status", "stood",
        "tags", "tally", "task", "thread",
    )  # fmt: skip
    native = ""
    """The C function that is called, where it is one."""
    outside = ""
    """What is shown in place of a stack while it has no frame: others are at work for it."""
    tally: Tally
    profiler: Watcher
    root: int
    thread: WatchedThread
    parent: Operation | None
    children: list[Operation] | None
    branches: list[Branch] | None
    recording: Recording | None
    coroutine: weakref.ref[object] | None
    task: weakref.ref[asyncio.Task[Any]] | None
    frame: FrameType | None
    started: float
    ended: float
    paused: float
    stood: float
    offset: float
    number: int
    tags: dict[str, object] | None
    status: Status
    request: RequestContext | None
    dropped_children: int
    discarded: bool
    _token: Token[Operation | None] | None

    def __init__(self, profiler: Watcher, tally: Tally) -> None:
        self.profiler = profiler
        self.tally = tally
        self.parent = self.children = self.branches = self.recording = None
        self.coroutine = self.task = self.frame = self._token = self.tags = self.request = None
        # Known to `__getattr__` too, but these are read each time, and a call costs more than to set them.
        self.started = self.ended = 0.0
        self.status = Status.OK

    if not TYPE_CHECKING:  # every attribute is declared above

        def __getattr__(self, name: str) -> object:
            try:
                return _UNSET[name]
            except KeyError:
                raise AttributeError(name) from None

    def tag(self, /, **tags: object) -> Self:
        """Attach values to the profile: text, numbers, true or false. Secrets in them are masked."""
        if self.tags is None:
            self.tags = tags
        else:
            self.tags.update(tags)
        return self

    def rename(self, name: str) -> Self:
        """Give the operation another name, as when it is known only once a request has been routed."""
        tally = self.tally
        if name != tally.name:
            self.tally = self.profiler.rollups.tally(named(name), tally.category, tally.threshold)
        return self

    def discard(self) -> Self:
        """Leave no profile of this operation, however long it takes."""
        self.discarded = True
        return self

    def begin(self, root: int) -> None:
        """Register the operation, whose stack starts at the frame with the id `root`."""
        profiler = self.profiler
        parent = current.get()
        # One that has ended is no parent: tasks that start tasks would keep every operation before them alive.
        if parent is not None and not parent.ended:
            self.parent = parent
        self.root = root
        self.thread = this.thread
        self.ended = 0.0
        self._token = current.set(self)
        self.started = perf_counter()
        profiler.registry.add(self)
        if profiler.sampler.idle:
            profiler.sampler.wake()

    def pause(self) -> None:
        """Take a generator's operation out of flight while its consumer has the value."""
        if self._token is None:  # it has not gone on: it stands still since it did
            return
        self.paused = perf_counter()
        self.profiler.registry.discard(self)
        try:
            current.reset(self._token)
        except (ValueError, RuntimeError):  # a consumer may go on in another context
            pass
        self._token = self.task = None

    def resume(self) -> None:
        """Go on with a generator's operation, whose clock has stood still since `pause`."""
        gap = perf_counter() - self.paused
        self.started += gap
        self.stood += gap
        if self.recording is not None:
            self.recording.move(gap)
        self.thread = this.thread
        self.task = running_task()
        self._token = current.set(self)
        self.profiler.registry.add(self)
        if self.profiler.sampler.idle:
            self.profiler.sampler.wake()

    def end(self) -> None:
        """Take the operation out of flight; if it was slow, hand it over to become a profile."""
        token = self._token
        if token is None:  # an exception of a signal handler came before it had begun
            self.take_back()
            return
        profiler = self.profiler
        self.ended = ended = perf_counter()
        profiler.registry.discard(self)
        try:
            current.reset(token)
        except (
            ValueError,
            RuntimeError,
        ):  # ended in another context than it began in, or interrupted here before
            pass
        # Contexts of tasks begun in it may keep the operation: it must not keep its own task.
        self._token = self.task = self.coroutine = None
        self.settle(profiler, ended - self.started)

    def take_back(self) -> None:
        """Be in flight no more, wherever an exception of a signal handler met the beginning or the end."""
        self.profiler.registry.discard(self)
        if current.get() is self:
            current.set(self.parent)

    def settle(self, profiler: Watcher, elapsed: float) -> None:
        """Count an operation that has ended, join it to its parent and hand it over if it was slow."""
        tally = self.tally
        tally.durations.append(elapsed)
        failed = self.status is Status.ERROR
        if failed:
            tally.errors += 1
        if self.parent is not None:
            self.join(profiler.max_children)
        if elapsed >= tally.limit or (failed and profiler.keep_errors):
            profiler.finish(self)
        else:
            self.recording = self.children = self.branches = None
        self.leave()

    def leave(self) -> None:
        """Let go of a parent that ended before: a chain of tasks would keep every operation before them alive."""
        if self.parent is not None and self.parent.ended:
            self.parent = None

    def fail(self, error: BaseException) -> None:
        """Note how the operation ends."""
        if isinstance(error, (asyncio.CancelledError, GeneratorExit)) or trio_tasks.is_cancelled(error):
            self.status = Status.CANCELLED
        else:
            self.status = Status.ERROR
            if self.tags is None or "error" not in self.tags:
                self.tag(error=type(error).__qualname__)

    def join(self, limit: int) -> None:
        """Become a child of the parent, with the children of one's own; it keeps about `limit` of them."""
        parent = self.parent
        if parent is None or parent.ended:
            if parent is not None and parent.ended <= self.started:
                self.parent = None
            return
        self.offset = self.started - parent.started
        children = parent.children
        if children is None:
            children = parent.children = []
        children.append(self)
        if self.children:
            children += self.children
        if self.dropped_children:
            parent.dropped_children += self.dropped_children
        if len(children) > 2 * limit:  # seldom, so that each costs little
            parent.dropped_children += len(children) - limit
            parent.children = longest(children, limit)

    def _enter(self, frame: FrameType) -> Self:
        if not self.profiler.active and not self.profiler.activate():
            self.ended = -1.0
            return self
        # Held, not only its id: it may end before the operation does (a helper that enters), and its id be reused.
        self.frame = frame = _entering_frame(frame)
        self.task = running_task()
        self.begin(id(frame))
        return self

    # An exception of a signal handler may come wherever a function begins: what calls it takes the operation back.
    def __enter__(self) -> Self:
        if self.started or self.ended:
            raise RuntimeError("an operation is entered once: call operation() again for another")
        try:
            return self._enter(_getframe(1))
        except BaseException:
            self.take_back()
            raise

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self.ended:
            if self._token is not None:  # a process forked in its midst
                self.take_back()
            return
        try:
            if error is not None:
                self.fail(error)
            self.end()
        except BaseException:
            self.take_back()
            raise
        self.frame = None

    async def __aenter__(self) -> Self:
        if self.started or self.ended:
            raise RuntimeError("an operation is entered once: call operation() again for another")
        try:
            return self._enter(_getframe(1))
        except BaseException:
            self.take_back()
            raise

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.__exit__(kind, error, traceback)


# What is None in every call is the class's, so that no call spends time on it.


class Call(Operation):
    """A call of a synchronous function: its stack is in its thread, below the frame `root`."""

    __slots__ = ()
    coroutine = None
    task = None
    frame = None
    _token = None


class CoroutineCall(Operation):
    """A call of a coroutine function: its stack is that of its coroutine."""

    __slots__ = ()
    root = 0
    frame = None
    _token = None


def abort(call: Call | CoroutineCall, profiler: Watcher, error: BaseException) -> None:
    """Count a call that raised `error`; not if an exception of a signal handler met it while it began or ended."""
    if call.ended or not call.started:
        return
    call.ended = perf_counter()
    call.fail(error)
    call.settle(profiler, call.ended - call.started)


def request_of(operation: Operation) -> RequestContext | None:
    """Return the request that an operation in flight works on, as far as it or one around it was told."""
    around: Operation | None = operation
    while around is not None:
        if around.request is not None:
            return around.request
        around = around.parent
    return None


def longest(children: list[Operation], limit: int) -> list[Operation]:
    """Return the `limit` children that took the longest."""
    return heapq.nlargest(limit, children, key=lambda child: child.ended - child.started)


def named(name: object) -> str:
    """Return a printable text of 1 to 200 characters: a name made at run time must not break a request, or a log."""
    text = str(name)[:_MAX_NAME] or "unnamed"
    return text if text.isprintable() else "".join(letter if letter.isprintable() else "?" for letter in text)


_plain: dict[int, CodeType] = {}
"""By their ids, functions that enter a `with` block themselves, so that they are looked for once."""
_MOST_PLAIN = 4_096


def _entering_frame(entering: FrameType) -> FrameType:
    """Return the function a `with` block is part of, past what contextlib drives: generators, and exit stacks.

    A generator that anything else drives is the function itself. So it is where contextlib was called by no function of
    the application, but by a worker thread that enters for a request: that thread's loop is nobody's root.
    """
    code = entering.f_code
    if _plain.get(id(code)) is code:
        return entering
    frame: FrameType | None = entering
    while frame is not None and (_is_contextlib(frame) or _is_driven_by_contextlib(frame)):
        frame = frame.f_back
    if frame is None or str(frame.f_globals.get("__name__", "")).partition(".")[0] in _WORKERS:
        return entering
    if frame is entering and not code.co_flags & _GENERATOR and len(_plain) < _MOST_PLAIN:
        _plain[id(code)] = code
    return frame


def _is_contextlib(frame: FrameType) -> bool:
    return frame.f_globals.get("__name__") == "contextlib"


def _is_driven_by_contextlib(frame: FrameType) -> bool:
    back = frame.f_back
    return bool(frame.f_code.co_flags & _GENERATOR) and back is not None and _is_contextlib(back)


def running_task() -> weakref.ref[asyncio.Task[Any]] | None:
    """Refer to the task that is running in this thread, if any, without keeping it alive.

    Its loop tells from now on which tasks are started in it.
    """
    loop = _get_running_loop()  # 0.9 us less than catching the error of current_task
    if loop is None:
        return trio_tasks.running_task() if "trio" in sys.modules else None
    thread = this.thread
    if thread.loop is not loop:
        from profkit import handover

        thread.loop = loop
        handover.watch_loop(loop)
    task = asyncio.current_task(loop)
    return None if task is None else weakref.ref(task)
