"""An operation: one call of what was decorated, or one pass through a `with operation(...)` block.

Beginning and ending one is the hot path of profkit. What it costs is in benchmarks/RESULTS.md.
"""

from __future__ import annotations

import asyncio
import inspect
from contextvars import ContextVar, Token
from sys import _getframe  # pyright: ignore[reportPrivateUsage]  # documented, and the only way to a caller
from time import perf_counter
from types import CoroutineType, FrameType, TracebackType
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from profkit.requests import RequestContext, request_context
from profkit.sampling.threads import WatchedThread, this
from profkit_storage import Status

if TYPE_CHECKING:
    from profkit.profiler import PerformanceProfiler
    from profkit.sampling.calltree import Recording

_GENERATOR = inspect.CO_GENERATOR | inspect.CO_ASYNC_GENERATOR

current: ContextVar[Operation | None] = ContextVar("profkit_operation", default=None)
"""The innermost operation in flight of the running thread or task."""


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

    Its stack is found by `coroutine`, or by the frame whose id is `root`: the id alone is enough, since an operation
    in flight always outlives neither its frame nor that frame's id.
    """

    # Defaults of the class, not slots filled one by one: most operations never touch them. 15 % of the hot path.
    coroutine: CoroutineType[Any, Any, Any] | None = None
    frame: FrameType | None = None
    task: asyncio.Task[Any] | None = None
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

    def __init__(self, profiler: PerformanceProfiler, site: Site) -> None:
        self._profiler = profiler
        self.site = site

    def tag(self, **tags: object) -> Self:
        """Attach values to the profile: text, numbers, true or false. Secrets in them are masked."""
        if self.tags is None:
            self.tags = tags
        else:
            self.tags.update(tags)
        return self

    def rename(self, name: str) -> Self:
        """Give the operation another name, as when it is known only once a request has been routed."""
        self.site = self.site._replace(name=name)
        return self

    def begin(self, root: int) -> None:
        """Register the operation, whose stack starts at the frame with the id `root`."""
        profiler = self._profiler
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
        self._token: Token[Operation | None] = current.set(self)
        self.started = perf_counter()
        profiler.registry.add(self)
        if profiler.sampler.idle:
            profiler.sampler.wake()

    def end(self) -> None:
        """Take the operation out of flight; if it was slow, hand it over to become a profile."""
        profiler = self._profiler
        self.ended = ended = perf_counter()
        profiler.registry.discard(self)
        try:
            current.reset(self._token)
        except ValueError:  # ended in another context than it began in
            pass
        parent = self.parent
        if parent is not None:
            self._join(parent)
            self.parent = None
        threshold = self.site.threshold
        if ended - self.started >= (profiler.threshold if threshold is None else threshold):
            profiler.finish(self)

    def fail(self, error: BaseException) -> None:
        """Note how the operation ends."""
        cancelled = isinstance(error, (asyncio.CancelledError, GeneratorExit))
        self.status = Status.CANCELLED if cancelled else Status.ERROR

    def _join(self, parent: Operation) -> None:
        """Become a child of `parent`, with the children of one's own."""
        children = parent.children
        if children is None:
            children = parent.children = []
        room = self._profiler.max_children - len(children)
        parent.dropped_children += self.dropped_children
        if room <= 0:
            parent.dropped_children += 1 + len(self.children or ())
            return
        name, category, _ = self.site
        children.append(
            Child(self.number, parent.number, name, category, self.started, self.ended, self.tags)
        )
        if self.children:
            children.extend(self.children[: room - 1])
            parent.dropped_children += max(0, len(self.children) - room + 1)

    def _enter(self, frame: FrameType) -> Self:
        if self.started or self.ended:
            raise RuntimeError("an operation is entered once: call operation() again for another")
        if not self._profiler.active and not self._profiler.activate():
            self.ended = -1.0
            return self
        frame = _entering_frame(frame)
        # Held, not only its id: it may end before the operation does (a helper that enters).
        self.frame = frame
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


def _entering_frame(frame: FrameType) -> FrameType:
    """Return the function a `with` block is part of, past context managers made of generators or kept on a stack."""
    while frame.f_back is not None and (
        frame.f_code.co_flags & _GENERATOR or frame.f_globals.get("__name__") == "contextlib"
    ):
        frame = frame.f_back
    return frame


def running_task() -> asyncio.Task[Any] | None:
    """Return the task that is running in this thread, if any."""
    try:
        return asyncio.current_task()
    except RuntimeError:
        return None
