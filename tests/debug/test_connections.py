"""What `/debug/connections` shows, of real sockets, engines and clients."""

from __future__ import annotations

import asyncio
import contextlib
import http.server
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import orjson
import psutil
import pytest
import sqlalchemy
from openai import AsyncOpenAI, OpenAI
from sqlalchemy.ext.asyncio import create_async_engine

from profkit.debug.connections import connections_report
from profkit.debug.pools import pool_report


def one(pool: object) -> dict[str, object]:
    [found] = pool_report({"db": pool})
    assert orjson.loads(orjson.dumps(found)) == found
    assert found["name"] == "db"
    return found


def figures(pool: object) -> tuple[object, ...]:
    found = one(pool)
    assert found["error"] is None
    assert found["supported"] is True
    return tuple(
        found[name] for name in ("in_use", "idle", "size", "limit", "overflow", "waiting", "saturation")
    )


@pytest.fixture
def database(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'a.db'}"


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


def until(condition: Callable[[], bool]) -> None:
    """Wait until `condition()` holds: other threads' queues offer no event to wait for."""
    pause = threading.Event()
    for _ in range(2000):
        if condition():
            return
        pause.wait(0.005)
    pytest.fail("it never came to hold")


async def comes(condition: Callable[[], bool]) -> None:
    """As `until`, in an event loop."""
    for _ in range(2000):
        if condition():
            return
        await asyncio.sleep(0.005)
    pytest.fail("it never came to hold")


def test_a_queue_pool_in_each_state(database: str) -> None:
    engine = sqlalchemy.create_engine(database, pool_size=2, max_overflow=1)
    assert figures(engine) == (0, 0, 0, 3, 0, 0, 0.0)
    connections = [engine.connect() for _ in range(3)]
    assert figures(engine) == (3, 0, 3, 3, 1, 0, 1.0)
    waiting = threading.Thread(target=lambda: engine.connect().close())
    waiting.start()
    until(lambda: figures(engine)[5] == 1)
    for connection in connections:
        connection.close()
    waiting.join()
    assert figures(engine) == (0, 2, 2, 3, 0, 0, 0.0)
    assert figures(engine.pool) == figures(engine)
    assert one(engine)["kind"] == "sqlalchemy.pool.impl.QueuePool"
    assert one(engine)["source"] == "private"
    engine.dispose()
    assert figures(engine) == (0, 0, 0, 3, 0, 0, 0.0)


def test_a_queue_pool_without_limit(database: str) -> None:
    engine = sqlalchemy.create_engine(database, pool_size=1, max_overflow=-1)
    with engine.connect(), engine.connect():
        assert figures(engine) == (2, 0, 2, None, 1, 0, None)
    engine.dispose()


def test_an_async_engine(tmp_path: Path) -> None:
    async def main() -> None:
        engine = create_async_engine(f"sqlite+aiosqlite:///{tmp_path / 'a.db'}", pool_size=1, max_overflow=0)
        assert figures(engine)[:5] == (0, 0, 0, 1, 0)
        connection = await engine.connect()
        waiting = asyncio.create_task(engine.connect().start())
        await comes(lambda: figures(engine)[5] == 1)
        assert figures(engine) == (1, 0, 1, 1, 0, 1, 1.0)
        await connection.close()
        await (await waiting).close()
        assert figures(engine) == (0, 1, 1, 1, 0, 0, 0.0)
        assert one(engine)["kind"] == "sqlalchemy.pool.impl.AsyncAdaptedQueuePool"
        await engine.dispose()

    asyncio.run(main())


@pytest.mark.parametrize(
    ("pool", "limit"),
    [(sqlalchemy.NullPool, None), (sqlalchemy.StaticPool, 1), (sqlalchemy.AssertionPool, 1)],
)
def test_pools_that_hardly_tell_anything(
    database: str, pool: type[sqlalchemy.Pool], limit: int | None
) -> None:
    engine = sqlalchemy.create_engine(database, poolclass=pool)
    with engine.connect():
        found = one(engine)
    assert (found["supported"], found["limit"], found["error"]) == (True, limit, None)
    assert found["in_use"] == (1 if pool is sqlalchemy.AssertionPool else None)
    engine.dispose()


def test_a_thread_pool_of_sqlite_in_memory() -> None:
    engine = sqlalchemy.create_engine("sqlite://", poolclass=sqlalchemy.SingletonThreadPool)
    with engine.connect():
        assert figures(engine)[:4] == (None, None, 1, None)
    engine.dispose()


def test_a_sync_httpx_client(server: str, released: threading.Event) -> None:
    with httpx.Client(limits=httpx.Limits(max_connections=2)) as client:
        assert figures(client) == (0, 0, 0, 2, None, 0, 0.0)
        assert client.get(f"{server}/now").text == "ok"
        assert figures(client) == (0, 1, 1, 2, None, 0, 0.0)
        calls = [threading.Thread(target=client.get, args=(f"{server}/slow",)) for _ in range(3)]
        for call in calls:
            call.start()
        until(lambda: figures(client) == (2, 0, 2, 2, None, 1, 1.0))
        released.set()
        for call in calls:
            call.join()
        assert one(client)["source"] == "private"
        assert one(client)["kind"] == "httpx.Client"
    assert figures(client)[:3] == (0, 0, 0)


def test_an_async_httpx_client(server: str, released: threading.Event) -> None:
    async def main() -> None:
        async with httpx.AsyncClient(limits=httpx.Limits(max_connections=1)) as client:
            calls = [asyncio.create_task(client.get(f"{server}/slow")) for _ in range(2)]
            await comes(lambda: figures(client) == (1, 0, 1, 1, None, 1, 1.0))
            released.set()
            await asyncio.gather(*calls)
            assert figures(client) == (0, 1, 1, 1, None, 0, 0.0)

    asyncio.run(main())


