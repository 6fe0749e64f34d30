"""Outgoing calls: what real clients send to a real server for a request, and what they never send."""

from __future__ import annotations

import asyncio
import copy
import pickle
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import aiohttp
import httpx
import httpx2
import pytest
import requests
from requests.auth import HTTPDigestAuth

from profkit.outgoing import aiohttp_trace, request_headers, trace_httpx, trace_requests, urllib_handler
from profkit.request_context import RequestContext, end, parse_traceparent, request_context
from profkit_storage import ConfigurationError

CONTEXT = RequestContext(
    "req-7", "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331", "1" * 16, "01", "a=1"
)
ADDED = {
    "x-request-id": "req-7",
    "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    "tracestate": "a=1",
}
Headers = dict[str, str]


class Recorder(BaseHTTPRequestHandler):
    """Notes the headers of each call. `/to?URL` redirects there, `/digest` asks for a password first."""

    seen: list[tuple[str, Headers]]

    def do_GET(self) -> None:
        names = [name.lower() for name in self.headers]
        assert len(names) == len(set(names)), "no header comes twice"
        self.seen.append((self.path, {name.lower(): value for name, value in self.headers.items()}))
        path, _, query = self.path.partition("?")
        if path == "/to":
            self.answer(302, Location=query)
        elif path == "/digest" and "Authorization" not in self.headers:
            self.answer(401, **{"WWW-Authenticate": 'Digest realm="r", nonce="n", qop="auth"'})
        else:
            self.answer(200)

    def answer(self, status: int, **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        pass


class Server(ThreadingHTTPServer):
    daemon_threads = True
    seen: list[tuple[str, Headers]]

    def url(self, path: str = "/", host: str = "127.0.0.1") -> str:
        return f"http://{host}:{self.server_port}{path}"

    @property
    def added(self) -> list[Headers]:
        """What each call carried of the headers in question."""
        names = (*ADDED, "x-correlation-id")
        return [{name: headers[name] for name in names if name in headers} for _, headers in self.seen]


@pytest.fixture
def server() -> Iterator[Server]:
    seen: list[tuple[str, Headers]] = []
    server = Server(("127.0.0.1", 0), type("Handler", (Recorder,), {"seen": seen}))
    server.seen = seen
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    thread.join(10)
    server.server_close()


@pytest.fixture
def request_in_hand() -> Iterator[None]:
    token = request_context.set(CONTEXT)
    yield
    end(token)


# Each calls one URL by a client of its own library.


def by_httpx(url: str, headers: Headers | None = None, library: Any = httpx, **options: Any) -> None:
    with trace_httpx(library.Client(follow_redirects=True, trust_env=False), **options) as client:
        client.get(url, headers=headers).raise_for_status()


def by_httpx2(url: str, headers: Headers | None = None, **options: Any) -> None:
    by_httpx(url, headers, httpx2, **options)


def by_async_httpx(url: str, headers: Headers | None = None, library: Any = httpx, **options: Any) -> None:
    async def main() -> None:
        async with trace_httpx(
            library.AsyncClient(follow_redirects=True, trust_env=False), **options
        ) as client:
            (await client.get(url, headers=headers)).raise_for_status()

    asyncio.run(main())


def by_async_httpx2(url: str, headers: Headers | None = None, **options: Any) -> None:
    by_async_httpx(url, headers, httpx2, **options)


def by_requests(url: str, headers: Headers | None = None, **options: Any) -> None:
    session = requests.Session()
    session.trust_env = False
    with trace_requests(session, **options) as traced:
        traced.get(url, headers=headers, timeout=10).raise_for_status()


def by_aiohttp(url: str, headers: Headers | None = None, **options: Any) -> None:
    async def main() -> None:
        async with (
            aiohttp.ClientSession(trace_configs=[aiohttp_trace(**options)]) as session,
            session.get(url, headers=headers) as answer,
        ):
            answer.raise_for_status()

    asyncio.run(main())


def by_urllib(url: str, headers: Headers | None = None, **options: Any) -> None:
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}), urllib_handler(**options))
    with opener.open(urllib.request.Request(url, headers=headers or {}), timeout=10) as answer:
        assert answer.status == 200


CLIENTS = [by_httpx, by_httpx2, by_async_httpx, by_async_httpx2, by_requests, by_aiohttp, by_urllib]
Call = Callable[..., None]
each_client = pytest.mark.parametrize("call", CLIENTS, ids=lambda call: call.__name__)


@each_client
def test_a_call_carries_the_request_on(call: Call, server: Server, request_in_hand: None) -> None:
    call(server.url(), hosts=["127.0.0.1"])
    assert server.added == [ADDED]
    assert parse_traceparent(server.added[0]["traceparent"].encode()) == (
        CONTEXT.trace_id, CONTEXT.span_id, "01",
    )  # fmt: skip


