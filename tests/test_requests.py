"""Request ids and traces: what is taken from a caller, what is made, and where it shows."""

from __future__ import annotations

import asyncio
import uuid
from typing import Any

import pytest

from profkit.requests import (
    RequestContext,
    RequestTracker,
    current,
    parse_traceparent,
)
from profkit_storage import ConfigurationError

TRACE = "0af7651916cd43dd8448eb211c80319c"
PARENT = "b7ad6b7169203331"


def ask(
    app: Any, headers: list[tuple[bytes, bytes]], kind: str = "http"
) -> tuple[RequestContext | None, list[tuple[bytes, bytes]]]:
    """Send one request through `app`; return what it saw in the context and the headers of its answer."""
    answers: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Any) -> None:
        answers.append(dict(message))

    async def run() -> None:
        await app({"type": kind, "headers": headers}, receive, send)
        assert current() is None

    asyncio.run(run())
    return app.seen[-1], answers[0]["headers"]


class Recording(RequestTracker):
    """A tracker around an application that notes its context and answers with `headers`."""

    def __init__(self, headers: list[tuple[bytes, bytes]] | None = None, **options: Any) -> None:
        self.seen: list[RequestContext | None] = []
        own = headers or []

        async def app(scope: Any, _receive: Any, send: Any) -> None:
            self.seen.append(current())
            start = "http.response.start" if scope["type"] == "http" else "websocket.accept"
            await send({"type": start, "status": 200, "headers": own})

        super().__init__(app, **options)


@pytest.mark.parametrize(
    "sent", ["a", "req-1", "0c4d7d72-7c4b-4f2e-9d57-1a41c9b4bb9e", "A" * 128, "a/b=c+d@e:f.g_h"]
)
def test_a_safe_id_is_taken_and_echoed(sent: str) -> None:
    context, headers = ask(Recording(), [(b"x-request-id", sent.encode())])
    assert context is not None
    assert context.request_id == sent
    assert (b"x-request-id", sent.encode()) in headers


@pytest.mark.parametrize(
    "sent",
    [b"", b" a", b"a b", b"a\r\nSet-Cookie: x", b"<script>", b"A" * 129, b"-a", b"\xff", b"a\x00", b"%0d"],
)
def test_an_unsafe_id_is_replaced(sent: bytes) -> None:
    context, headers = ask(Recording(), [(b"x-request-id", sent)])
    assert context is not None
    assert context.request_id.encode() != sent
    assert len(context.request_id) == 36
    assert (b"x-request-id", context.request_id.encode()) in headers


def test_two_ids_are_none() -> None:
    context, _ = ask(Recording(), [(b"x-request-id", b"one"), (b"x-request-id", b"two")])
    assert context is not None
    assert context.request_id not in {"one", "two"}


def test_an_untrusted_caller_chooses_no_id() -> None:
    context, _ = ask(Recording(trust=False), [(b"x-request-id", b"mine")])
    assert context is not None
    assert context.request_id != "mine"


def test_the_header_can_be_named() -> None:
    context, headers = ask(Recording(header="X-Correlation-ID"), [(b"x-correlation-id", b"abc")])
    assert context is not None
    assert context.request_id == "abc"
    assert headers == [(b"x-correlation-id", b"abc")]


@pytest.mark.parametrize("name", ["", "a b", "a:b", "a\r\nb", "é", "x" * 65])
def test_a_header_that_is_no_header_is_refused(name: str) -> None:
    with pytest.raises(ConfigurationError, match="header="):
        RequestTracker(lambda *_: None, header=name)  # type: ignore[arg-type,return-value]


def test_every_request_gets_its_own_ids() -> None:
    app = Recording()
    contexts = [ask(app, [])[0] for _ in range(50)]
    assert len({c.request_id for c in contexts if c}) == 50
    assert {uuid.UUID(c.request_id).version for c in contexts if c} == {4}
    assert len({c.trace_id for c in contexts if c}) == 50


