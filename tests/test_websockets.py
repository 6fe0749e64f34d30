"""WebSockets under ProfilingMiddleware: an operation for the handshake and for each message, none for the waiting."""

from __future__ import annotations

import asyncio
import os
import threading
import time
import warnings
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import anyio
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Mount, Route, WebSocketRoute
from starlette.testclient import TestClient
from starlette.websockets import WebSocket, WebSocketDisconnect

from profkit import PerformanceProfiler, Settings
from profkit.asgi import ProfilingMiddleware
from profkit.live_requests import live_requests, name_live_requests
from profkit.requests import current
from profkit_storage import Profile, Status
from profkit_storage.memory import MemoryStorage

STEP = 0.15


@pytest.fixture
def kept() -> list[Profile]:
    return []


@pytest.fixture
def profiler(kept: list[Profile]) -> Iterator[PerformanceProfiler]:
    made = PerformanceProfiler(Settings(storage=MemoryStorage(), threshold=0.1, on_profile=kept.append))
    yield made
    assert made.shutdown(5)
    assert not live_requests()


def think() -> None:
    end = time.perf_counter() + STEP
    while time.perf_counter() < end:
        pass


async def chat(websocket: WebSocket) -> None:
    await websocket.accept()
    async for text in websocket.iter_text():
        if text == "think":
            think()
        if text == "fail":
            raise RuntimeError("as asked")
        context = current()
        await websocket.send_text(context.request_id if context else "")


async def slow_handshake(websocket: WebSocket) -> None:
    await asyncio.sleep(STEP)
    await websocket.accept()
    await asyncio.sleep(STEP)  # a server that only sends: nobody's
    await websocket.close()


async def refuses(websocket: WebSocket) -> None:
    await asyncio.sleep(STEP)
    await websocket.close(1008)


async def reads_in_a_task(websocket: WebSocket) -> None:
    await websocket.accept()

    async def reads() -> None:
        try:
            while True:
                await websocket.receive_text()
                think()
        except WebSocketDisconnect:
            pass

    async with anyio.create_task_group() as group:
        group.start_soon(reads)


async def asks_before_it_thinks(scope: Any, receive: Any, send: Any) -> None:
    assert (await receive())["type"] == "websocket.connect"
    think()
    await send({"type": "websocket.accept"})
    await send({"type": "websocket.close"})


def ok(request: Request) -> JSONResponse:
    return JSONResponse([[one.kind, one.name, one.age] for one in live_requests()])


@pytest.fixture
def app(profiler: PerformanceProfiler) -> Any:
    inner = [
        WebSocketRoute("/chat/{room}", chat),
        WebSocketRoute("/slow", slow_handshake),
        WebSocketRoute("/no", refuses),
        WebSocketRoute("/task", reads_in_a_task),
        Route("/live", ok),
    ]
    return ProfilingMiddleware(Starlette(routes=[Mount("/rooms", routes=inner)]), profiler)


def spans(profiler: PerformanceProfiler, kept: list[Profile]) -> list[tuple[str, Status]]:
    assert profiler.flush()
    return [(one.operation, one.status) for one in kept]


def test_each_message_is_an_operation_until_the_next_is_awaited(
    app: Any, profiler: PerformanceProfiler, kept: list[Profile]
) -> None:
    with TestClient(app).websocket_connect("/rooms/chat/7") as socket:
        for text in ("hello", "think", "hello"):
            socket.send_text(text)
            id = socket.receive_text()
            time.sleep(STEP)  # the client's own time is nobody's
    assert spans(profiler, kept) == [("WEBSOCKET /rooms/chat/{room}", Status.OK)]
    (one,) = kept
    assert STEP <= one.wall < 2 * STEP
    assert one.request_id == id
    qualnames = {frame.qualname for frame in one.frames}
    assert {"chat", "think"} <= qualnames
    assert profiler.storage is not None
    calls = sum(row.calls for rollups in profiler.storage.scan_rollups() for row in rollups.rollups)
    assert calls == 5, "the handshake, three messages and the end"


def test_a_handshake_ends_with_its_answer(
    app: Any, profiler: PerformanceProfiler, kept: list[Profile]
) -> None:
    with TestClient(app).websocket_connect("/rooms/slow") as socket, pytest.raises(WebSocketDisconnect):
        socket.receive_text()
    assert spans(profiler, kept) == [("WEBSOCKET /rooms/slow", Status.OK)]
    assert kept[0].wall < 2 * STEP
    assert [one for one in kept[0].frames if one.qualname == "slow_handshake"]
    with pytest.raises(WebSocketDisconnect), TestClient(app).websocket_connect("/rooms/no"):
        pass
    assert spans(profiler, kept)[1:] == [("WEBSOCKET /rooms/no", Status.OK)]


def test_a_handshake_goes_on_after_its_message(profiler: PerformanceProfiler, kept: list[Profile]) -> None:
    app = ProfilingMiddleware(asks_before_it_thinks, profiler)
    with TestClient(app).websocket_connect("/") as socket, pytest.raises(WebSocketDisconnect):
        socket.receive_text()
    assert spans(profiler, kept) == [("WEBSOCKET (unmatched)", Status.OK)]