def test_a_client_with_mounts_is_summed_and_one_without_limit_has_none() -> None:
    limited = httpx.Limits(max_connections=3)
    mounts = {"all://x.example": httpx.HTTPTransport(limits=limited)}
    with httpx.Client(limits=limited, mounts=mounts) as client:
        assert figures(client)[3] == 6
    with httpx.Client(limits=httpx.Limits(max_connections=None)) as client:
        assert figures(client)[3] is None


def test_openais_clients_have_their_httpx_client_shown() -> None:
    client = OpenAI(api_key="x", base_url="http://127.0.0.1:1")
    asynchronous = AsyncOpenAI(api_key="x", base_url="http://127.0.0.1:1")
    assert figures(client)[:3] == figures(asynchronous)[:3] == (0, 0, 0)
    client.close()
    asyncio.run(asynchronous.close())


class Other:
    def __repr__(self) -> str:
        raise AssertionError("never called")


def test_what_is_not_known_says_so() -> None:
    mocked = httpx.Client(transport=httpx.MockTransport(lambda _: httpx.Response(200)))
    for pool, kind in ((Other(), f"{__name__}.Other"), (mocked, "httpx.Client"), (None, "NoneType")):
        found = one(pool)
        assert (found["supported"], found["kind"], found["in_use"], found["error"]) == (
            False,
            kind,
            None,
            None,
        )
    mocked.close()


def test_a_pool_that_raises_is_shown_and_spoils_nothing(database: str) -> None:
    class Broken(sqlalchemy.QueuePool):
        def checkedout(self) -> int:
            raise RuntimeError("lost postgresql://u:hunter2@h/db")

    broken = sqlalchemy.create_engine(database, poolclass=Broken)
    fine = sqlalchemy.create_engine(database)
    first, second = pool_report({"a": broken, "password=hunter2": fine})
    assert first["error"] == "RuntimeError: lost postgresql://u:***@h/db"
    assert first["in_use"] is None
    assert (second["name"], second["in_use"], second["error"]) == ("password=***", 0, None)


def test_neither_library_is_imported() -> None:
    code = (
        "import sys; from profkit.debug.pools import pool_report; print(pool_report({'a': 1})[0]['supported'],"
        " 'sqlalchemy' in sys.modules, 'httpx' in sys.modules)"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.split() == ["False", "False", "False"]


@contextlib.contextmanager
def listening() -> Iterator[tuple[socket.socket, int]]:
    with socket.create_server(("127.0.0.1", 0), backlog=50) as server:
        yield server, server.getsockname()[1]


def test_sockets_by_state_and_peer() -> None:
    with listening() as (server, port), contextlib.ExitStack() as opened:
        for _ in range(3):
            opened.enter_context(socket.create_connection(("127.0.0.1", port)))
            opened.enter_context(server.accept()[0])
        found = connections_report({})
        assert orjson.loads(orjson.dumps(found)) == found
    sockets = found["sockets"]
    assert sockets["error"] is None
    assert f"127.0.0.1:{port}" in sockets["listening"]
    assert sockets["states"]["ESTABLISHED"] >= 6
    assert sockets["states"]["LISTEN"] >= 1
    peers = {(peer["address"], peer["direction"]): peer for peer in sockets["peers"]}
    # Whom we called is named with the port; who called us without, since theirs is a new one each time.
    assert peers[f"127.0.0.1:{port}", "out"]["count"] == 3
    assert peers["127.0.0.1", "in"]["count"] >= 3
    assert peers["127.0.0.1", "in"]["states"]["ESTABLISHED"] >= 3


def test_peers_are_bounded() -> None:
    with contextlib.ExitStack() as opened:
        for _ in range(25):
            _server, port = opened.enter_context(listening())
            opened.enter_context(socket.create_connection(("127.0.0.1", port)))
        sockets = connections_report({})["sockets"]
    assert len(sockets["peers"]) == 20
    assert sockets["peers_left_out"] >= 5


def test_descriptors_and_threads() -> None:
    done = threading.Event()
    threads = [threading.Thread(target=done.wait, name=f"worker-token=hunter{n}") for n in range(110)]
    for thread in threads:
        thread.start()
    found = connections_report({})
    done.set()
    for thread in threads:
        thread.join()
    assert found["threads"]["count"] >= 111
    assert found["threads"]["system"] >= 111
    assert len(found["threads"]["names"]) == 100
    assert found["threads"]["names_left_out"] == found["threads"]["count"] - 100
    assert "hunter" not in str(found)
    descriptors = found["file_descriptors"]
    assert 0 < descriptors["open"] < descriptors["limit"]
    with listening():
        assert connections_report({})["file_descriptors"]["open"] == descriptors["open"] + 1


def test_what_the_system_refuses_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    # As on macOS without rights; psutil is the boundary, since Linux does not refuse a process its own sockets.
    def refuse(*_: object, **__: object) -> None:
        raise psutil.AccessDenied(pid=1)

    for name in ("net_connections", "num_fds", "num_threads"):
        monkeypatch.setattr(psutil.Process, name, refuse)
    found = connections_report({})
    assert found["sockets"]["total"] is None
    assert found["sockets"]["error"].startswith("AccessDenied")
    assert found["file_descriptors"]["open"] is None
    assert found["threads"]["system"] is None
    assert found["threads"]["count"] >= 1
