"""The debug routes as they are met: mounted in an application, behind a real server."""

from __future__ import annotations

import html
import json
import logging
import os
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from typing import Any
from urllib.parse import urljoin

import httpx
import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Mount, Route

from profkit import PerformanceProfiler
from profkit.asgi import ProfilingMiddleware
from profkit.debug import DiagnosticEndpoints
from profkit_storage import Trigger

Headers = Callable[..., dict[str, str]]
Serve = Callable[..., AbstractContextManager[httpx.Client]]


def settle(profiler: PerformanceProfiler) -> None:
    """Wait until what has been answered has ended too, and is stored."""
    give_up = time.monotonic() + 5
    while profiler.registry and time.monotonic() < give_up:
        time.sleep(0.002)
    time.sleep(0.05)  # it leaves the registry just before it is handed over
    assert profiler.flush()


async def slow(request: Request) -> Response:
    time.sleep(0.05)  # noqa: ASYNC251 - what the tool is there to find
    return PlainTextResponse("slow")


@pytest.fixture
def application(endpoints: DiagnosticEndpoints, live_profiler: PerformanceProfiler) -> Starlette:
    return Starlette(
        routes=[Route("/slow/{n}", slow), Mount("/debug", endpoints)],
        middleware=[Middleware(ProfilingMiddleware, live_profiler)],
    )


def test_a_slow_request_is_found_by_its_id(
    application: Starlette, live_profiler: PerformanceProfiler, serve: Serve, bearer: Headers
) -> None:
    with serve(application) as client:
        assert client.get("/slow/1", headers={"X-Request-ID": "req-1"}).headers["x-request-id"] == "req-1"
        settle(live_profiler)
        query = {"operation": "GET /slow/{n}"}
        (one,) = client.get("/debug/profile", params=query, headers=bearer()).json()["stored"]["profiles"]
        found = client.get(f"/debug/profile/{one['id']}", headers=bearer()).json()["profile"]
        assert found["request_id"] == "req-1"
        assert found["tags"]["status"] == 200
        assert "slow" in {one["called_from"] for one in found["hottest"]}


@pytest.mark.parametrize("root_path", ["", "/service"])
def test_every_link_of_every_page_leads_somewhere(
    application: Starlette, live_profiler: PerformanceProfiler, serve: Serve, basic: Headers, root_path: str
) -> None:
    browser = {**basic(), "accept": "text/html,*/*;q=0.8"}
    with serve(application, root_path=root_path) as client:
        client.get("/slow/1")
        settle(live_profiler)
        seen: set[str] = set()
        to_see = [str(client.base_url.join("/debug/"))]
        while to_see:
            url = to_see.pop()
            if url in seen:
                continue
            seen.add(url)
            answer = client.get(url, headers=browser)
            assert answer.status_code == 200, url
            if "text/html" in answer.headers["content-type"] and "format=" not in url:
                links = re.findall(r'(?:href|method="get" action)="([^"]*)"', answer.text)
                to_see += [urljoin(url, html.unescape(link)) for link in links]
        assert any("/profile/" in url for url in seen)
        assert any(url.endswith("assets/style.css") for url in seen)
        assert len(seen) >= 9


def test_the_debug_routes_leave_no_profile_of_their_own(
    application: Starlette, live_profiler: PerformanceProfiler, serve: Serve, bearer: Headers
) -> None:
    with serve(application) as client:
        id = client.post("/debug/profile?seconds=0.1", headers=bearer()).json()["id"]
        client.get("/debug/config")
        assert client.get("/debug/profile", headers=bearer()).json()["in_flight"] == []
        settle(live_profiler)
    assert live_profiler.storage is not None
    assert [entry.id for entry in live_profiler.storage.scan()] == [id]


def test_a_form_is_sent_as_a_browser_does(application: Starlette, serve: Serve, basic: Headers) -> None:
    browser = {**basic(), "accept": "text/html,*/*;q=0.8"}
    with serve(application) as client:
        page = client.get("/debug/profile", headers=browser).text
        token = re.search(r'name="form_token" value="([^"]*)"', page)
        assert token
        sent = {**browser, "origin": str(client.base_url).rstrip("/"), "sec-fetch-site": "same-origin"}
        answer = client.post("/debug/profile?seconds=0.2", headers=sent, data={"form_token": token[1]})
        assert answer.status_code == 303
        shown = client.get(urljoin(str(answer.url), answer.headers["location"]), headers=browser)
        assert shown.status_code == 200


