"""Several workers of one server: each answers for itself, with the same tokens, and none waits for another."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pytest

from tests.debug.conftest import TOKENS

Headers = Callable[..., dict[str, str]]
APPLICATION = """
import profkit
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.responses import PlainTextResponse
from starlette.routing import Mount, Route
from profkit.asgi import ProfilingMiddleware
from profkit.debug import DiagnosticEndpoints, TokenAuth

profkit.configure(storage="memory://", service="shop", threshold=60)
app = Starlette(
    routes=[
        Route("/", lambda request: PlainTextResponse("hello")),
        Mount("/debug", DiagnosticEndpoints(auth=TokenAuth.from_env())),
    ],
    middleware=[Middleware(ProfilingMiddleware)],
)
"""


def client_of(address: str, **options: Any) -> httpx.Client:
    """A client that keeps its one connection."""
    limits = httpx.Limits(max_connections=1, keepalive_expiry=None)
    return httpx.Client(base_url=address, timeout=20, limits=limits, trust_env=False, verify=False, **options)


@pytest.fixture(scope="module")
def workers(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, int]]:
    """The address of uvicorn with two workers, and the pid of their parent."""
    directory = tmp_path_factory.mktemp("workers")
    (directory / "shop.py").write_text(APPLICATION)
    environ = {**os.environ, "PROFKIT_DEBUG_TOKENS": f"ops:read+profile+memory+manage={TOKENS['all']}"}
    environ["PYTHONPATH"] = os.pathsep.join([str(directory), *filter(None, sys.path)])
    with socket.create_server(("127.0.0.1", 0)) as listening:
        command = [sys.executable, "-m", "uvicorn", "shop:app", "--workers", "2"]
        command += ["--fd", str(listening.fileno()), "--log-level", "warning", "--timeout-keep-alive", "600"]
        server = subprocess.Popen(command, env=environ, pass_fds=[listening.fileno()], cwd=directory)
        address = f"http://127.0.0.1:{listening.getsockname()[1]}"
    try:
        yield address, server.pid
    finally:
        server.send_signal(signal.SIGTERM)
        try:
            server.wait(15)
        finally:
            server.kill()


@pytest.fixture(scope="module")
def of_each(workers: tuple[str, int]) -> Iterator[dict[int, httpx.Client]]:
    """By pid: a client whose one connection leads to that worker."""
    address, parent = workers
    headers = {"Authorization": f"Bearer {TOKENS['all']}"}
    found: dict[int, httpx.Client] = {}
    held: list[httpx.Client] = []
    give_up = time.monotonic() + 60
    while len(found) < 2:
        assert time.monotonic() < give_up, f"only {list(found)} answered"
        client = client_of(address, headers=headers)
        held.append(client)
        try:
            pid = client.get("/debug/").json()["answered_by"]["pid"]
        except httpx.TransportError:  # not up yet
            time.sleep(0.05)
            continue
        found.setdefault(pid, client)
    assert parent not in found
    yield found
    for client in held:
        client.close()


def test_a_token_is_good_in_each(of_each: dict[int, httpx.Client]) -> None:
    for pid, client in of_each.items():
        answer = client.get("/debug/config")
        assert answer.status_code == 200
        assert answer.json()["answered_by"]["pid"] == pid
        assert answer.headers["x-profkit-process"].endswith(f"pid={pid}")
        assert client.get("/debug/", headers={"Authorization": "Bearer wrong"}).status_code == 401
        assert client.get("/debug/", headers={"Authorization": ""}).status_code == 401


def test_each_says_that_it_is_the_one_that_answers(
    workers: tuple[str, int], of_each: dict[int, httpx.Client], bearer: Headers
) -> None:
    def ask(_: int) -> tuple[int, str]:
        with client_of(workers[0]) as client:
            answer = client.get("/debug/profile/settings", headers=bearer())
        return answer.json()["answered_by"]["pid"], answer.headers["x-profkit-process"]

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(ask, range(40)))
    assert {pid for pid, _ in answers} <= set(of_each)
    assert all(header.endswith(f"pid={pid}") for pid, header in answers)


def test_a_capture_in_one_does_not_hold_up_the_other(of_each: dict[int, httpx.Client]) -> None:
    (pid, one), (other_pid, other) = of_each.items()
    with ThreadPoolExecutor(1) as pool:
        capture = pool.submit(one.post, "/debug/profile?seconds=2")
        time.sleep(0.3)
        quick = other.post("/debug/profile?seconds=0.1")
        assert not capture.done(), "the other goes on meanwhile"
        slow = capture.result(20)
    assert (quick.status_code, slow.status_code) == (200, 200)
    assert quick.json()["answered_by"]["pid"] == quick.json()["profile"]["pid"] == other_pid
    assert slow.json()["answered_by"]["pid"] == slow.json()["profile"]["pid"] == pid
    assert one.get(f"/debug/profile/{slow.json()['id']}").status_code == 200
    assert other.get(f"/debug/profile/{slow.json()['id']}").status_code == 404, "the store is its own"


def test_a_setting_is_changed_in_one_alone(of_each: dict[int, httpx.Client]) -> None:
    one, other = of_each.values()
    assert one.post("/debug/profile/settings?threshold=7").json()["threshold"] == 7
    assert other.get("/debug/profile/settings").json()["threshold"] == 60


def test_a_form_of_a_page_of_one_is_taken_by_the_other(of_each: dict[int, httpx.Client]) -> None:
    one, other = of_each.values()
    browser = {"Authorization": httpx.BasicAuth("me", TOKENS["all"])._auth_header, "accept": "text/html"}
    page = one.get("/debug/profile/settings", headers=browser).text
    token = page.split('name="form_token" value="')[1].split('"')[0]
    done = other.post("/debug/profile/settings?enabled=true", headers=browser, data={"form_token": token})
    assert done.status_code == 303
