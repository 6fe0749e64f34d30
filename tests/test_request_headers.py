"""Headers as an attacker sends them: whatever comes, what goes on is safe, by ASGI and by WSGI alike."""

from __future__ import annotations

import re
from collections.abc import Iterable
from contextlib import suppress
from typing import Any
from wsgiref.util import setup_testing_defaults

from hypothesis import example, given, settings
from hypothesis import strategies as st

from profkit.request_context import RequestContext, current, parse_traceparent
from profkit.requests import RequestTracker
from profkit.wsgi import RequestTracker as WSGIRequestTracker

TRACE = "0af7651916cd43dd8448eb211c80319c"
VALID = f"00-{TRACE}-b7ad6b7169203331-01".encode()
SAFE_ID = re.compile(r"[A-Za-z0-9._:/+=@-]{1,128}")
HEX = "0123456789abcdef"

anything = st.binary(max_size=200) | st.text(max_size=140).map(str.encode) | st.just(VALID)
nearly = st.builds(
    lambda version, trace, parent, flags, rest: f"{version}-{trace}-{parent}-{flags}{rest}".encode(),
    st.text(HEX + "F", min_size=2, max_size=2) | st.sampled_from(["00", "ff", "cc"]),
    st.text(HEX + "F", min_size=31, max_size=33) | st.sampled_from([TRACE, "0" * 32]),
    st.text(HEX, min_size=16, max_size=16) | st.just("0" * 16),
    st.text(HEX, min_size=2, max_size=2),
    st.sampled_from(["", "-", "-more", ".", "\n", "\r\nX: y", ","]),
)


def by_asgi(headers: list[tuple[bytes, bytes]]) -> tuple[RequestContext | None, list[str]]:
    """Send a request; return its context in the application, and the ids in its answer."""
    seen: list[RequestContext | None] = []
    answers: list[Any] = []

    async def app(_scope: Any, _receive: Any, send: Any) -> None:
        seen.append(current())
        await send({"type": "http.response.start", "status": 200, "headers": []})

    async def send(message: Any) -> None:
        answers.append(message)

    with suppress(StopIteration):  # it waits for nothing, so there is nothing for a loop to do
        RequestTracker(app)({"type": "http", "headers": headers}, None, send).send(None)  # type: ignore[arg-type]
    return seen[0], [value.decode() for name, value in answers[0]["headers"] if name == b"x-request-id"]


def by_wsgi(headers: list[tuple[bytes, bytes]]) -> tuple[RequestContext | None, list[str]]:
    seen: list[RequestContext | None] = []
    answers: list[Any] = []
    environ: dict[str, Any] = {}
    setup_testing_defaults(environ)
    for name, value in headers:  # as servers do it
        key = f"HTTP_{name.decode().upper().replace('-', '_')}"
        text = value.decode("latin-1")
        environ[key] = f"{environ[key]},{text}" if key in environ else text

    def app(_environ: Any, start_response: Any) -> Iterable[bytes]:
        seen.append(current())
        start_response("200 OK", [])
        return []

    WSGIRequestTracker(app)(environ, lambda *args: answers.append(args))  # type: ignore[arg-type,return-value]
    return seen[0], [value for name, value in answers[0][1] if name == "X-Request-ID"]


def check(context: RequestContext | None, echoed: list[str]) -> RequestContext:
    assert context is not None
    assert echoed == [context.request_id]
    assert SAFE_ID.fullmatch(context.request_id)
    assert parse_traceparent(context.traceparent.encode()) is not None
    assert all(" " <= letter <= "~" for letter in context.trace_state)
    assert len(context.trace_state) <= 512
    return context


@settings(max_examples=150, deadline=None)
@given(
    st.lists(anything, max_size=2), st.lists(anything | nearly, max_size=2), st.lists(anything, max_size=2)
)
@example([b"a\r\nSet-Cookie: x"], [VALID + b"\r\nX: y"], [b"a=1\r\nX: y"])
@example([b"one", b"two"], [VALID, VALID], [b"a=1", b"b=2"])
@example([b"one", b""], [b"cc" + VALID[2:] + b"-more", VALID], [])
@example([b"one\n"], [VALID + b"\n"], [b"a=1"])
@example(["é".encode()], [VALID], ["é=1".encode()])
def test_what_is_taken_is_safe(ids: list[bytes], parents: list[bytes], states: list[bytes]) -> None:
    headers = [(b"x-request-id", value) for value in ids]
    headers += [(b"traceparent", value) for value in parents]
    headers += [(b"tracestate", value) for value in states]
    for context in (check(*by_asgi(headers)), check(*by_wsgi(headers))):
        if len(ids) == 1 and SAFE_ID.fullmatch(ids[0].decode("latin-1")) and ids[0][:1].isalnum():
            assert context.request_id == ids[0].decode()
        else:
            assert len(context.request_id) == 36
            assert context.request_id.encode() not in ids
        taken = len(parents) == 1 and parse_traceparent(parents[0]) is not None
        assert bool(context.parent_id) is taken
        if not taken:
            assert context.trace_state == ""


@settings(max_examples=300, deadline=None)
@given(nearly | anything)
def test_traceparent_is_parsed_as_the_standard_says(header: bytes) -> None:
    parts = header.decode("latin-1").split("-")
    hexadecimal = all(re.fullmatch("[0-9a-f]+", part) for part in parts[:4])
    valid = (
        len(parts) >= 4
        and hexadecimal
        and [len(part) for part in parts[:4]] == [2, 32, 16, 2]
        and parts[0] != "ff"
        and set(parts[1]) != {"0"}
        and set(parts[2]) != {"0"}
        and (len(parts) == 4 or parts[0] != "00")
        and b"," not in header
    )
    assert (parse_traceparent(header) is not None) is valid


def test_the_state_of_a_trace_is_carried_on() -> None:
    headers = [(b"traceparent", VALID), (b"tracestate", b"a=1,b=2"), (b"tracestate", b"c=3")]
    for context, _ in (by_asgi(headers), by_wsgi(headers)):
        assert context is not None
        assert context.trace_state == "a=1,b=2,c=3"
    for context, _ in (by_asgi(headers[1:]), by_wsgi(headers[1:])):
        assert context is not None
        assert context.trace_state == "", "without a parent it is nobody's"
