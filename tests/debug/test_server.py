"""`serve`: the routes on a server of their own, beside whatever the process does, and gone without a trace."""

from __future__ import annotations

import asyncio
import json
import logging
import socket
import subprocess
import sys
import threading
import time

import httpx
import psutil
import pytest

from profkit import PerformanceProfiler
from profkit.debug import DebugServer, TokenAuth, serve
from profkit_storage import ConfigurationError
from tests.debug.conftest import TOKENS

HEADERS = {"Authorization": f"Bearer {TOKENS['all']}"}


def _servers() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "profkit-debug-server"]


def _open_connections(server: DebugServer) -> int:
    return sum(
        one.laddr.port == server.port and one.status == psutil.CONN_ESTABLISHED
        for one in psutil.Process().net_connections("tcp")
        if one.raddr
    )


@pytest.fixture
def auth() -> TokenAuth:
    return TokenAuth(TOKENS["all"])


def test_it_serves_at_its_url_until_it_is_closed(auth: TokenAuth, live_profiler: PerformanceProfiler) -> None:
    with serve(auth=auth, profiler=live_profiler) as server:
        assert server.url == f"http://127.0.0.1:{server.port}/"
        answer = httpx.get(server.url + "config", headers=HEADERS)
        assert answer.status_code == 200
        assert answer.json()["answered_by"]["service"] == "shop"
        assert "server" not in answer.headers
        assert httpx.get(server.url + "config").status_code == 401
        captured = httpx.post(server.url + "profile?seconds=0.2", headers=HEADERS, timeout=20)
        assert captured.status_code == 200
    with pytest.raises(httpx.ConnectError):
        httpx.get(server.url)
    assert not _servers()
    assert server.close(), "once more does no harm"


def test_the_applications_tasks_are_captured_and_its_loop_is_not_judged(auth: TokenAuth) -> None:
    async def waits() -> None:
        await asyncio.sleep(60)

    async def main(url: str) -> tuple[str, list[str]]:
        tasks = [asyncio.create_task(waits(), name=f"of the application {number}") for number in range(3)]
        async with httpx.AsyncClient(base_url=url, headers=HEADERS, timeout=20) as client:
            folded = await client.post("profile?seconds=0.3&format=folded")
            health = await client.get("health")
        for task in tasks:
            task.cancel()
        return folded.text, list(health.json()["checks"])

    with serve(auth=auth) as server:
        folded, checks = asyncio.run(main(server.url))
    assert "of the application" in folded
    assert "profkit-debug" not in folded
    assert checks == ["memory", "profile_store"]


def test_ipv6_has_its_brackets(auth: TokenAuth) -> None:
    with serve(auth=auth, host="::1") as server:
        assert server.url.startswith("http://[::1]:")
        assert httpx.get(server.url, headers=HEADERS).status_code == 200


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"port": 70_000}, "port=70000"),
        ({"port": "80"}, "port='80'"),
        ({"host": "203.0.113.1"}, "host='203.0.113.1'"),
        ({"host": "no such host.invalid"}, "no such host.invalid"),
        ({"auth": None}, "auth=None"),
        ({"pools": 3}, "pools"),
    ],
)
def test_what_is_not_allowed_is_said_at_once(
    auth: TokenAuth, arguments: dict[str, object], says: str
) -> None:
    with pytest.raises(ConfigurationError, match=says.replace("(", ".")):
        serve(**{"auth": auth, **arguments})  # type: ignore[arg-type]
    assert not _servers()


def test_a_port_that_is_taken_is_an_error_and_not_the_end_of_the_process(auth: TokenAuth) -> None:
    with serve(auth=auth) as server, pytest.raises(ConfigurationError, match="in use"):
        serve(auth=auth, port=server.port)


def test_the_applications_access_log_stays_as_it_is(
    auth: TokenAuth, caplog: pytest.LogCaptureFixture
) -> None:
    access = logging.getLogger("uvicorn.access")
    handler = logging.NullHandler()
    access.addHandler(handler)
    try:
        with caplog.at_level(logging.INFO), serve(auth=auth) as server:
            httpx.get(server.url + "config?token=oops", headers=HEADERS)
        assert access.handlers == [handler]
        assert access.propagate
    finally:
        access.removeHandler(handler)
    said = [record.getMessage() for record in caplog.records if not record.name.startswith("httpx")]
    assert not any("oops" in line for line in said)
    assert any("path='/config'" in line for line in said), "the audit record"


def test_clients_that_never_ask_are_bounded_and_close_waits_for_none(
    auth: TokenAuth, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("profkit.debug.server._IDLE", 0.5)
    server = serve(auth=auth)
    idle = [socket.create_connection(("127.0.0.1", server.port)) for _ in range(150)]
    for number, one in enumerate(idle[:60]):
        one.settimeout(10)
        one.sendall(b"GET / HTTP/1.1\r\nX-Slow: " if number % 2 else b"")
    time.sleep(0.2)
    assert _open_connections(server) <= 64, "no more, however many come"
    give_up = time.monotonic() + 10
    while _open_connections(server) and time.monotonic() < give_up:
        time.sleep(0.1)
    assert not _open_connections(server)
    assert httpx.get(server.url, headers=HEADERS).status_code == 200
    with socket.create_connection(("127.0.0.1", server.port)) as huge:
        huge.settimeout(10)
        huge.sendall(b"GET / HTTP/1.1\r\nHost: x\r\nX-Huge: " + b"x" * 200_000)
        assert b"400" in huge.recv(4096).split(b"\r\n")[0]
    began = time.monotonic()
    assert server.close()
    assert time.monotonic() - began < 4
    for one in idle:
        one.close()


def test_a_script_ends_as_if_there_were_none_and_a_forked_child_keeps_nothing() -> None:
    code = f"""
import os, sys, httpx, profkit.debug
server = profkit.debug.serve(auth=profkit.debug.TokenAuth({TOKENS["all"]!r}))
pid = os.fork()
if not pid:
    server.close()
    sys.exit(0 if server._socket.fileno() < 0 else 3)
child = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
print(child, httpx.get(server.url + "threads", headers={HEADERS!r}).status_code)
"""
    began = time.monotonic()
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (0, "0 200\n", "")
    assert time.monotonic() - began < 20


def test_the_other_threads_of_the_process_are_seen_through_it(auth: TokenAuth) -> None:
    over = threading.Event()
    thread = threading.Thread(target=over.wait, name="a worker of the application's")
    thread.start()
    with serve(auth=auth) as server:
        assert isinstance(server, DebugServer)
        found = json.loads(httpx.get(server.url + "threads", headers=HEADERS).content)
    over.set()
    thread.join()
    assert "a worker of the application's" in {row["name"] for row in found["threads"]}


def test_it_says_where_it_is_and_serves_below_debug_too(
    auth: TokenAuth, live_profiler: PerformanceProfiler, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level("INFO", logger="profkit"), serve(auth=auth, profiler=live_profiler) as server:
        assert f"the debug routes are at {server.url}" in caplog.text
        for path in ("", "debug/", "config", "debug/config", "debug/profile/settings"):
            assert httpx.get(server.url + path, headers=HEADERS).status_code == 200
        assert httpx.get(server.url + "debug/config").status_code == 401
        assert httpx.get(server.url + "debugger", headers=HEADERS).status_code == 404
        moved = httpx.get(server.url + "debug", headers=HEADERS)
        assert moved.is_redirect
        assert str(moved.next_request and moved.next_request.url) == server.url + "debug/"
        page = httpx.get(server.url + "debug/profile/settings", headers={**HEADERS, "accept": "text/html"})
        assert 'href="../assets/style.css"' in page.text
