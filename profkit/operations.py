"""An operation: one call of what was decorated, or one pass through a `with operation(...)` block.

Beginning and ending one is the hot path of profkit. What it costs is in benchmarks/RESULTS.md.
"""

from __future__ import annotations

import asyncio
import heapq
import inspect
import math
import weakref
from asyncio import _get_running_loop  # pyright: ignore[reportPrivateUsage]  # exported for event loops
from collections.abc import Iterator
from contextvars import ContextVar, Token
from sys import _getframe  # pyright: ignore[reportPrivateUsage]  # documented, and the only way to a caller
from time import perf_counter
from types import FrameType, TracebackType
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol, Self

from profkit.requests import RequestContext, request_context
from profkit.sampling.threads import WatchedThread, this
from profkit_storage import Status

if TYPE_CHECKING:
    from profkit.sampling.calltree import Recording

_MAX_NAME = 200
_WORKERS = frozenset({"anyio", "asyncio", "concurrent", "threading", "queue", "uvloop"})
"""Packages whose functions run other people's work in threads and loops."""
_GENERATOR = inspect.CO_GENERATOR | inspect.CO_ASYNC_GENERATOR

current: ContextVar[Operation | None] = ContextVar("profkit_operation", default=None)
"""The innermost operation in flight of the running thread or task."""


class Watcher(Protocol):
    """What an operation needs of the profiler it belongs to."""

    registry: set[Operation]
    numbers: Iterator[int]
    active: bool
    threshold: float
    max_children: int

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


class Site(NamedTuple):
    """What every operation of one decorator or `with` has in common; `threshold` None means the profiler's."""

    name: str
    category: str
    threshold: float | None


class Child(NamedTuple):
    """An operation that ended inside another; times as `time.perf_counter` gives them."""

    number: int
    parent: int
    name: str
    category: str
    started: float
    ended: float
    tags: dict[str, object] | None


