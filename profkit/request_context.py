"""Which request is being worked on: its id and its place in a W3C trace, taken from its headers or made."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from contextvars import ContextVar, Token
from typing import Any, NamedTuple, cast

from profkit_storage import ConfigurationError

KEY = "profkit.request"
"""Under this key an ASGI scope or a WSGI environ holds the `RequestContext`, so that two trackers make one id."""

REQUEST_ID_HEADER = "X-Request-ID"
HEADER_NAME = re.compile(r"[A-Za-z0-9!#$%&'*+.^_`|~-]{1,64}")
_SAFE_ID = re.compile(rb"[A-Za-z0-9][A-Za-z0-9._:/+=@-]{0,127}")
_TRACEPARENT = re.compile(rb"(?!ff)[0-9a-f]{2}-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})")
_TRACESTATE = re.compile(rb"[\x20-\x7e]{1,512}")


class RequestContext(NamedTuple):
    """One request. `trace_id` is 32 and `span_id` 16 hexadecimal digits; `parent_id` is the caller's span, if any.

    `trace_state` is what tracing systems before this service say of the trace, to be passed on as it is.
    """

    request_id: str = ""
    trace_id: str = ""
    span_id: str = ""
    parent_id: str = ""
    trace_flags: str = "00"
    trace_state: str = ""

    @property
    def traceparent(self) -> str:
        """The header that carries this trace on to another service."""
        return f"00-{self.trace_id}-{self.span_id}-{self.trace_flags}"


new = cast("Callable[[type[RequestContext], tuple[str, ...]], RequestContext]", cast("Any", tuple).__new__)
request_context: ContextVar[RequestContext | None] = ContextVar("profkit_request", default=None)


def current() -> RequestContext | None:
    """Return the request that the running thread or task works on, or None."""
    return request_context.get()


def end(token: Token[RequestContext | None]) -> None:
    """Forget the request that was begun by setting `request_context`."""
    try:
        request_context.reset(token)
    except ValueError:  # a server that ends the request in another context than it began in
        pass


def make(sent: bytes | None, traceparent: bytes | None) -> RequestContext:
    """Return the context of a request by its headers: the id that was sent, if it is a safe one, and its trace.

    What is missing or not to be trusted is made anew.
    """
    random = os.urandom(40).hex()
    if sent is not None and _SAFE_ID.fullmatch(sent):
        request_id = sent.decode("ascii")
    else:  # a UUID of version 4; a third of what `uuid.uuid4` costs
        request_id = f"{random[48:56]}-{random[56:60]}-4{random[61:64]}-a{random[65:68]}-{random[68:]}"
    trace = None if traceparent is None else parse_traceparent(traceparent)
    trace_id, parent_id, flags = trace or (random[:32], "", "00")
    # As the class is called, a function less: of every request.
    return new(RequestContext, (request_id, trace_id, random[32:48], parent_id, flags, ""))


def with_state(context: RequestContext, tracestate: bytes) -> RequestContext:
    """Return the context with the `tracestate` that came with its `traceparent`, if it is one that may be passed on."""
    if _TRACESTATE.fullmatch(tracestate):
        return context._replace(trace_state=tracestate.decode("ascii"))
    return context


def parse_traceparent(header: bytes) -> tuple[str, str, str] | None:
    """Return (trace id, parent span id, flags) of a W3C `traceparent`, None if it is not to be trusted.

    By the rules of w3.org/TR/trace-context: lower case only, no zero ids, version 00 has nothing behind the flags,
    a later version may have more after another dash, version ff never is.
    """
    found = _TRACEPARENT.match(header)
    if found is None:
        return None
    rest = header[found.end() :]
    # A comma is where a server has made one of two.
    if rest and (header.startswith(b"00") or not rest.startswith(b"-") or b"," in rest):
        return None
    trace_id, parent_id, flags = found.groups()
    # Only the flag this version knows (sampled) is passed on.
    return trace_id.decode(), parent_id.decode(), f"{int(flags, 16) & 1:02x}"


def check_header(name: str) -> str:
    """Return the name of a header.

    Raises:
        ConfigurationError: it is none.
    """
    if not HEADER_NAME.fullmatch(name):
        raise ConfigurationError(f"header={name!r} is not allowed: give the name of an HTTP header")
    return name
