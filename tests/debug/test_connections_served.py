"""`/debug/connections` beside an application that is served: what is in flight, uvicorn's counters, found pools."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import anyio.to_thread
import httpx
import pytest
import sqlalchemy
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.testclient import TestClient
from starlette.websockets import WebSocket
from websockets.sync.client import connect

import profkit
from profkit.asgi import ProfilingMiddleware
from profkit.debug import DebugContext, DiagnosticEndpoints, TokenAuth
from profkit.debug.servers import MAX_ROUTES, server_report
from profkit.live_requests import LiveRequest
from profkit.masking import masker

Headers = Callable[..., dict[str, str]]


@pytest.fixture
def shop(
    token_auth: TokenAuth, live_profiler: profkit.PerformanceProfiler
) -> Iterator[tuple[Any, threading.Event]]:
    """An application with a slow route, a pool in its state, and the debug routes; and what lets the slow one end."""
    released = threading.Event()

    def slow(request: Request) -> Response:
        released.wait(10)
        return PlainTextResponse("ok")

    async def fast(request: Request) -> Response:
        return PlainTextResponse("ok")

    async def chat(socket: WebSocket) -> None:
        await socket.accept()
        async for text in socket.iter_text():
            await socket.send_text(text)

    debug = DiagnosticEndpoints(auth=token_auth, profiler=live_profiler)
    routes = [
        Route("/slow/{id}", slow),
        Route("/fast", fast),
        WebSocketRoute("/chat/{room}", chat),
        Mount("/debug", debug),
    ]
    app = Starlette(routes=routes)
    app.state.orders = sqlalchemy.create_engine("sqlite:///none.db", pool_size=19, max_overflow=0)
    yield ProfilingMiddleware(app, live_profiler), released
    released.set()


def test_requests_in_flight_uvicorn_and_worker_threads(shop: Any, serve: Any, bearer: Headers) -> None:
    app, released = shop
    with serve(app) as client:
        assert client.get("/fast").text == "ok"
        url = str(client.base_url)
        calls = [
            threading.Thread(
                target=httpx.get, args=(f"{url}/slow/{n}",), kwargs={"trust_env": False, "timeout": 20}
            )
            for n in range(2)
        ]
        for call in calls:
            call.start()
        give_up = time.monotonic() + 10
        found: dict[str, Any] = {}
        while time.monotonic() < give_up:
            found = client.get("/debug/connections", headers=bearer()).json()
            if found["server"]["requests"]["total"] == 3 and found["pool_search"]:
                break
        released.set()
        for call in calls:
            call.join()
    routes = {one["name"]: one for one in found["server"]["requests"]["routes"]}
    assert routes["GET /slow/{id}"]["count"] == 2
    assert 0 < routes["GET /slow/{id}"]["oldest"] < 20
    assert found["server"]["websockets"] == {"total": 0, "routes": [], "routes_left_out": 0}
    port = url.rpartition(":")[2].rstrip("/")
    [server] = [one for one in found["server"]["uvicorn"] if f"127.0.0.1:{port}" in one["addresses"]]
    assert (server["profkit"], server["stopping"], server["source"]) == (False, False, "private")
    assert server["connections"] >= 3
    assert server["tasks"] >= 3
    assert server["total_requests"] >= 1
    pools = {one["name"]: one for one in found["pools"]}
    assert pools["app.state.orders"]["limit"] == 19
    limiter = pools["anyio.to_thread"]
    assert (limiter["in_use"], limiter["limit"], limiter["found"]) == (2, 40, "by type")
    assert found["pool_search"]["objects"] > 0


def test_the_server_of_profkit_is_named(token: str, token_auth: TokenAuth) -> None:
    with profkit.debug.serve(auth=token_auth) as server:
        headers = {"Authorization": f"Bearer {token}"}
        found = httpx.get(f"{server.url}connections", headers=headers, trust_env=False, timeout=20).json()
    [own] = [one for one in found["server"]["uvicorn"] if one["profkit"]]
    assert own["addresses"] == [f"127.0.0.1:{server.port}"]
    assert own["connections"] == 1
    assert "anyio.to_thread" not in [one["name"] for one in found["pools"]]


def test_a_server_that_has_ended_is_not_shown(token: str, token_auth: TokenAuth) -> None:
    headers = {"Authorization": f"Bearer {token}"}
    with profkit.debug.serve(auth=token_auth) as ended:
        httpx.get(ended.url, headers=headers, trust_env=False, timeout=20)
    with profkit.debug.serve(auth=token_auth) as server:
        found = httpx.get(f"{server.url}connections", headers=headers, trust_env=False, timeout=20).json()
    shown = [address for one in found["server"]["uvicorn"] for address in one["addresses"]]
    assert f"127.0.0.1:{server.port}" in shown
    assert f"127.0.0.1:{ended.port}" not in shown
    assert all(one["addresses"] for one in found["server"]["uvicorn"])


def test_the_search_can_be_turned_off(token_auth: TokenAuth, bearer: Headers) -> None:
    client = TestClient(DiagnosticEndpoints(auth=token_auth, find_pools=False))
    found = client.get("/connections", headers=bearer()).json()
    assert (found["pools"], found["pool_search"]) == ([], None)


def test_without_http_the_loop_that_asks_tells_its_limiter() -> None:
    async def main() -> list[str]:
        assert anyio.to_thread.current_default_thread_limiter().total_tokens == 40
        return [one["name"] for one in DebugContext().connections()["pools"]]

    assert "anyio.to_thread" in asyncio.run(main())
    assert "anyio.to_thread" not in [one["name"] for one in DebugContext().connections()["pools"]]


def test_routes_in_flight_are_bounded_and_masked(monkeypatch: pytest.MonkeyPatch) -> None:
    live = [LiveRequest("http", f"GET /{n}", 1.0) for n in range(MAX_ROUTES + 5)]
    live.append(LiveRequest("websocket", "WEBSOCKET /?token=hunter2hunter2", 2.0))
    monkeypatch.setattr("profkit.debug.servers.live_requests", lambda: live)
    found = server_report([], masker=masker)
    assert found["requests"]["total"] == MAX_ROUTES + 5
    assert (len(found["requests"]["routes"]), found["requests"]["routes_left_out"]) == (MAX_ROUTES, 5)
    [socket] = found["websockets"]["routes"]
    assert socket == {"name": "WEBSOCKET /?token=***", "count": 1, "oldest": 2.0}


def test_websockets_in_flight(shop: Any, serve: Any, bearer: Headers) -> None:
    app, _ = shop
    with serve(app) as client:
        address = str(client.base_url).replace("http:", "ws:").rstrip("/")
        with (
            connect(f"{address}/chat/7", proxy=None) as first,
            connect(f"{address}/chat/8", proxy=None) as second,
        ):
            for one in (first, second):
                one.send("hello")
                assert one.recv() == "hello"
            found = client.get("/debug/connections", headers=bearer()).json()["server"]
        assert found["websockets"]["total"] == 2
        [route] = found["websockets"]["routes"]
        assert (route["name"], route["count"]) == ("WEBSOCKET /chat/{room}", 2)