def test_a_message_in_flight_has_the_request_of_its_connection(profiler: PerformanceProfiler) -> None:
    entered, go_on = threading.Event(), threading.Event()
    ids: list[str] = []

    async def waits(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.receive_text()
        context = current()
        ids.append(context.request_id if context else "")
        entered.set()
        await asyncio.to_thread(go_on.wait, 10)

    app = ProfilingMiddleware(Starlette(routes=[WebSocketRoute("/slow", waits)]), profiler)
    with TestClient(app).websocket_connect("/slow") as socket:
        socket.send_text("go")
        assert entered.wait(10)
        name_live_requests()
        (one,) = profiler.in_flight()
        go_on.set()
    assert (one.name, one.request_id) == ("WEBSOCKET /slow", ids[0])


def test_an_exception_is_the_messages_that_it_came_with(
    app: Any, profiler: PerformanceProfiler, kept: list[Profile]
) -> None:
    def fails() -> None:
        with TestClient(app).websocket_connect("/rooms/chat/7") as socket:
            socket.send_text("fail")
            socket.receive_text()

    with pytest.raises(RuntimeError, match="as asked"):
        fails()
    assert spans(profiler, kept) == []
    profiler.configure(replace(profiler.settings, keep_errors=True))
    with pytest.raises(RuntimeError, match="as asked"):
        fails()
    assert spans(profiler, kept) == [("WEBSOCKET /rooms/chat/{room}", Status.ERROR)]


def test_what_a_task_of_its_own_receives_has_that_tasks_stack(
    app: Any, profiler: PerformanceProfiler, kept: list[Profile]
) -> None:
    with TestClient(app).websocket_connect("/rooms/task") as socket:
        socket.send_text("one")
        time.sleep(2 * STEP)
    assert spans(profiler, kept) == [("WEBSOCKET /rooms/task", Status.OK)]
    assert {"think", "reads_in_a_task.<locals>.reads"} <= {frame.qualname for frame in kept[0].frames}


def test_what_is_served_now_is_told_with_its_route(app: Any) -> None:
    with TestClient(app) as client, client.websocket_connect("/rooms/chat/7") as socket:
        socket.send_text("hello")
        socket.receive_text()
        first, second = sorted(client.get("/rooms/live").json())
    assert first[:2] == ["http", "GET /rooms/live"]
    assert second[:2] == ["websocket", "WEBSOCKET /rooms/chat/{room}"]
    assert second[2] > first[2] >= 0


def test_two_middlewares_count_a_connection_once(profiler: PerformanceProfiler) -> None:
    inner = Starlette(routes=[WebSocketRoute("/chat", chat), Route("/live", ok)])
    app = ProfilingMiddleware(ProfilingMiddleware(inner, profiler), profiler)
    with TestClient(app) as client, client.websocket_connect("/chat") as socket:
        socket.send_text("hello")
        assert socket.receive_text()
        assert sorted(row[1] for row in client.get("/live").json()) == ["GET /live", "WEBSOCKET /chat"]


def test_it_is_counted_though_nothing_is_watched(profiler: PerformanceProfiler) -> None:
    profiler.shutdown(5)
    app = ProfilingMiddleware(Starlette(routes=[WebSocketRoute("/chat", chat)]), profiler)
    with TestClient(app).websocket_connect("/chat") as socket:
        socket.send_text("hello")
        assert socket.receive_text()
        (one,) = live_requests()
        assert (one.kind, one.name) == ("websocket", "WEBSOCKET /chat")


async def _serve(
    application: Any, *messages: dict[str, Any], profiler: PerformanceProfiler
) -> asyncio.Queue[Any]:
    waiting: asyncio.Queue[Any] = asyncio.Queue()
    for message in ({"type": "websocket.connect"}, *messages):
        waiting.put_nowait(message)

    async def send(message: Any) -> None:
        pass

    scope = {"type": "websocket", "path": "/x", "headers": []}
    await ProfilingMiddleware(application, profiler)(scope, waiting.get, send)
    return waiting


def test_a_task_that_reads_on_after_the_application_leaves_nothing_in_flight(
    profiler: PerformanceProfiler,
) -> None:
    readers: list[asyncio.Task[None]] = []

    async def application(scope: Any, receive: Any, send: Any) -> None:
        async def reads() -> None:
            while (await receive())["type"] != "websocket.disconnect":
                pass

        readers.append(asyncio.create_task(reads()))
        await asyncio.sleep(0.01)

    async def main() -> None:
        waiting = await _serve(application, profiler=profiler)
        waiting.put_nowait({"type": "websocket.disconnect"})
        await readers[0]

    asyncio.run(main())
    assert not profiler.in_flight()


def test_what_a_task_received_for_the_application_is_seen_there(
    profiler: PerformanceProfiler, kept: list[Profile]
) -> None:
    async def thinks() -> None:
        await asyncio.sleep(0.01)
        think()

    async def application(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        await send({"type": "websocket.accept"})
        received = asyncio.create_task(receive())  # as `asyncio.wait_for` does before 3.12
        await received
        await thinks()
        await receive()

    asyncio.run(
        _serve(
            application,
            {"type": "websocket.receive", "text": "x"},
            {"type": "websocket.disconnect"},
            profiler=profiler,
        )  # type: ignore[arg-type]
    )
    assert spans(profiler, kept) == [("WEBSOCKET (unmatched)", Status.OK)]
    assert "think" in {frame.qualname for frame in kept[0].frames}


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")
def test_a_forked_child_serves_nothing_of_its_parents(profiler: PerformanceProfiler) -> None:
    async def application(scope: Any, receive: Any, send: Any) -> None:
        await receive()
        child = os.fork()
        if not child:
            os._exit(len(live_requests()))
        assert (await asyncio.to_thread(os.waitpid, child, 0))[1] == 0
        assert len(live_requests()) == 1

    with warnings.catch_warnings(action="ignore"):  # 3.12 and later warn of threads
        asyncio.run(_serve(application, profiler=profiler))  # type: ignore[arg-type]