@each_client
def test_outside_of_a_request_nothing_is_carried(call: Call, server: Server) -> None:
    call(server.url(), hosts="*")
    assert server.added == [{}]


@each_client
def test_other_hosts_are_told_nothing(call: Call, server: Server, request_in_hand: None) -> None:
    call(server.url(), hosts=["localhost", "*.0.0.1.example", "27.0.0.1"])
    assert server.added == [{}]


@each_client
def test_the_applications_own_headers_stay(call: Call, server: Server, request_in_hand: None) -> None:
    call(server.url(), {"x-request-id": "mine"}, hosts="*")
    call(server.url(), {"Traceparent": "00-" + "2" * 32 + "-" + "3" * 16 + "-00"}, hosts="*")
    mine = {"x-request-id": "req-7", "traceparent": "00-" + "2" * 32 + "-" + "3" * 16 + "-00"}
    assert server.added == [{**ADDED, "x-request-id": "mine"}, mine]


@each_client
def test_the_header_of_the_id_can_be_named(call: Call, server: Server, request_in_hand: None) -> None:
    call(server.url(), hosts="*", header="X-Correlation-ID")
    assert server.added[0] == {
        "x-correlation-id": "req-7", "traceparent": ADDED["traceparent"], "tracestate": "a=1",
    }  # fmt: skip


@each_client
def test_a_redirect_to_elsewhere_is_told_nothing(call: Call, server: Server, request_in_hand: None) -> None:
    call(server.url(f"/to?{server.url('/', 'localhost')}"), hosts=["127.0.0.1"])
    assert [path for path, _ in server.seen][1:] == ["/"]
    assert server.added == [ADDED, {}]


@each_client
@pytest.mark.parametrize("target", ["/there", "//127.0.0.1:{port}/there", "http://127.0.0.1:{port}/there"])
def test_a_redirect_within_is_told(call: Call, server: Server, request_in_hand: None, target: str) -> None:
    call(
        server.url(f"/to?{target.format(port=server.server_port)}", "localhost"),
        hosts=["127.0.0.1", "localhost"],
    )
    assert [path for path, _ in server.seen][1:] == ["/there"]
    assert server.added == [ADDED, ADDED]


@each_client
def test_a_redirect_from_elsewhere_is_told_again(call: Call, server: Server, request_in_hand: None) -> None:
    call(server.url(f"/to?{server.url('/', '127.0.0.1')}", "localhost"), hosts=["127.0.0.1"])
    assert server.added == [{}, ADDED]


@each_client
def test_a_redirect_keeps_what_the_application_set(call: Call, server: Server, request_in_hand: None) -> None:
    call(server.url("/to?/there"), {"X-Request-ID": "mine"}, hosts="*")
    assert [one["x-request-id"] for one in server.added] == ["mine", "mine"]


def test_one_client_serves_many_requests(server: Server) -> None:
    """Concurrent tasks, one `AsyncClient`: each call has the id of the request it is made for."""

    async def main() -> None:
        async with trace_httpx(httpx.AsyncClient(trust_env=False), hosts="*") as client:

            async def one(number: int) -> None:
                request_context.set(CONTEXT._replace(request_id=f"r{number}"))
                await client.get(server.url(f"/r{number}"))

            await asyncio.gather(*(one(number) for number in range(10)))

    asyncio.run(main())
    assert sorted(path for path, _ in server.seen) == [f"/r{number}" for number in range(10)]
    assert all(path == f"/{headers['x-request-id']}" for path, headers in server.seen)


def test_a_request_that_is_sent_again_has_the_id_of_its_time(server: Server) -> None:
    with trace_httpx(httpx.Client(trust_env=False), hosts="*") as client:
        call = client.build_request("GET", server.url())
        for name in ("first", "second"):
            token = request_context.set(CONTEXT._replace(request_id=name))
            client.send(call)
            end(token)
        client.send(call)
    assert [one.get("x-request-id") for one in server.added] == ["first", "second", None]


def test_what_answers_a_challenge_is_told_too(server: Server, request_in_hand: None) -> None:
    with trace_requests(requests.Session(), hosts="*") as session:
        session.trust_env = False
        assert (
            session.get(server.url("/digest"), auth=HTTPDigestAuth("u", "p"), timeout=10).status_code == 200
        )
    with trace_httpx(httpx.Client(trust_env=False), hosts="*") as client:
        assert client.get(server.url("/digest"), auth=httpx.DigestAuth("u", "p")).status_code == 200
    assert server.added == [ADDED] * 4


