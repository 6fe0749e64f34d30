"""The routes of memory as they are served: forms, images, refusals, callers who leave."""

from __future__ import annotations

import re
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any
from urllib.parse import unquote
from xml.etree import ElementTree as ET

import httpx
import pytest
from starlette.testclient import TestClient

from profkit.debug import DiagnosticEndpoints
from profkit.debug.memory import census, collector
from profkit.debug.memory.backrefs import SEARCHABLE
from profkit.debug.memory.census import recent_census
from profkit.debug.memory.single import memory_job
from profkit.debug.memory.tracing import trace_memory

Headers = Callable[..., dict[str, str]]
Serve = Callable[..., AbstractContextManager[httpx.Client]]
BROWSER = {"accept": "text/html,application/xhtml+xml,image/avif,*/*;q=0.8"}
KEPT: list[Any] = []


class Leaf:
    """What is looked for."""


NAME = f"{__name__}.Leaf"
searched = pytest.mark.skipif(not SEARCHABLE, reason="refused on Python 3.12, which it can crash")
BACKREFS = f"/memory/backrefs?type={NAME}"


@pytest.fixture(autouse=True)
def fresh(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """No cost and no count of another test, a limit that a busy machine does not reach, and something to find."""
    monkeypatch.setattr(census, "LOOK_LIMIT", 60.0)
    for one in (recent_census, census.listing, collector._collecting):
        one.forget()
    KEPT[:] = [Leaf() for _ in range(100)]
    yield
    KEPT.clear()
    for one in (census.listing, collector._collecting):
        one.forget()


def test_each_job_answers(debug_client: TestClient, bearer: Headers) -> None:
    for path, key in (
        ("trace?seconds=1&frames=3&top=5", "tracebacks"),
        ("growth?seconds=1&top=3&collect=true", "grown"),
        (f"backrefs?type={NAME}&count=1", "chains"),
        ("gc?generation=1", "collected"),
    ):
        answer = debug_client.post(f"/memory/{path}", headers=bearer("keeper"))
        if key == "chains" and not SEARCHABLE:
            assert answer.status_code == 501
            continue
        assert answer.status_code == 200, answer.text
        document = answer.json()
        assert key in document
        assert document["stall_seconds"] >= 0
        assert document["answered_by"]["service"] == "shop"


@searched
def test_chains_come_as_data_as_a_page_and_as_an_image(debug_client: TestClient, bearer: Headers) -> None:
    document = debug_client.post(BACKREFS, headers=bearer()).json()
    assert document["found"] == 100
    assert document["chains"][0]["hops"][-1]["type"] == NAME
    page = debug_client.post(BACKREFS, headers={**bearer(), **BROWSER})
    assert page.headers["content-type"].startswith("text/html")
    assert ".KEPT" in page.text
    assert NAME in page.text
    images = [
        debug_client.post(f"{BACKREFS}&format=svg", headers={**bearer(), **BROWSER}),
        debug_client.post(BACKREFS, headers={**bearer(), "accept": "image/svg+xml"}),
    ]
    for image in images:
        assert image.headers["content-type"] == "image/svg+xml"
        assert image.headers["content-security-policy"] == "default-src 'none'; frame-ancestors 'none'"
        assert image.headers["x-content-type-options"] == "nosniff"
        assert NAME in "".join(ET.fromstring(image.content).itertext())
    told = debug_client.post(f"{BACKREFS}&format=json", headers={**bearer(), "accept": "image/svg+xml"})
    assert told.json()["found"] == 100


@pytest.mark.parametrize(
    "query",
    [
        "memory/trace?frames=0",
        "memory/trace?frames=6",
        "memory/trace?seconds=61",
        "memory/trace?top=501",
        "memory/growth?seconds=0.5",
        "memory/growth?collect=yes",
        "memory/growth?top=0",
        "memory/backrefs",
        "memory/backrefs?type=",
        f"memory/backrefs?type={'x' * 257}",
        "memory/backrefs?type=x&count=6",
        "memory/backrefs?type=x&objects=999",
        "memory/backrefs?type=x&seconds=61",
        "memory/backrefs?type=x&format=dot",
        "memory/gc?generation=3",
        "memory/gc?seconds=1",
    ],
)
def test_bad_parameters_are_422(debug_client: TestClient, bearer: Headers, query: str) -> None:
    assert debug_client.post(f"/{query}", headers=bearer()).status_code == 422


@pytest.mark.parametrize(
    "path",
    [
        "trace?seconds=1",
        "growth?seconds=1",
        pytest.param(f"backrefs?type={NAME}", marks=searched),
        "gc",
    ],
)
def test_one_job_of_all_at_a_time(debug_client: TestClient, bearer: Headers, path: str) -> None:
    stop = threading.Event()
    job = threading.Thread(target=trace_memory, args=(30,), kwargs={"stop": stop})
    job.start()
    try:
        while not memory_job.tracing:
            time.sleep(0.001)
        answer = debug_client.post(f"/memory/{path}", headers=bearer())
        # Everything takes several times longer while it traces: on a busy machine longer than is waited for.
        while (looked := debug_client.get("/memory", headers=bearer())).status_code == 503:
            time.sleep(0.1)
        assert looked.json()["tracemalloc"]["by_profkit"] is True
    finally:
        stop.set()
        job.join()
    assert answer.status_code == 409
    assert int(answer.headers["retry-after"]) >= 1


def test_what_would_hurt_is_refused_in_plain_words(debug_client: TestClient, bearer: Headers) -> None:
    census.listing.learn(1, 1.0)
    collector._collecting.learn(1, 1.0)
    for path, words in (
        ("growth?seconds=1", "counting their types would stop this process for about"),
        ("gc", "a full collection would stop this process for about"),
    ):
        answer = debug_client.post(f"/memory/{path}", headers=bearer())
        assert answer.status_code == 422
        assert words in answer.json()["error"]["message"]
        assert "retry-after" not in answer.headers
    page = debug_client.get("/memory", headers={**bearer(), **BROWSER})
    assert "Not counted now" in page.text
    assert not memory_job._lock.locked()


def test_the_page_offers_what_its_reader_may_do(
    debug_client: TestClient, bearer: Headers, basic: Headers
) -> None:
    page = debug_client.get("/memory", headers={**basic(), **BROWSER}).text
    actions = {unquote(action) for action in re.findall(r'action="\./memory/([^"]*)"', page)}
    assert actions == {"gc", "trace", "growth", *(["backrefs"] if SEARCHABLE else [])}
    assert ('name="type" value="builtins.dict"' in page) is SEARCHABLE
    assert page.count('name="form_token"') == page.count('method="post"') == len(actions) + SEARCHABLE
    assert "<script>" not in page
    reader = debug_client.get("/memory", headers={**bearer("reader"), **BROWSER}).text
    assert 'method="post"' not in reader
    assert "builtins.<wbr>dict" in reader


@pytest.fixture
def allocating() -> Iterator[None]:
    """Something else allocates and keeps memory meanwhile."""
    kept: list[bytes] = []
    done = threading.Event()

    def allocate() -> None:
        while not done.wait(0.02):
            kept.append(bytes(20_000 + len(kept)))

    thread = threading.Thread(target=allocate)
    thread.start()
    yield
    done.set()
    thread.join()


@pytest.mark.usefixtures("allocating")
def test_a_form_of_the_page_is_a_job(debug_client: TestClient, basic: Headers) -> None:
    page = debug_client.get("/memory", headers={**basic(), **BROWSER}).text
    token = re.search(r'name="form_token" value="([^"]*)"', page)
    assert token
    for path, word in (
        ("trace?seconds=1&frames=5", "<h2>tracebacks</h2>"),
        ("growth?seconds=1", "<h1>memory growth</h1>"),
        ("gc", "<h1>garbage collected</h1>"),
    ):
        url = f"/memory/{path}"
        refused = debug_client.post(url, headers={**basic(), **BROWSER})
        assert refused.status_code == 403
        answer = debug_client.post(url, headers={**basic(), **BROWSER}, data={"form_token": token[1]})
        assert answer.status_code == 200
        assert word in answer.text
        assert 'aria-current="page">memory' in answer.text


@pytest.mark.parametrize("path", ["trace?seconds=50", "growth?seconds=50"])
def test_a_job_ends_when_its_caller_goes_away(
    endpoints: DiagnosticEndpoints, serve: Serve, bearer: Headers, path: str
) -> None:
    with serve(endpoints) as client:
        token = bearer()["Authorization"]
        request = (
            f"POST /memory/{path} HTTP/1.1\r\nHost: x\r\nAuthorization: {token}\r\nContent-Length: 0\r\n\r\n"
        )
        address = (client.base_url.host, client.base_url.port or 80)
        with socket.create_connection(address, timeout=5) as connection:
            connection.sendall(request.encode())
            while not memory_job._lock.locked():
                time.sleep(0.005)
            assert client.post("/memory/gc?generation=0", headers=bearer()).status_code == 409
            time.sleep(0.3)
        give_up = time.monotonic() + 15
        while client.post("/memory/gc?generation=0", headers=bearer()).status_code == 409:
            assert time.monotonic() < give_up, "the job went on without its caller"
            time.sleep(0.02)
