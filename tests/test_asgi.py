"""ProfilingMiddleware: what requests are called, what is kept of them, and that nothing is broken by it."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Callable, Generator, Iterator
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Host, Mount, Route, Router, WebSocketRoute
from starlette.testclient import TestClient
from starlette.websockets import WebSocket

from profkit import PerformanceProfiler, Settings
from profkit.asgi import ProfilingMiddleware
from profkit.live_requests import name_live_requests
from profkit.requests import RequestTracker, current
from profkit.route_names import RouteNames
from profkit_storage import ConfigurationError, Profile, Status
from profkit_storage.memory import MemoryStorage


@pytest.fixture
def kept() -> list[Profile]:
    return []


@pytest.fixture
def profiler(kept: list[Profile]) -> Iterator[PerformanceProfiler]:
    settings = Settings(storage=MemoryStorage(), service="t", threshold=0.0, on_profile=kept.append)
    profiler = PerformanceProfiler(settings)
    yield profiler
    assert profiler.shutdown(5)


def ok(request: Request) -> Response:
    return PlainTextResponse("ok")


async def fails(request: Request) -> Response:
    raise LookupError("the application's own")


async def chat(websocket: WebSocket) -> None:
    await websocket.accept()
    await websocket.send_text(await websocket.receive_text())
    await websocket.close()


async def foreign(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"foreign"})


users = Router([Route("/", ok), Route("/{id:int}", ok, methods=["GET", "PUT"]), Route("/{id:int}/x", ok)])
routes = [
    Route("/", ok),
    Route("/fail", fails),
    Route("/files/{rest:path}", ok),
    Mount("/users", users),
    Mount("/people", users),
    Mount("/tenants/{tenant}", routes=[Route("/things/{thing}", ok)]),
    Mount("/app", Starlette(routes=[Route("/inner/{n}", ok)])),
    Mount("/static", foreign),
    Mount("/wrapped", RequestTracker(Starlette(routes=[Route("/deep/{n}", ok)]))),
    Host("api.example.org", Router([Route("/hosted/{n}", ok)])),
    WebSocketRoute("/chat", chat),
]


@pytest.fixture
def client(profiler: PerformanceProfiler) -> Iterator[TestClient]:
    app = Starlette(routes=routes, middleware=[Middleware(ProfilingMiddleware, profiler)])
    with TestClient(app, raise_server_exceptions=False) as client:
        yield client


@pytest.mark.parametrize(
    ("method", "path", "name", "status"),
    [
        ("GET", "/", "GET /", 200),
        ("HEAD", "/", "HEAD /", 200),
        ("GET", "/users/7", "GET /users/{id}", 200),
        ("PUT", "/users/7", "PUT /users/{id}", 200),
        ("DELETE", "/users/7", "DELETE /users/{id}", 405),
        ("GET", "/people/8/x", "GET /people/{id}/x", 200),
        ("GET", "/users/seven", "GET /users/{path}", 404),
        ("GET", "/files/a/b/../c", "GET /files/{rest}", 200),
        ("GET", "/tenants/acme/things/3", "GET /tenants/{tenant}/things/{thing}", 200),
        ("GET", "/app/inner/9", "GET /app/inner/{n}", 200),
        ("GET", "/wrapped/deep/9", "GET /wrapped/deep/{n}", 200),
        ("GET", "/static/logo.png", "GET /static/{path}", 200),
        ("GET", "http://api.example.org/hosted/1", "GET /hosted/{n}", 200),
        ("GET", "/nothing/here", "GET (unmatched)", 404),
        ("BREW", "/", "(other method) /", 405),
        ("GET", "/%3Cscript%3E", "GET (unmatched)", 404),
    ],
)
def test_a_request_is_named_by_its_route(
    client: TestClient,
    profiler: PerformanceProfiler,
    kept: list[Profile],
    method: str,
    path: str,
    name: str,
    status: int,
) -> None:
    assert client.request(method, path).status_code == status
    assert profiler.flush()
    assert [profile.operation for profile in kept] == [name]
    assert kept[0].tags["status"] == status


def test_the_servers_root_path_is_no_part_of_the_name(
    profiler: PerformanceProfiler, kept: list[Profile]
) -> None:
    app = Starlette(routes=routes, middleware=[Middleware(ProfilingMiddleware, profiler)])
    client = TestClient(app, root_path="/service")
    assert client.get("/service/users/7").status_code == 200
    assert profiler.flush()
    assert kept[0].operation == "GET /users/{id}"


def test_inside_a_mounted_application_the_mount_is_part_of_the_name(
    profiler: PerformanceProfiler, kept: list[Profile]
) -> None:
    inner = Starlette(
        routes=[Route("/inner/{n}", ok)], middleware=[Middleware(ProfilingMiddleware, profiler)]
    )
    client = TestClient(Starlette(routes=[Mount("/outer/{tenant}", inner)]))
    assert client.get("/outer/a/inner/1").status_code == 200
    assert profiler.flush()
    assert kept[0].operation == "GET /outer/{tenant}/inner/{n}"


def test_without_a_route_in_the_scope_the_endpoint_names_it() -> None:
    route = Route("/things/{thing}", ok)
    router = Router([Mount("/below", routes=[route])])
    scope = {"method": "GET", "path": "/below/things/1", "router": router, "endpoint": ok}
    assert RouteNames().name(scope) == "GET /below/things/{thing}"


def test_one_route_in_two_places_has_the_name_of_each(
    profiler: PerformanceProfiler, kept: list[Profile]
) -> None:
    """What counts a route's requests is remembered, but not where the route alone does not tell."""
    client = TestClient(ProfilingMiddleware(Starlette(routes=routes), profiler))
    for path in ("/users/1", "/people/2", "/users/3", "/tenants/a/things/1", "/tenants/b/things/2"):
        client.get(path)
    profiler.flush()
    thing = "GET /tenants/{tenant}/things/{thing}"
    assert [profile.operation for profile in sorted(kept, key=lambda one: one.start_ns)] == [
        "GET /users/{id}", "GET /people/{id}", "GET /users/{id}", thing, thing,
    ]  # fmt: skip


