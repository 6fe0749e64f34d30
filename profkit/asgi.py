"""ASGI middleware: every HTTP request is an operation, and has an id."""

from __future__ import annotations

from asyncio import _get_running_loop, current_task  # pyright: ignore[reportPrivateUsage]  # exported for event loops
from collections.abc import Awaitable, Coroutine
from time import perf_counter
from types import CoroutineType
from typing import TYPE_CHECKING, Any, cast
from weakref import ref

import profkit
from profkit import live_requests
from profkit.asgi_types import ASGIApp, Message, Receive, Scope, Send
from profkit.operations import CoroutineCall, abort, current, named, running_task
from profkit.requests import SCOPE_KEY, RequestContext, RequestTracker, end
from profkit.sampling.threads import this
from profkit.websockets import WebSocketSteps
from profkit_storage import ConfigurationError

if TYPE_CHECKING:
    from profkit.profiler import PerformanceProfiler
    from profkit.tallies import Tally

__all__ = ["ProfilingMiddleware", "RequestContext", "RequestTracker"]

_MOST_TALLIES = 4_096
new = object.__new__
_live = live_requests.live
_names = live_requests.names


class ProfilingMiddleware:
    """Makes an operation of every HTTP request, from its first byte to the end of the last background task.

    Operations are named by route template, `GET /users/{id}`, and tagged with the status of the answer. A WebSocket is
    many operations, `WEBSOCKET /chat`: its handshake, and each message until the next is awaited. Exceptions pass
    through as they are, and so does what is no connection.

        app = ProfilingMiddleware(app)

    Last, around the whole application, as above, so that every answer has the id: Starlette and FastAPI answer an
    exception that nobody handles outside all that `add_middleware` adds, so `app.add_middleware(ProfilingMiddleware)`
    leaves those 500 answers without one (their profiles and log records have it either way). What is wrapped is no
    `Starlette` any more: keep that under a name of its own if something is to be added to it later.

    Args:
        app: the ASGI application.
        profiler: the profiler to use; by default `profkit`'s own, looked up with each request.
        tracker: whether to give requests an id too, as `RequestTracker` does; one that is there already is used.
        header: the name of the request id's header.
        threshold: seconds from which a request leaves a profile; by default the profiler's.
    """

    def __init__(
        self,
        app: ASGIApp,
        profiler: PerformanceProfiler | None = None,
        *,
        tracker: bool = True,
        header: str = "X-Request-ID",
        threshold: float | None = None,
    ) -> None:
        if threshold is not None and not 0 <= threshold < float("inf"):
            raise ConfigurationError(
                f"threshold={threshold!r} is not allowed: give seconds, 0 or more, or None"
            )
        self.app = app
        self._profiler = profiler
        self._threshold = threshold
        self._tracker = RequestTracker(self._follow, header=header) if tracker else None
        self._tallies: dict[tuple[object, int, int], tuple[Tally, object, object]] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        tracker = self._tracker
        if scope["type"] != "http":
            await (tracker or self._follow)(scope, receive, send)
            return
        if tracker is None or SCOPE_KEY in scope:
            tracker = token = None
        else:  # its work without a layer of its own: each costs some microseconds of every request
            token = tracker.begin(scope)
        try:
            profiler = self._profiler or profkit.default_profiler()
            if profiler.active or profiler.activate():
                await self._watch(scope, receive, send, profiler, tracker)
            else:
                await self.app(scope, receive, send if tracker is None else tracker.echoing(scope, send))
        finally:
            if token is not None:
                end(token)

    async def _watch(  # noqa: C901, PLR0915 - written out
        self,
        scope: Scope,
        receive: Receive,
        send: Send,
        profiler: PerformanceProfiler,
        tracker: RequestTracker | None,
    ) -> None:
        operation = new(CoroutineCall)
        operation.ended = 0.0
        outer = current.get()

        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start":
                if operation.tags is None:  # as `tag` does, without a call
                    operation.tags = {"status": message["status"]}
                else:
                    operation.tags["status"] = message["status"]
                if tracker is not None:
                    message = tracker.echo(scope, message)
            await send(message)

        # Written out as for a coroutine function, see `wrappers`: a `with` block does more than is needed here.
        try:
            operation.profiler = profiler
            operation.tags = None
            operation.request = scope.get(SCOPE_KEY)
            operation.tally = self._tally(profiler, scope)
            operation.thread = thread = this.thread
            loop = _get_running_loop()
            if loop is not None and loop is thread.loop:  # else it is to be watched from now on
                task = current_task(loop)
                operation.task = None if task is None else ref(task)
            else:
                operation.task = running_task()
            operation.parent = None if outer is None or outer.ended else outer
            operation.children = operation.branches = operation.recording = None
            token = current.set(operation)
            operation.coroutine = None
            operation.started = perf_counter()
            coroutine = _coroutine(self.app(scope, receive, answer))
            operation.coroutine = ref(coroutine)
            profiler.registry.add(operation)
            if profiler.sampler.idle:
                profiler.sampler.wake()
            _live[operation] = scope
            try:
                await coroutine
            finally:
                # Within the operation: its end hands it over, name and all.
                _live.pop(operation, None)  # a forked child has none
                operation.tally = tally = self._tally(profiler, scope)
            operation.ended = ended = perf_counter()
            profiler.registry.discard(operation)
            try:
                current.reset(token)
            except ValueError:  # ended in another context than it began in
                pass
            # Contexts of tasks begun in it may keep the operation.
            operation.task = operation.coroutine = None
            elapsed = ended - operation.started
            if elapsed >= tally.limit or operation.parent is not None:
                operation.settle(profiler, elapsed)
            else:
                tally.durations.append(elapsed)
                operation.children = operation.branches = operation.recording = None
        except BaseException as error:
            profiler.registry.discard(operation)
            if current.get() is operation:
                current.set(outer)
            abort(operation, profiler, error)
            raise

    async def _follow(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve a WebSocket step by step; lifespan passes through."""
        if scope["type"] != "websocket":
            await self.app(scope, receive, send)
            return
        profiler = self._profiler or profkit.default_profiler()
        steps = WebSocketSteps(profiler, lambda: self._tally(profiler, scope), scope, receive, send)
        await steps.run(_coroutine(self.app(scope, steps.receive, steps.send)))

    def _tally(self, profiler: PerformanceProfiler, scope: Scope) -> Tally:
        """Return what counts the requests of this method and route; to find their name each time would cost more."""
        router, route = scope.get("router"), scope.get("route")
        if route is None:
            route = scope.get("endpoint")
        key = scope.get("method"), id(router), id(route)
        known = self._tallies.get(key)
        if known is not None:
            return known[0]
        tally = profiler.rollups.tally(named(_names.name(scope)), "", self._threshold)
        if _names.is_settled(scope):
            if len(self._tallies) >= _MOST_TALLIES:
                self._tallies.clear()
            self._tallies[key] = tally, router, route  # kept, so that their ids stay theirs
        return tally


def _coroutine(awaitable: Awaitable[None]) -> Coroutine[Any, Any, None]:
    """Return what an application gave as a coroutine: that can be referred to weakly, and shows where it is."""

    async def wait() -> None:
        await awaitable

    if isinstance(awaitable, CoroutineType):
        return cast("Coroutine[Any, Any, None]", awaitable)
    return wait()
