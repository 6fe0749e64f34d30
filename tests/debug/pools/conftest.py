"""Pools in real use: what reads them, real servers for them, and what waits for other threads and tasks."""

from __future__ import annotations

import asyncio
import http.server
import threading
from collections.abc import Callable, Iterator
from contextlib import suppress
from typing import Any

import orjson
import pytest

from profkit.debug.pools import PoolReader
from profkit.masking import masker

FIGURES = ("in_use", "idle", "size", "limit", "overflow", "waiting", "saturation")


def read_one(pool: object) -> dict[str, Any]:
    [report], left_out = PoolReader().read({"db": pool}, masker=masker)
    assert orjson.loads(orjson.dumps(report)) == report
    assert report["name"] == "db" and report["found"] == "given" and left_out == 0
    return dict(report)


@pytest.fixture(scope="session")
def one() -> Callable[[object], dict[str, Any]]:
    """The report of a pool."""
    return read_one


@pytest.fixture(scope="session")
def figures() -> Callable[[object], tuple[object, ...]]:
    """The figures of a pool, as FIGURES has them."""

    def read(pool: object) -> tuple[object, ...]:
        report = read_one(pool)
        assert report["error"] is None
        assert report["supported"] is True
        return tuple(report[name] for name in FIGURES)

    return read


@pytest.fixture(scope="session")
def until() -> Callable[[Callable[[], bool]], None]:
    """Wait until something holds: other threads' queues offer no event to wait for."""

    def wait(condition: Callable[[], bool]) -> None:
        pause = threading.Event()
        for _ in range(2000):
            if condition():
                return
            pause.wait(0.005)
        pytest.fail("it never came to hold")

    return wait


@pytest.fixture(scope="session")
def comes() -> Callable[[Callable[[], bool]], Any]:
    """As `until`, in an event loop."""

    async def wait(condition: Callable[[], bool]) -> None:
        for _ in range(2000):
            if condition():
                return
            await asyncio.sleep(0.005)
        pytest.fail("it never came to hold")

    return wait


@pytest.fixture
def released() -> Iterator[threading.Event]:
    """Set it to let the server answer; set at the end in any case."""
    event = threading.Event()
    yield event
    event.set()


@pytest.fixture
def server(released: threading.Event) -> Iterator[str]:
    """A real HTTP server: `/now` answers at once, anything else when `released` is set."""

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            if self.path != "/now":
                released.wait(10)
            with suppress(ConnectionError):
                self.send_response(200)
                self.send_header("Content-Length", "2")
                self.end_headers()
                self.wfile.write(b"ok")

        def log_message(self, *args: object) -> None: ...

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as running:
        thread = threading.Thread(target=running.serve_forever, args=(0.02,))
        thread.start()
        yield f"http://127.0.0.1:{running.server_port}"
        released.set()
        running.shutdown()
        thread.join()
