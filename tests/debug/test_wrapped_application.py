"""`app = ProfilingMiddleware(app)`, the way to have the request's id on every answer: nothing else is changed by it."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractContextManager, asynccontextmanager
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Mount, Route
from starlette.testclient import TestClient

from profkit import PerformanceProfiler
from profkit.asgi import ProfilingMiddleware
from profkit.debug import DiagnosticEndpoints
from profkit.debug.overview import look_at
from profkit.requests import RequestTracker
from profkit_storage import ProfileEntry, Status

Headers = Callable[..., dict[str, str]]
Serve = Callable[..., AbstractContextManager[httpx.Client]]
# uvicorn closes a connection on which an exception came through
SENT = {"X-Request-ID": "req-9", "Connection": "close"}


async def state(request: Request) -> Response:
    return PlainTextResponse(request.state.opened)


async def fails(request: Request) -> Response:
    raise LookupError("nobody handles this")


@pytest.fixture
def events() -> list[str]:
    """What the lifespan did."""
    return []


@pytest.fixture
def application(endpoints: DiagnosticEndpoints, events: list[str]) -> Starlette:
    """An application with a lifespan, mounts and a route that fails."""

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[dict[str, str]]:
        events.append("started")
        yield {"opened": "yes"}
        events.append("stopped")

    inner = Starlette(routes=[Route("/fail/{n}", fails)])
    routes = [
        Route("/state/{n}", state),
        Route("/fail", fails),
        Mount("/inner", inner),
        Mount("/debug", endpoints),
    ]
    return Starlette(routes=routes, lifespan=lifespan)


def stored(profiler: PerformanceProfiler) -> list[ProfileEntry]:
    give_up = time.monotonic() + 5
    while profiler.registry and time.monotonic() < give_up:
        time.sleep(0.002)
    assert profiler.flush()
    assert profiler.storage is not None
    return list(profiler.storage.scan())


def test_around_the_whole_application_every_answer_has_the_id(
    application: Starlette,
    live_profiler: PerformanceProfiler,
    events: list[str],
    serve: Serve,
    bearer: Headers,
    caplog: pytest.LogCaptureFixture,
) -> None:
    with serve(ProfilingMiddleware(application, live_profiler), lifespan="on") as client:
        assert events == ["started"]
        fine = client.get("/state/1", headers=SENT)
        broken = client.get("/inner/fail/2", headers=SENT)
        missing = client.get("/nothing", headers=SENT)
        looked = client.get("/debug/", headers={**SENT, **bearer()})
        answers = [fine, broken, missing, looked]
        assert [answer.status_code for answer in answers] == [200, 500, 404, 200]
        assert [answer.headers.get_list("x-request-id") for answer in answers] == [["req-9"]] * 4
        assert fine.text == "yes"
        entries = stored(live_profiler)
    assert events == ["started", "stopped"]
    assert {(entry.operation, entry.status) for entry in entries} == {
        ("GET /state/{n}", Status.OK),
        ("GET /inner/fail/{n}", Status.ERROR),
        ("GET (unmatched)", Status.OK),
    }
    errors = [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert [type(record.exc_info[1]) for record in errors if record.exc_info] == [LookupError]


@pytest.mark.parametrize("middleware", [ProfilingMiddleware, RequestTracker])
def test_inside_starlettes_own_the_answer_to_an_unhandled_exception_has_none(
    application: Starlette, serve: Serve, middleware: Any
) -> None:
    application.add_middleware(middleware)
    with serve(application, lifespan="on") as client:
        assert client.get("/state/1", headers=SENT).headers["x-request-id"] == "req-9"
        assert "x-request-id" not in client.get("/fail", headers=SENT).headers
    with serve(RequestTracker(application), lifespan="on") as client:
        answer = client.get("/fail", headers=SENT)
        assert (answer.status_code, answer.headers.get_list("x-request-id")) == (500, ["req-9"])


def test_requests_for_these_routes_are_none_of_the_applications_operations(
    application: Starlette,
    endpoints: DiagnosticEndpoints,
    live_profiler: PerformanceProfiler,
    bearer: Headers,
) -> None:
    debug_like = Route("/debugger/{n}", state)
    application.routes.insert(0, debug_like)
    client = TestClient(ProfilingMiddleware(application, profiler=live_profiler))
    with client:
        client.get("/state/1")
        client.get("/debugger/1")
        for path in ("/", "/tasks", "/nothing", "/profile/x", "/health/live"):
            client.get(f"/debug{path}", headers=bearer())
        client.get("/debug/config")  # without a token
        client.post("/debug/memory/gc", headers=bearer())
    counted = {name for name, _ in live_profiler.rollups.counts()}
    assert any(name.startswith("GET /debug/") for name in counted)
    look, _ = asyncio.run(look_at(endpoints.context))
    assert sorted(one["name"] for one in look["operations"]) == ["GET /debugger/{n}", "GET /state/{n}"]
    assert look["operations_left_out"] == 0


def test_tasks_are_named_by_the_route_that_their_request_has_reached(
    endpoints: DiagnosticEndpoints, live_profiler: PerformanceProfiler, bearer: Headers
) -> None:
    async def asks(request: Request) -> Response:
        return PlainTextResponse(str(endpoints.context.tasks(state="running")["tasks"][0]["operation"]))

    app = Starlette(routes=[Route("/who/{n}", asks)])
    with TestClient(ProfilingMiddleware(app, profiler=live_profiler)) as client:
        assert client.get("/who/1").text == "GET /who/{n}"
