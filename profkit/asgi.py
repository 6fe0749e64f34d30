"""ASGI middleware: every HTTP request is an operation, and has an id."""

from __future__ import annotations

from typing import TYPE_CHECKING

import profkit
from profkit.asgi_types import ASGIApp, Message, Receive, Scope, Send
from profkit.requests import SCOPE_KEY, RequestContext, RequestTracker, end
from profkit.route_names import RouteNames
from profkit_storage import ConfigurationError

if TYPE_CHECKING:
    from profkit.operations import Operation
    from profkit.profiler import PerformanceProfiler

__all__ = ["ProfilingMiddleware", "RequestContext", "RequestTracker", "name_live_requests"]

_live: dict[Operation, Scope] = {}
_names = RouteNames()


class ProfilingMiddleware:
    """Makes an operation of every HTTP request, from its first byte to the end of the last background task.

    Operations are named by route template, `GET /users/{id}`, and tagged with the status of the answer. WebSockets
    and lifespan pass through. Exceptions pass through as they are.

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
        self._tracker = RequestTracker(app, header=header) if tracker else None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one connection."""
        tracker = self._tracker
        if scope["type"] != "http":
            await (tracker or self.app)(scope, receive, send)
            return
        # The tracker's work without a layer of its own: each costs some microseconds of every request.
        if tracker is None or SCOPE_KEY in scope:
            await self._serve(scope, receive, send, None)
            return
        token = tracker.begin(scope)
        try:
            await self._serve(scope, receive, send, tracker)
        finally:
            end(token)

    async def _serve(
        self, scope: Scope, receive: Receive, send: Send, tracker: RequestTracker | None
    ) -> None:
        profiler = self._profiler or profkit.default_profiler()
        operation = profiler.operation(_names.name(scope), threshold=self._threshold)

        async def answer(message: Message) -> None:
            if message["type"] == "http.response.start":
                operation.tag(status=message["status"])
                if tracker is not None:
                    message = tracker.echo(scope, message)
            await send(message)

        operation.request = scope.get(SCOPE_KEY)
        with operation:
            _live[operation] = scope
            try:
                await self.app(scope, receive, answer)
            finally:
                # Within the operation: its end hands it over, name and all.
                del _live[operation]
                operation.rename(_names.name(scope))


def name_live_requests() -> int:
    """Give the requests in flight the names of the routes they have reached by now; return how many there are."""
    live = list(_live.items())
    for operation, scope in live:
        operation.rename(_names.name(scope))
    return len(live)