class Operation:
    """One operation in flight, also a context manager, for synchronous and asynchronous code alike.

    Its stack is found by its coroutine, or by the frame whose id is `root`. An id alone is enough: an operation leaves
    the registry before its frame ends, so while it is in flight no other frame has that id.
    """

    # Defaults of the class, not slots filled one by one: most operations never touch them. 15 % of the hot path.
    coroutine: weakref.ref[object] | None = None
    frame: FrameType | None = None
    task: weakref.ref[asyncio.Task[Any]] | None = None
    parent: Operation | None = None
    request: RequestContext | None = None
    recording: Recording | None = None
    children: list[Child] | None = None
    dropped_children = 0
    tags: dict[str, object] | None = None
    status = Status.OK
    started = 0.0
    ended = 0.0
    root: int
    number: int
    thread: WatchedThread
    _token: Token[Operation | None] | None = None

    def __init__(self, profiler: Watcher, site: Site) -> None:
        self.profiler = profiler
        self.site = site

    def tag(self, /, **tags: object) -> Self:
        """Attach values to the profile: text, numbers, true or false. Secrets in them are masked."""
        if self.tags is None:
            self.tags = tags
        else:
            self.tags.update(tags)
        return self

    def rename(self, name: str) -> Self:
        """Give the operation another name, as when it is known only once a request has been routed."""
        self.site = self.site._replace(name=named(name))
        return self

    def discard(self) -> Self:
        """Leave no profile of this operation, however long it takes."""
        self.site = self.site._replace(threshold=math.inf)
        return self

    def begin(self, root: int) -> None:
        """Register the operation, whose stack starts at the frame with the id `root`."""
        profiler = self.profiler
        parent = current.get()
        # One that has ended is no parent: tasks that start tasks would keep every operation before them alive.
        if parent is not None and not parent.ended:
            self.parent = parent
        request = request_context.get()
        if request is not None:
            self.request = request
        self.root = root
        self.thread = this.thread
        self.number = next(profiler.numbers)
        self._token = current.set(self)
        self.started = perf_counter()
        profiler.registry.add(self)
        if profiler.sampler.idle:
            profiler.sampler.wake()

    def end(self) -> None:
        """Take the operation out of flight; if it was slow, hand it over to become a profile."""
        token = self._token
        if token is None:  # ended already, or an exception of a signal handler came before it had begun
            return
        profiler = self.profiler
        self.ended = ended = perf_counter()
        profiler.registry.discard(self)
        try:
            current.reset(token)
        except ValueError:  # ended in another context than it began in
            pass
        # Contexts of tasks begun in it may keep the operation: it must not keep the one before it, nor its own task.
        self._token = self.task = self.coroutine = None
        parent = self.parent
        if parent is not None:
            self._join(parent)
        threshold = self.site.threshold
        if ended - self.started >= (profiler.threshold if threshold is None else threshold):
            profiler.finish(self)
        else:
            self.recording = self.children = None
        self.parent = None

    def fail(self, error: BaseException) -> None:
        """Note how the operation ends."""
        if isinstance(error, (asyncio.CancelledError, GeneratorExit)):
            self.status = Status.CANCELLED
        else:
            self.status = Status.ERROR
            self.tag(error=type(error).__qualname__)

    def _join(self, parent: Operation) -> None:
        """Become a child of `parent`, with the children of one's own."""
        children = parent.children
        if children is None:
            children = parent.children = []
        name, category, _ = self.site
        children.append(
            Child(self.number, parent.number, name, category, self.started, self.ended, self.tags)
        )
        if self.children:
            children += self.children
        parent.dropped_children += self.dropped_children
        limit = self.profiler.max_children
        if len(children) > 2 * limit:  # seldom, so that each costs little
            parent.dropped_children += len(children) - limit
            parent.children = longest(children, limit)

    def _enter(self, frame: FrameType) -> Self:
        if self.started or self.ended:
            raise RuntimeError("an operation is entered once: call operation() again for another")
        if not self.profiler.active and not self.profiler.activate():
            self.ended = -1.0
            return self
        # Held, not only its id: it may end before the operation does (a helper that enters), and its id be reused.
        self.frame = frame = _entering_frame(frame)
        self.task = running_task()
        self.begin(id(frame))
        return self

    def _exit(self, error: BaseException | None) -> None:
        if self.ended:
            return
        if error is not None:
            self.fail(error)
        self.end()
        self.frame = None

    def __enter__(self) -> Self:
        return self._enter(_getframe(1))

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._exit(error)

    async def __aenter__(self) -> Self:
        return self._enter(_getframe(1))

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._exit(error)


def longest(children: list[Child], limit: int) -> list[Child]:
    """Return the `limit` children that took the longest."""
    return heapq.nlargest(limit, children, key=lambda child: child.ended - child.started)


def named(name: object) -> str:
    """Return a printable text of 1 to 200 characters: a name made at run time must not break a request, or a log."""
    text = str(name)[:_MAX_NAME] or "unnamed"
    return text if text.isprintable() else "".join(letter if letter.isprintable() else "?" for letter in text)


def _entering_frame(entering: FrameType) -> FrameType:
    """Return the function a `with` block is part of, past what contextlib drives: generators, and exit stacks.

    A generator that anything else drives is the function itself. So it is where contextlib was called by no function of
    the application, but by a worker thread that enters for a request: that thread's loop is nobody's root.
    """
    frame: FrameType | None = entering
    while frame is not None and (_is_contextlib(frame) or _is_driven_by_contextlib(frame)):
        frame = frame.f_back
    if frame is None or str(frame.f_globals.get("__name__", "")).partition(".")[0] in _WORKERS:
        return entering
    return frame


def _is_contextlib(frame: FrameType) -> bool:
    return frame.f_globals.get("__name__") == "contextlib"


def _is_driven_by_contextlib(frame: FrameType) -> bool:
    back = frame.f_back
    return bool(frame.f_code.co_flags & _GENERATOR) and back is not None and _is_contextlib(back)


def running_task() -> weakref.ref[asyncio.Task[Any]] | None:
    """Refer to the task that is running in this thread, if any, without keeping it alive."""
    if _get_running_loop() is None:  # 0.9 us less than catching the error of current_task
        return None
    task = asyncio.current_task()
    return None if task is None else weakref.ref(task)