class Deferred:
    """An awaitable that cannot be referred to weakly."""

    __slots__ = ("future",)

    def __init__(self, future: asyncio.Future[None]) -> None:
        self.future = future

    def __await__(self) -> Generator[Any, None, None]:
        return self.future.__await__()


@pytest.mark.parametrize("awaitable", [Deferred, lambda future: future])
def test_an_application_may_give_any_awaitable(
    awaitable: Callable[[asyncio.Future[None]], Any], profiler: PerformanceProfiler, kept: list[Profile]
) -> None:
    async def waits(scope: Any, receive: Any, send: Any) -> None:
        await asyncio.sleep(0.3)
        await foreign(scope, receive, send)

    def gives_an_awaitable(scope: Any, receive: Any, send: Any) -> Any:
        return awaitable(asyncio.ensure_future(waits(scope, receive, send)))

    assert TestClient(ProfilingMiddleware(gives_an_awaitable, profiler)).get("/").text == "foreign"
    profiler.flush()
    (profile,) = kept
    assert profile.status is Status.OK
    assert "waits" in {frame.qualname.rpartition(".")[2] for frame in profile.frames}
    assert profile.sampling.unobserved < 0.15


def test_an_application_may_raise_before_it_gives_one(
    profiler: PerformanceProfiler, kept: list[Profile]
) -> None:
    def raises(scope: Any, receive: Any, send: Any) -> Any:
        raise LookupError("at once")

    with pytest.raises(LookupError, match="at once"):
        TestClient(ProfilingMiddleware(raises, profiler)).get("/")
    profiler.flush()
    assert [profile.status for profile in kept] == [Status.ERROR]
    assert not profiler.registry


def test_a_foreign_application_is_unmatched(profiler: PerformanceProfiler, kept: list[Profile]) -> None:
    client = TestClient(ProfilingMiddleware(foreign, profiler))
    assert client.get("/what/ever").text == "foreign"
    assert profiler.flush()
    assert kept[0].operation == "GET (unmatched)"


def test_the_applications_exception_is_its_own(profiler: PerformanceProfiler, kept: list[Profile]) -> None:
    app = Starlette(routes=routes, middleware=[Middleware(ProfilingMiddleware, profiler)])
    with pytest.raises(LookupError, match="the application's own") as caught:
        TestClient(app).get("/fail")
    assert caught.traceback[-1].name == "fails"
    assert profiler.flush()
    assert (kept[0].operation, kept[0].status) == ("GET /fail", Status.ERROR)


