"""An operation: one call of what was decorated, or one pass through a `with operation(...)` block.

Beginning and ending one is the hot path of profkit. What it costs is in benchmarks/RESULTS.md.
"""

from __future__ import annotations

import asyncio
from contextvars import ContextVar, Token
from sys import _getframe
from time import perf_counter
from types import CoroutineType, FrameType, TracebackType
from typing import TYPE_CHECKING, Any, NamedTuple, Self

from profkit.requests import RequestContext, request_context
from profkit.sampling.threads import WatchedThread, this
from profkit_storage import Status

if TYPE_CHECKING:
    from profkit.profiler import PerformanceProfiler
    from profkit.sampling.calltree import Recording

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

    __slots__ = (
        "_profiler",
        "_token",
        "children",
        "coroutine",
        "dropped_children",
        "ended",
        "frame",
        "number",
        "parent",
        "recording",
        "request",
        "root",
        "site",
        "started",
        "status",
        "tags",
        "task",
        "thread",
    )

    def __init__(self, profiler: PerformanceProfiler, site: Site) -> None:
        self._profiler = profiler
        self.site = site
        self.coroutine: CoroutineType[Any, Any, Any] | None = None
        self.frame: FrameType | None = None
        self.task: asyncio.Task[Any] | None = None
        self.recording: Recording | None = None
        self.children: list[Child] | None = None
        self.tags: dict[str, object] | None = None
        self.status = Status.OK
        self.ended = 0.0
        self.started = 0.0
        self.dropped_children = 0

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
        self.parent: Operation | None = None if parent is None or parent.ended else parent
        self.root = root
        self.request: RequestContext | None = request_context.get()
        self.thread: WatchedThread = this.thread
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
        children.append(Child(self.number, parent.number, name, category, self.started, self.ended, self.tags))
        if self.children:
            children.extend(self.children[: room - 1])
            parent.dropped_children += max(0, len(self.children) - room + 1)

    def _enter(self, frame: FrameType) -> Self:
        if self.started or self.ended:
            raise RuntimeError("an operation is entered once: call operation() again for another")
        if not self._profiler.active and not self._profiler.activate():
            self.ended = -1.0
            return self
        # Held, not only its id: this frame may end before the operation does (ExitStack, a helper that enters).
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


def running_task() -> asyncio.Task[Any] | None:
    """Return the task that is running in this thread, if any."""
    try:
        return asyncio.current_task()
    except RuntimeError:
        return None
