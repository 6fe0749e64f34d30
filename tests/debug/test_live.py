"""What is live is as it is now, and says of which process; what names it is masked."""

from __future__ import annotations

import dataclasses
import os
import threading
from collections.abc import Callable
from contextvars import Context
from typing import Any

import httpx
import pytest
from starlette.testclient import TestClient

from profkit import PerformanceProfiler
from profkit.debug.summary import describe_entry, summary
from profkit.masking import masker
from profkit.requests import RequestContext, request_context
from profkit_storage import ChildOperation
from profkit_storage.memory import MemoryStorage

Headers = Callable[..., dict[str, str]]
KEY = "sk-live_abcdefghijklmnopqrstuvwxyz012345"
TOKEN = "ghp_abcdefghijklmnopqrstuvwxyz0123456789"
BROWSER = {"accept": "text/html"}


def ask(client: TestClient, path: str, headers: dict[str, str]) -> httpx.Response:
    """Ask from outside of any operation: a test client's request is otherwise one made inside the test's own."""
    return Context().run(client.get, path, headers=headers)


def test_what_has_ended_is_in_flight_no_more(
    debug_client: TestClient, live_profiler: PerformanceProfiler, bearer: Headers
) -> None:
    def flying() -> list[str]:
        return [one["name"] for one in ask(debug_client, "/profile", bearer()).json()["in_flight"]]

    with live_profiler.operation("first"):
        assert flying() == ["first"]
    assert flying() == []
    with live_profiler.operation("second"):
        assert flying() == ["second"]


@pytest.mark.parametrize("path", ["connections", "memory"])
def test_every_report_is_made_for_who_asks(
    debug_client: TestClient, bearer: Headers, path: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    def threads() -> list[str]:
        names = debug_client.get("/connections", headers=bearer()).json()["threads"]["names"]
        return [one["name"] for one in names]

    if path == "memory":
        first, second = (debug_client.get("/memory", headers=bearer()).json()["process"]["age"] for _ in "12")
        assert second >= first  # counted seldom, and says how long ago
        return
    stop = threading.Event()
    before = threads()
    thread = threading.Thread(target=stop.wait, args=(10,), name="just-begun")
    thread.start()
    try:
        assert "just-begun" not in before
        assert "just-begun" in threads()
    finally:
        stop.set()
        thread.join()


def test_a_stored_profile_is_listed_at_once(
    debug_client: TestClient, live_profiler: PerformanceProfiler, bearer: Headers
) -> None:
    def listed() -> int:
        return len(debug_client.get("/profile", headers=bearer()).json()["stored"]["profiles"])

    assert listed() == 0
    with live_profiler.operation("one"):
        pass
    assert live_profiler.flush()
    assert listed() == 1


@pytest.mark.parametrize("path", ["/", "/profile"])
def test_a_page_says_that_it_is_of_one_process(debug_client: TestClient, bearer: Headers, path: str) -> None:
    page = debug_client.get(path, headers={**bearer(), **BROWSER}).text
    assert f"This process only: pid {os.getpid()}" in page


@pytest.mark.parametrize("accept", ["application/json", "text/html"])
def test_operations_in_flight_are_masked(
    debug_client: TestClient, live_profiler: PerformanceProfiler, bearer: Headers, accept: str
) -> None:
    token = request_context.set(RequestContext(TOKEN))
    try:
        with live_profiler.operation("work", category=KEY):
            answer = ask(debug_client, "/profile", {**bearer(), "accept": accept})
    finally:
        request_context.reset(token)
    assert answer.status_code == 200
    assert KEY not in answer.text
    assert TOKEN not in answer.text
    assert "***" in answer.text


def test_nothing_of_a_profile_is_shown_as_it_came(make_profile: Any) -> None:
    child = ChildOperation(KEY, KEY, 0.1, 0.2, {})
    profile = make_profile(category=KEY, children=(child,), tags={})
    sampling = dataclasses.replace(profile.sampling, engine=KEY)
    frames = tuple(frame._replace(distribution=KEY) for frame in profile.frames)
    names = dict.fromkeys(
        ("operation", "service", "version", "host", "python", "request_id", "trace_id"), KEY
    )
    profile = dataclasses.replace(profile, sampling=sampling, frames=frames, span_id=KEY, **names)
    found = repr(summary(profile, masker))
    assert KEY not in found
    store = MemoryStorage()
    assert KEY not in repr(describe_entry(store.put(profile), masker))


@pytest.mark.parametrize(
    "id",
    [
        "218b0ab3-1a1c-4d39-872d-fa5cb408ead7",
        "f739243f7ae6c126710fb373724242aa",
        "01M7YWMWBMBNMNCEJS5N4B247K",
        "Root=1-67891233-abcdef012345678912345678",
        "req-77",
        "",
    ],
)
def test_an_id_that_is_one_is_shown(make_profile: Any, id: str) -> None:
    assert summary(make_profile(request_id=id), masker)["request_id"] == id