def test_the_profile_carries_the_requests_ids(
    client: TestClient, profiler: PerformanceProfiler, kept: list[Profile]
) -> None:
    trace = "0af7651916cd43dd8448eb211c80319c"
    sent = {"X-Request-ID": "req-77", "traceparent": f"00-{trace}-b7ad6b7169203331-01"}
    assert client.get("/", headers=sent).headers["x-request-id"] == "req-77"
    assert profiler.flush()
    assert (kept[0].request_id, kept[0].trace_id) == ("req-77", trace)
    assert len(kept[0].span_id) == 16


def test_without_tracker_there_is_no_id(profiler: PerformanceProfiler, kept: list[Profile]) -> None:
    client = TestClient(ProfilingMiddleware(foreign, profiler, tracker=False))
    assert "x-request-id" not in client.get("/").headers
    assert profiler.flush()
    assert kept[0].request_id == ""


def test_streams_and_background_tasks_are_part_of_the_operation(
    profiler: PerformanceProfiler, kept: list[Profile]
) -> None:
    order: list[str] = []

    async def chunks() -> AsyncIterator[bytes]:
        for number in range(3):
            assert profiler.in_flight()
            yield str(number).encode()
        order.append("streamed")

    def later() -> None:
        order.append(f"background, in flight: {len(profiler.in_flight())}")

    async def stream(request: Request) -> Response:
        return StreamingResponse(chunks(), background=BackgroundTask(later))

    app = ProfilingMiddleware(Starlette(routes=[Route("/", stream)]), profiler)
    with TestClient(app) as client, client.stream("GET", "/") as answer:
        assert b"".join(answer.iter_raw()) == b"012"
    assert order == ["streamed", "background, in flight: 1"]
    assert profiler.flush()
    assert kept[0].operation == "GET /"


def test_a_client_that_leaves_cancels_the_request(profiler: PerformanceProfiler, kept: list[Profile]) -> None:
    async def main() -> None:
        reached = asyncio.Event()

        async def hangs(scope: Any, receive: Any, send: Any) -> None:
            reached.set()
            await asyncio.Event().wait()

        app = ProfilingMiddleware(hangs, profiler)
        scope = {"type": "http", "method": "GET", "path": "/", "headers": []}
        task = asyncio.create_task(app(scope, None, None))  # type: ignore[arg-type]
        await reached.wait()
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    assert profiler.flush()
    assert kept[0].status is Status.CANCELLED
    assert not profiler.in_flight()


def test_a_request_in_flight_has_the_name_of_its_route(profiler: PerformanceProfiler) -> None:
    entered, go_on = threading.Event(), threading.Event()
    ids: list[str] = []

    def waits(request: Request) -> Response:
        context = current()
        ids.append(context.request_id if context else "")
        entered.set()
        assert go_on.wait(10)
        return PlainTextResponse("done")

    app = Starlette(
        routes=[Route("/slow/{n}", waits)], middleware=[Middleware(ProfilingMiddleware, profiler)]
    )
    with TestClient(app) as client:
        caller = threading.Thread(target=client.get, args=("/slow/1",))
        caller.start()
        try:
            assert entered.wait(10)
            assert name_live_requests() == 1
            (one,) = profiler.in_flight()
        finally:
            go_on.set()
            caller.join(10)
    assert (one.name, one.request_id) == ("GET /slow/{n}", ids[0])
    assert name_live_requests() == 0


def test_the_root_is_the_frame_below_the_middleware(
    profiler: PerformanceProfiler, kept: list[Profile]
) -> None:
    def spin(request: Request) -> Response:
        threading.Event().wait(0.12)
        return PlainTextResponse("ok")

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await PlainTextResponse(spin(None).body)(scope, receive, send)  # type: ignore[arg-type]

    TestClient(ProfilingMiddleware(app, profiler)).get("/")
    assert profiler.flush()
    roots = {kept[0].frames[node.frame].qualname for node in kept[0].nodes if node.parent < 0}
    assert {root.rpartition(".")[2] for root in roots} == {"app"}


def test_an_impossible_threshold_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="threshold=-1"):
        ProfilingMiddleware(foreign, threshold=-1)