def test_a_session_stays_what_it_is() -> None:
    session = requests.Session()
    plain = session.get_adapter("https://example.org")
    assert trace_requests(session, hosts="*") is session
    adapter: Any = session.get_adapter("https://example.org")
    assert adapter.poolmanager is plain.poolmanager
    assert list(session.adapters) == ["https://", "http://"]
    again: Any = pickle.loads(pickle.dumps(session)).get_adapter("https://example.org")
    assert again.max_retries.total == plain.max_retries.total
    assert copy.copy(adapter).poolmanager is plain.poolmanager
    with pytest.raises(AttributeError):
        _ = adapter.no_such_thing
    session.close()


def test_the_users_own_hooks_stay(server: Server, request_in_hand: None) -> None:
    def own(request: httpx.Request) -> None:
        request.headers["X-Request-ID"] = "mine"

    client = httpx.Client(event_hooks={"request": [own]}, trust_env=False)
    with trace_httpx(client, hosts="*"):
        client.get(server.url())
    assert server.added == [{**ADDED, "x-request-id": "mine"}]


@pytest.mark.parametrize(
    ("pattern", "host", "sent"),
    [
        ("example.org", "example.org", True),
        ("example.org", "EXAMPLE.org.", True),
        ("Example.ORG", "example.org", True),
        ("example.org", "api.example.org", False),
        ("example.org", "example.org.evil.net", False),
        ("example.org", "evilexample.org", False),
        ("*.example.org", "api.example.org", True),
        ("*.example.org", "a.b.example.org", True),
        ("*.example.org", "example.org", False),
        ("*.example.org", "evilexample.org", False),
        ("bücher.example", "xn--bcher-kva.example", True),
        ("10.0.0.1", "10.0.0.1", True),
        ("10.0.0.1", "10.0.0.10", False),
        ("[::1]", "[::1]", True),
        ("0:0::1", "[::1]", True),
        ("::1", "[::2]", False),
        ("*", "anything.example", True),
        ("db_1", "db_1", True),
    ],
)
def test_hosts_are_compared_whole(pattern: str, host: str, sent: bool, request_in_hand: None) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        assert ("x-request-id" in request.headers) is sent
        return httpx.Response(200)

    client = httpx.Client(transport=httpx.MockTransport(answer))
    assert trace_httpx(client, hosts=[pattern]).get(f"http://{host}:8000/").status_code == 200


@pytest.mark.parametrize(
    "hosts",
    [
        [],
        [""],
        ["http://a"],
        ["a/b"],
        ["a:80"],
        ["a b"],
        ["*a"],
        ["a.*"],
        ["*.*"],
        ["."],
        ["a", None],
        [b"a"],
        ["a" * 64 + "é"],
    ],
)
def test_hosts_that_are_none_are_refused(hosts: Any) -> None:
    for make in (aiohttp_trace, urllib_handler):
        with pytest.raises(ConfigurationError, match="hosts"):
            make(hosts=hosts)
    with pytest.raises(ConfigurationError, match="hosts"):
        trace_httpx(httpx.Client(), hosts=hosts)


def test_what_is_no_client_or_header_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="Session is no httpx client"):
        trace_httpx(requests.Session(), hosts="*")
    with pytest.raises(ConfigurationError, match=r"Client is no requests.Session"):
        trace_requests(httpx.Client(), hosts="*")
    with pytest.raises(ConfigurationError, match="header="):
        urllib_handler(hosts="*", header="a b")


def test_headers_for_any_other_client(request_in_hand: None) -> None:
    assert request_headers() == {
        "X-Request-ID": "req-7", "traceparent": ADDED["traceparent"], "tracestate": "a=1",
    }  # fmt: skip
    assert request_headers("X-ID")["X-ID"] == "req-7"
    request_context.set(None)
    assert request_headers() == {}


def test_no_client_library_is_needed() -> None:
    code = (
        "import sys, profkit.outgoing; profkit.outgoing.urllib_handler(hosts='*');"
        "assert not {'httpx', 'requests', 'aiohttp', 'yarl'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_two_hooks_see_to_their_own_hosts(request_in_hand: None) -> None:
    carried: list[bool] = []

    def answer(request: httpx.Request) -> httpx.Response:
        carried.append("x-request-id" in request.headers)
        return httpx.Response(200)

    client = httpx.Client(transport=httpx.MockTransport(answer))
    trace_httpx(trace_httpx(client, hosts=["a.internal"]), hosts=["b.internal"])
    for host in ("a.internal", "b.internal", "c.internal"):
        client.get(f"http://{host}/")
    assert carried == [True, True, False]
