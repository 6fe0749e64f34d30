"""What the log filter puts into records."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections.abc import Iterable, Iterator
from typing import Any

import pytest
from flask import Flask
from starlette.applications import Starlette
from starlette.background import BackgroundTask
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.testclient import TestClient
from werkzeug.test import Client

from profkit import PerformanceProfiler, Settings
from profkit.asgi import ProfilingMiddleware as ASGIMiddleware
from profkit.logs import RequestContextFilter, install_request_context
from profkit.request_context import RequestContext, end, request_context
from profkit.requests import RequestTracker
from profkit.wsgi import ProfilingMiddleware
from profkit_storage.memory import MemoryStorage

TRACE = "0af7651916cd43dd8448eb211c80319c"


@pytest.fixture
def profiler() -> Iterator[PerformanceProfiler]:
    profiler = PerformanceProfiler(Settings(storage=MemoryStorage(), service="t", threshold=9.0))
    yield profiler
    assert profiler.shutdown(5)


@pytest.fixture
def lines() -> list[str]:
    return []


@pytest.fixture
def logger(lines: list[str]) -> Iterator[logging.Logger]:
    logger = logging.getLogger("test.logs")
    handler = logging.Handler()
    handler.setFormatter(logging.Formatter("%(request_id)s %(trace_id)s %(operation)s: %(message)s"))
    handler.emit = lambda record: lines.append(handler.format(record))  # type: ignore[method-assign]
    logger.addHandler(handler)
    assert install_request_context(logger) == install_request_context(logger) == 1
    assert sum(isinstance(one, RequestContextFilter) for one in handler.filters) == 1
    yield logger
    logger.removeHandler(handler)


def test_outside_of_everything_there_are_dashes(logger: logging.Logger, lines: list[str]) -> None:
    logger.warning("outside")
    assert lines == ["- - -: outside"]


def test_a_record_tells_its_request_and_operation(
    profiler: PerformanceProfiler, logger: logging.Logger, lines: list[str]
) -> None:
    async def app(_scope: Any, _receive: Any, _send: Any) -> None:
        logger.warning("in the request")
        with profiler.operation("outer"), profiler.operation("inner"):
            logger.getChild("child").warning("in both")

    headers = [(b"x-request-id", b"r1"), (b"traceparent", f"00-{TRACE}-b7ad6b7169203331-01".encode())]
    asyncio.run(RequestTracker(app)({"type": "http", "headers": headers}, None, None))  # type: ignore[arg-type]
    logger.warning("after")
    assert lines == [f"r1 {TRACE} -: in the request", f"r1 {TRACE} inner: in both", "- - -: after"]


def test_of_a_flask_request_the_operation_is_its_route(
    profiler: PerformanceProfiler, logger: logging.Logger, lines: list[str]
) -> None:
    app = Flask("t")

    @app.before_request
    def before() -> None:
        logger.warning("routed")

    @app.get("/users/<int:user>")
    def user(user: int) -> Iterable[bytes]:
        def chunks() -> Iterator[bytes]:
            logger.warning("streaming")
            yield b"x"

        return chunks()

    def around(environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        logger.warning("not yet")
        return app(environ, start_response)

    with Client(ProfilingMiddleware(around, profiler)).get(
        "/users/7", headers={"X-Request-ID": "r1"}
    ) as answer:
        assert answer.data == b"x"
    operations = [line.split(" ")[2:] for line in lines]
    assert {line.split(" ")[0] for line in lines} == {"r1"}
    assert operations == [
        ["GET", "(unmatched):", "not", "yet"],
        ["GET", "/users/<int:user>:", "routed"],
        ["GET", "/users/<int:user>:", "streaming"],
    ]


def test_of_a_starlette_request_the_operation_is_its_route(
    profiler: PerformanceProfiler, logger: logging.Logger, lines: list[str]
) -> None:
    async def user(request: Request) -> PlainTextResponse:
        logger.warning("inside")
        await asyncio.to_thread(logger.warning, "in a thread")
        return PlainTextResponse("ok", background=BackgroundTask(logger.warning, "in the background"))

    app = ASGIMiddleware(Starlette(routes=[Route("/users/{user:int}", user)]), profiler)
    with TestClient(app) as client:
        client.get("/users/7", headers={"X-Request-ID": "r1"})
    heads = [line.split(": ")[0].split(" ", 2) for line in lines]
    assert [(one[0], one[2]) for one in heads] == [("r1", "GET /users/{user}")] * 3


def test_names_are_masked_as_in_profiles(
    profiler: PerformanceProfiler, logger: logging.Logger, lines: list[str]
) -> None:
    with profiler.operation("fetch https://user:hunter2@example.org/?token=abcdef0123456789"):
        logger.warning("x")
    assert "hunter2" not in lines[0]
    assert "abcdef0123456789" not in lines[0]
    assert "fetch https://" in lines[0]


def test_no_name_breaks_a_line(
    profiler: PerformanceProfiler, logger: logging.Logger, lines: list[str]
) -> None:
    with profiler.operation("one\r\nroot: two"):
        logger.warning("x")
    assert "\n" not in lines[0]
    assert "\r" not in lines[0]


def test_what_a_record_has_is_its_own(logger: logging.Logger, lines: list[str]) -> None:
    token = request_context.set(RequestContext("r1", TRACE))
    try:
        logger.warning("x", extra={"request_id": "own", "operation": "mine"})
        logger.warning("x", extra={"request_id": "own", "trace_id": "too"})
    finally:
        end(token)
    assert lines == [f"own {TRACE} mine: x", "own too -: x"]


def test_an_operation_that_has_ended_is_none(
    profiler: PerformanceProfiler, logger: logging.Logger, lines: list[str]
) -> None:
    """A task that outlives the operation it was started in still has it in its context."""

    async def main() -> None:
        go_on = asyncio.Event()

        async def late() -> None:
            await go_on.wait()
            logger.warning("late")

        with profiler.operation("short"):
            task = asyncio.create_task(late())
        go_on.set()
        await task

    asyncio.run(main())
    assert lines == ["- - -: late"]


def test_threads_have_their_own(
    profiler: PerformanceProfiler, logger: logging.Logger, lines: list[str]
) -> None:
    with profiler.operation("here"):
        thread = threading.Thread(target=logger.warning, args=("elsewhere",))
        thread.start()
        thread.join(10)
    assert lines == ["- - -: elsewhere"]


def test_a_logger_without_handlers_is_told_of() -> None:
    assert install_request_context(logging.getLogger("test.logs.nothing")) == 0