def test_an_answer_that_is_sent_twice_does_not_gather_ids() -> None:
    shared = [(b"content-type", b"text/plain"), (b"X-Request-ID", b"stale")]
    app = Recording(shared)
    first = ask(app, [(b"x-request-id", b"first")])[1]
    second = ask(app, [(b"x-request-id", b"second")])[1]
    assert [v for n, v in first if n.lower() == b"x-request-id"] == [b"first"]
    assert [v for n, v in second if n.lower() == b"x-request-id"] == [b"second"]
    assert shared[1] == (b"X-Request-ID", b"stale")


def test_a_websocket_has_an_id_too() -> None:
    context, headers = ask(Recording(), [], kind="websocket")
    assert context is not None
    assert (b"x-request-id", context.request_id.encode()) in headers


def test_a_tracker_inside_another_keeps_its_id() -> None:
    inner = Recording()
    outer = RequestTracker(inner)
    outer.seen = inner.seen  # type: ignore[attr-defined]
    context, headers = ask(outer, [])
    assert context is not None
    assert headers == [(b"x-request-id", context.request_id.encode())]


def test_a_traceparent_is_carried_on() -> None:
    context, _ = ask(Recording(), [(b"traceparent", f"00-{TRACE}-{PARENT}-01".encode())])
    assert context is not None
    assert (context.trace_id, context.parent_id) == (TRACE, PARENT)
    assert context.span_id not in {PARENT, ""}
    assert len(context.span_id) == 16
    assert context.traceparent == f"00-{TRACE}-{context.span_id}-01"


def test_without_a_traceparent_a_valid_trace_begins() -> None:
    context, _ = ask(Recording(), [])
    assert context is not None
    assert context.parent_id == ""
    assert parse_traceparent(context.traceparent.encode()) == (context.trace_id, context.span_id, "00")


@pytest.mark.parametrize(
    ("header", "valid"),
    [
        (f"00-{TRACE}-{PARENT}-01", True),
        (f"00-{TRACE}-{PARENT}-00", True),
        (f"cc-{TRACE}-{PARENT}-01", True),
        (f"cc-{TRACE}-{PARENT}-01-what-comes-later", True),
        (f"cc-{TRACE}-{PARENT}-01.what", False),
        (f"00-{TRACE}-{PARENT}-01-", False),
        (f"ff-{TRACE}-{PARENT}-01", False),
        (f"00-{TRACE.upper()}-{PARENT}-01", False),
        (f"00-{'0' * 32}-{PARENT}-01", False),
        (f"00-{TRACE}-{'0' * 16}-01", False),
        (f"00-{TRACE}-{PARENT}-1", False),
        (f"00-{TRACE}-{PARENT}", False),
        (f"0-{TRACE}-{PARENT}-01", False),
        (f" 00-{TRACE}-{PARENT}-01", False),
        (f"00_{TRACE}_{PARENT}_01", False),
        ("", False),
    ],
)
def test_traceparent_is_parsed_strictly(header: str, valid: bool) -> None:
    assert (parse_traceparent(header.encode()) is not None) is valid


def test_concurrent_requests_do_not_mix() -> None:
    seen: dict[str, str] = {}

    async def main() -> None:
        everyone = asyncio.Barrier(20)

        async def app(scope: Any, _receive: Any, _send: Any) -> None:
            await everyone.wait()
            context = current()
            assert context is not None
            seen[scope["sent"]] = context.request_id

        tracker = RequestTracker(app)

        async def one(number: int) -> None:
            name = f"r{number}"
            scope = {"type": "http", "sent": name, "headers": [(b"x-request-id", name.encode())]}
            await tracker(scope, None, None)  # type: ignore[arg-type]

        await asyncio.gather(*(one(number) for number in range(20)))

    asyncio.run(main())
    assert seen == {name: name for name in seen}
    assert len(seen) == 20
