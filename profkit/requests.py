"""ASGI middleware: every request has an id and a place in a W3C trace, for answers, log records and profiles."""

from __future__ import annotations

from collections.abc import Iterable
from contextvars import Token

from profkit.asgi_types import ASGIApp, Message, Receive, Scope, Send
from profkit.request_context import (
    HEADER_NAME,
    REQUEST_ID_HEADER,
    RequestContext,
    check_header,
    current,
    end,
    make,
    parse_traceparent,
    request_context,
    with_state,
)
from profkit.request_context import KEY as SCOPE_KEY

__all__ = [
    "HEADER_NAME", "SCOPE_KEY", "RequestContext", "RequestTracker", "current", "end", "parse_traceparent",
    "request_context",
]  # fmt: skip

_ANSWERS = frozenset({"http.response.start", "websocket.accept", "websocket.http.response.start"})


class RequestTracker:
    """ASGI middleware that gives every request an id and a place in its trace. Needs no profiler.

    Put it around the whole application, `app = RequestTracker(app)`: inside Starlette's `add_middleware` the answer to
    an unhandled exception comes from further out, and is without the id.

    An id that the caller sends is taken if it is one header of at most 128 letters, digits and `._:/+=@-`, else a new
    one is made; a `traceparent` is taken if it is a valid one. Both are in `current()` while the request lasts; the id
    is on the answer too, and on log records through `profkit.logs.RequestContextFilter`.

    Args:
        app: the ASGI application.
        header: the name of the header the id comes in and goes out by.
        trust: whether an id that the caller sends is taken. The trace is, in either case.
    """

    def __init__(self, app: ASGIApp, *, header: str = REQUEST_ID_HEADER, trust: bool = True) -> None:
        self.app = app
        self._header = check_header(header).lower().encode("ascii")
        self._trust = trust

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request or WebSocket; anything else passes through."""
        if scope["type"] not in ("http", "websocket") or SCOPE_KEY in scope:
            await self.app(scope, receive, send)
            return
        token = self.begin(scope)
        try:
            await self.app(scope, receive, self.echoing(scope, send))
        finally:
            end(token)

    def begin(self, scope: Scope) -> Token[RequestContext | None]:
        """Take or make the ids of a request; `end` takes what is returned."""
        scope[SCOPE_KEY] = context = self._context(scope["headers"])
        return request_context.set(context)

    def echo(self, scope: Scope, message: Message) -> Message:
        """Return the message that begins an answer, with the id among its headers."""
        name = self._header
        # Not in place: an application may send one list of headers many times.
        headers = [item for item in message.get("headers", ()) if item[0].lower() != name]
        headers.append((name, scope[SCOPE_KEY].request_id.encode("ascii")))
        return {**message, "headers": headers}

    def echoing(self, scope: Scope, send: Send) -> Send:
        """Return what sends as `send` does, with the id in the answer."""

        async def answer(message: Message) -> None:
            await send(self.echo(scope, message) if message["type"] in _ANSWERS else message)

        return answer

    def _context(self, headers: Iterable[tuple[bytes, bytes]]) -> RequestContext:
        own = self._header
        sent = traceparent = None
        for name, value in headers:
            # Two of one header is how a proxy's value is smuggled past: then neither counts.
            if name == own:
                sent = value if sent is None else b""
            elif name == b"traceparent":
                traceparent = value if traceparent is None else b""
        context = make(sent if self._trust else None, traceparent)
        if not context.parent_id:
            return context
        state = b""
        for name, value in headers:
            if name == b"tracestate":  # which may come in parts
                state = b"%b,%b" % (state, value) if state else value
        return with_state(context, state) if state else context
