"""What `/debug/connections` shows of the system: sockets by state and peer, descriptors, threads."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator

import orjson
import psutil
import pytest
import sqlalchemy

from profkit.debug import connections
from profkit.debug.connections import connections_report
from profkit.debug.pools import PoolReader


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


def test_a_system_that_does_not_answer_holds_up_no_pool(monkeypatch: pytest.MonkeyPatch) -> None:
    # As where a host has a million sockets, which psutil reads one by one; Linux here is faster.
    asked, over = [], threading.Event()

    def wait(*_: object, **__: object) -> list[object]:
        asked.append(1)
        over.wait(20)
        return []

    monkeypatch.setattr(psutil.Process, "net_connections", wait)
    monkeypatch.setattr(connections, "WITHIN", 0.1)
    reader = PoolReader()
    engine = sqlalchemy.create_engine("sqlite:///none.db")
    began = time.perf_counter()
    for _ in range(3):
        found = connections_report({"db": engine}, reader=reader)
    assert time.perf_counter() - began < 3
    assert [pool["in_use"] for pool in found["pools"]] == [0]
    assert (
        found["sockets"]["error"]
        == found["file_descriptors"]["error"]
        == "the system does not answer within 0.1 s"
    )
    assert found["threads"]["count"] >= 1
    assert len(asked) == 1, "it is not asked again before it has answered"
    over.set()
