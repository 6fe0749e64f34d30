"""WSGI middleware (PEP 3333): every request has an id, and is an operation until the last byte of its answer."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING
from wsgiref.types import StartResponse, WSGIApplication, WSGIEnvironment

import profkit
from profkit.config import check_threshold
from profkit.request_context import (
    KEY,
    REQUEST_ID_HEADER,
    RequestContext,
    check_header,
    current,
    make,
    with_state,
)
from profkit.route_names import ROUTE_KEY, environ_name
from profkit.wsgi_bodies import answer
from profkit.wsgi_requests import Request, RequestOperation

if TYPE_CHECKING:
    from profkit.profiler import PerformanceProfiler

__all__ = ["ROUTE_KEY", "ProfilingMiddleware", "RequestContext", "RequestTracker", "current"]


class RequestTracker:
    """WSGI middleware that gives every request an id and a place in its trace. Needs no profiler.

        app.wsgi_app = RequestTracker(app.wsgi_app)     # Flask

    An id that the caller sends is taken if it is one header of at most 128 letters, digits and `._:/+=@-`, else a new
    one is made; a `traceparent` is taken if it is a valid one. Both are in `current()` and in
    `environ["profkit.request"]` while the request lasts, which is until its body is closed; the id is on the answer
    too, and on log records through `profkit.logs.RequestContextFilter`.

    Args:
        app: the WSGI application.
        header: the name of the header the id comes in and goes out by.
        trust: whether an id that the caller sends is taken. The trace is, in either case.
    """

    def __init__(self, app: WSGIApplication, *, header: str = REQUEST_ID_HEADER, trust: bool = True) -> None:
        self.app = app
        self.header = check_header(header)
        self._key = f"HTTP_{header.upper().replace('-', '_')}"
        self._trust = trust

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Serve one request."""
        if KEY in environ:
            return self.app(environ, start_response)
        request = Request(environ, self.begin(environ), None)
        return answer(request, request.call(self.app, request.answering(start_response, self.header)))

    def begin(self, environ: WSGIEnvironment) -> RequestContext:
        """Take or make the ids of a request, and put them into its environ."""
        # Two of one header come as one, with a comma that no id and no traceparent has.
        sent = _header(environ, self._key) if self._trust else None
        context = make(sent, _header(environ, "HTTP_TRACEPARENT"))
        if context.parent_id:
            context = with_state(context, _header(environ, "HTTP_TRACESTATE") or b"")
        environ[KEY] = context
        return context


def _header(environ: WSGIEnvironment, key: str) -> bytes | None:
    """Return a header as it came; None if there is none."""
    value = environ.get(key)
    return value.encode("latin-1", "replace") if isinstance(value, str) else None


class ProfilingMiddleware:
    """Makes an operation of every request, from the call of the application to the closing of its body.

        app.wsgi_app = ProfilingMiddleware(app.wsgi_app)     # Flask

    Operations are named by route template, `GET /users/<int:id>`: Flask's is found, others tell theirs, as in
    `environ["profkit.route"] = "/users/{id}"`. They are tagged with the status of the answer; one of 500 or more is a
    failure, as an exception is. What the server needs to send the body is part of the operation. Exceptions pass
    through as they are, and so does what the application gives its server: `exc_info`, a sized body, a file wrapper.

    Args:
        app: the WSGI application.
        profiler: the profiler to use; by default `profkit`'s own, looked up with each request.
        tracker: whether to give requests an id too, as `RequestTracker` does; one that is there already is used.
        header: the name of the request id's header.
        threshold: seconds from which a request leaves a profile; by default the profiler's.

    Raises:
        ConfigurationError: the threshold or the header is not allowed.
    """

    def __init__(
        self,
        app: WSGIApplication,
        profiler: PerformanceProfiler | None = None,
        *,
        tracker: bool = True,
        header: str = REQUEST_ID_HEADER,
        threshold: float | None = None,
    ) -> None:
        check_threshold(threshold)
        self.app = app
        self._profiler = profiler
        self._threshold = threshold
        self._tracker = RequestTracker(app, header=header) if tracker else None

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Serve one request."""
        profiler = self._profiler or profkit.default_profiler()
        tracker = self._tracker
        if not profiler.active and not profiler.activate():
            return (tracker or self.app)(environ, start_response)
        tally = profiler.rollups.tally(environ_name(environ), "", self._threshold)
        operation = RequestOperation(profiler, tally)
        context = None if tracker is None or KEY in environ else tracker.begin(environ)
        operation.request = environ.get(KEY)
        request = Request(environ, context, operation)
        header = "" if tracker is None else tracker.header
        return answer(request, request.call(self.app, request.answering(start_response, header)))
