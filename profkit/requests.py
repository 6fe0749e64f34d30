"""Which request is being worked on: its id and its place in a W3C trace, for answers, log records and profiles."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterable
from contextvars import ContextVar, Token
from typing import NamedTuple

from profkit.asgi_types import ASGIApp, Message, Receive, Scope, Send
from profkit_storage import ConfigurationError

SCOPE_KEY = "profkit.request"
"""Under this key the ASGI scope holds the `RequestContext`, so that two trackers do not make two ids."""

_SAFE_ID = re.compile(rb"[A-Za-z0-9][A-Za-z0-9._:/+=@-]{0,127}")
HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,64}")
_TRACEPARENT = re.compile(rb"(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})")
_ANSWERS = frozenset({"http.response.start", "websocket.accept", "websocket.http.response.start"})


class RequestContext(NamedTuple):
    """One request. `trace_id` is 32 and `span_id` 16 hexadecimal digits; `parent_id` is the caller's span, if any."""

    request_id: str = ""
    trace_id: str = ""
    span_id: str = ""
    parent_id: str = ""
    trace_flags: str = "00"

    @property
    def traceparent(self) -> str:
        """The header that carries this trace on to another service."""
        return f"00-{self.trace_id}-{self.span_id}-{self.trace_flags}"


request_context: ContextVar[RequestContext | None] = ContextVar("profkit_request", default=None)


def current() -> RequestContext | None:
    """Return the request that the running thread or task works on, or None."""
    return request_context.get()


def parse_traceparent(header: bytes) -> tuple[str, str, str] | None:
    """Return (trace id, parent span id, flags) of a W3C `traceparent`, None if it is not to be trusted.

    By the rules of w3.org/TR/trace-context: lower case only, no zero ids, version 00 has nothing behind the flags,
    a later version may have more after another dash, version ff never is.
    """
    found = _TRACEPARENT.match(header)
    if found is None:
        return None
    rest = header[found.end() :]
    if rest and (header.startswith(b"00") or not rest.startswith(b"-")):
        return None
    trace_id, parent_id, flags = found.groups()
    # Only the flag this version knows (sampled) is passed on.
    return trace_id.decode(), parent_id.decode(), f"{int(flags, 16) & 1:02x}"


class RequestTracker:
    """ASGI middleware that gives every request an id and a place in its trace. Needs no profiler.

    Put it around the whole application, `app = RequestTracker(app)`: inside Starlette's `add_middleware` the answer to
    an unhandled exception comes from further out, and is without the id.

    An id that the caller sends is taken if it is one header of at most 128 letters, digits and `._:/+=@-`, else a new
    one is made; a `traceparent` is taken if it is a valid one. Both are in `current()` while the request lasts; the id
    is on the answer too, and on log records through `RequestIdFilter`.

    Args:
        app: the ASGI application.
        header: the name of the header the id comes in and goes out by.
        trust: whether an id that the caller sends is taken. The trace is, in either case.
    """

    def __init__(self, app: ASGIApp, *, header: str = "X-Request-ID", trust: bool = True) -> None:
        if not HEADER_NAME.fullmatch(header):
            raise ConfigurationError(f"header={header!r} is not allowed: give the name of an HTTP header")
        self.app = app
        self._header = header.lower().encode("ascii")
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
        sent = traceparent = None
        for name, value in headers:
            # Two of one header is how a proxy's value is smuggled past: then neither counts.
            if name == self._header:
                sent = value if sent is None else b""
            elif name == b"traceparent":
                traceparent = value if traceparent is None else b""
        random = os.urandom(40).hex()
        if sent is not None and self._trust and _SAFE_ID.fullmatch(sent):
            request_id = sent.decode("ascii")
        else:
            request_id = _uuid4(random[48:])
        trace = None if traceparent is None else parse_traceparent(traceparent)
        if trace is None:
            return RequestContext(request_id, random[:32], random[32:48])
        return RequestContext(request_id, trace[0], random[32:48], trace[1], trace[2])


def end(token: Token[RequestContext | None]) -> None:
    """Forget the request that `RequestTracker.begin` began."""
    try:
        request_context.reset(token)
    except ValueError:  # a server that ends the request in another context than it began in
        pass


def _uuid4(random: str) -> str:
    """Return a UUID of version 4 from 32 random hexadecimal digits; a third of what `uuid.uuid4` costs."""
    return f"{random[:8]}-{random[8:12]}-4{random[13:16]}-a{random[17:20]}-{random[20:]}"


class RequestIdFilter(logging.Filter):
    """Adds `request_id` and `trace_id` to every log record, "-" outside a request. Drops no record.

    Add it to handlers (a logger's filter does not see its children's records), then use `%(request_id)s`.
    """

    def filter(self, record: logging.LogRecord) -> bool:
        """Set the attributes, unless the record has its own."""
        context = request_context.get()
        if not hasattr(record, "request_id"):
            record.request_id = context.request_id if context else "-"
        if not hasattr(record, "trace_id"):
            record.trace_id = context.trace_id if context else "-"
        return True


def install_request_ids(logger: logging.Logger | None = None) -> int:
    """Add a `RequestIdFilter` to each handler of `logger` (the root logger by default) that has none.

    Returns how many handlers have one now; call it after logging is set up, since 0 means that nothing will happen.
    """
    handlers = (logger or logging.getLogger()).handlers
    for handler in handlers:
        if not any(isinstance(one, RequestIdFilter) for one in handler.filters):
            handler.addFilter(RequestIdFilter())
    return len(handlers)