def test_a_capture_ends_when_the_client_goes_away(
    application: Starlette, live_profiler: PerformanceProfiler, serve: Serve, bearer: Headers
) -> None:
    with serve(application) as client:
        token = bearer()["Authorization"]
        request = f"POST /debug/profile?seconds=50 HTTP/1.1\r\nHost: x\r\nAuthorization: {token}\r\n"
        address = (client.base_url.host, client.base_url.port or 80)
        with socket.create_connection(address, timeout=5) as connection:
            connection.sendall(f"{request}Content-Length: 0\r\n\r\n".encode())
            while not live_profiler.sampler.captures:
                time.sleep(0.005)
            busy = client.post("/debug/profile?seconds=1", headers=bearer())
            assert busy.status_code == 409
            time.sleep(0.15)
        give_up = time.monotonic() + 5
        while (again := client.post("/debug/profile?seconds=0.1", headers=bearer())).status_code == 409:
            assert time.monotonic() < give_up, "the capture went on without its client"
            time.sleep(0.01)
        assert again.status_code == 200
        assert live_profiler.flush()
        assert live_profiler.storage is not None
        (kept,) = live_profiler.storage.scan()
        assert kept.trigger is Trigger.MANUAL
        assert kept.id == again.json()["id"], "nobody asked for the part of the other any more"


def test_the_event_loop_goes_on_while_a_route_works(
    application: Starlette, serve: Serve, bearer: Headers
) -> None:
    with serve(application) as client, ThreadPoolExecutor(8) as pool:
        busy = [
            pool.submit(client.get, f"/debug/{path}", headers=bearer()) for path in ("memory", "config") * 3
        ]
        busy.append(pool.submit(client.post, "/debug/memory/trace?seconds=1", headers=bearer()))
        client.get("/slow/1")
        assert [one.result(20).status_code for one in busy] == [200] * 7


def test_the_process_is_the_one_that_answers(application: Starlette, serve: Serve, bearer: Headers) -> None:
    with serve(application) as client:
        answer = client.get("/debug/", headers=bearer())
    expected = {"host": socket.gethostname(), "pid": os.getpid(), "service": "shop"}
    assert answer.json()["answered_by"] == expected
    assert answer.headers["x-profkit-process"] == f"shop; host={socket.gethostname()}; pid={os.getpid()}"


def test_a_client_that_sends_rubbish_leaves_the_server_as_it_was(
    application: Starlette,
    live_profiler: PerformanceProfiler,
    serve: Serve,
    bearer: Headers,
    caplog: pytest.LogCaptureFixture,
) -> None:
    token = f"Host: x\r\nAuthorization: {bearer()['Authorization']}\r\n".encode()
    rubbish = [
        b"POST /debug/profile?seconds=0.1 HTTP/1.1\r\n" + token + b"Content-Length: 99\r\n\r\nshort",
        b"GET /debug/%ff%fe HTTP/1.1\r\n" + token + b"\r\n",
        b"GET /debug/config?%ff=%ff HTTP/1.1\r\nAccept: \xff\r\n" + token + b"\r\n",
        b"GET /debug/ HTTP/1.1\r\nHost: x\r\nAuthorization: \xff\xff\r\n\r\n",
    ]
    with serve(application) as client:
        for message in rubbish:
            with socket.create_connection(
                (client.base_url.host, client.base_url.port or 80), timeout=5
            ) as one:
                one.sendall(message)
                one.shutdown(socket.SHUT_WR)
                one.recv(65536)
        assert client.get("/debug/", headers=bearer()).status_code == 200
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]
    assert live_profiler.faults.counts() == {}


def test_without_the_extra_the_import_says_what_to_install() -> None:
    code = """
import importlib.util, json, sys
real = importlib.util.find_spec
class Hide:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("starlette", "jinja2"):
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Hide())
importlib.util.find_spec = lambda name, package=None: None if name in ("starlette", "jinja2") else real(name, package)
import profkit, profkit.asgi
from profkit_storage import ConfigurationError
try:
    import profkit.debug
except ImportError as error:
    print(json.dumps([str(error), isinstance(error, ConfigurationError)]))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    message, configuration = json.loads(done.stdout)
    assert 'pip install "profkit[web]"' in message
    assert "starlette and jinja2" in message
    assert configuration is True


def test_the_middleware_needs_no_web_framework() -> None:
    code = "import sys, profkit.asgi; assert not {'starlette', 'jinja2', 'anyio'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)


def test_no_thread_is_left_when_the_work_is_done(
    application: Starlette, serve: Serve, bearer: Headers
) -> None:
    def ours() -> list[Any]:
        return [thread for thread in threading.enumerate() if thread.name == "profkit-debug"]

    with serve(application) as client:
        for path in ("", "config", "memory", "connections", "profile"):
            assert (
                client.get(f"/debug/{path}", headers={**bearer(), "accept": "text/html"}).status_code == 200
            )
    give_up = time.monotonic() + 5
    while ours() and time.monotonic() < give_up:
        time.sleep(0.005)
    assert ours() == []
