"""What the routes answer, whichever it is."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import pytest
from starlette.testclient import TestClient

from profkit import PerformanceProfiler
from profkit.debug import DiagnosticEndpoints, TokenAuth
from profkit.debug.parameters import Parameters, text, whole

Headers = Callable[..., dict[str, str]]
HEADERS = {
    "cache-control": "no-store",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
    "referrer-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
}


@pytest.mark.parametrize("path", ["/", "/config", "/connections", "/memory", "/profile", "/nothing"])
@pytest.mark.parametrize("accept", ["application/json", "text/html"])
def test_every_answer_is_guarded_and_says_whose_it_is(
    debug_client: TestClient, bearer: Headers, path: str, accept: str
) -> None:
    answer = debug_client.get(path, headers={**bearer(), "accept": accept})
    assert answer.headers["content-type"].startswith(accept)
    assert {name: answer.headers[name] for name in HEADERS} == HEADERS
    policy = answer.headers["content-security-policy"]
    assert policy.startswith("default-src 'none'")
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert answer.headers["x-profkit-process"].startswith("shop; host=")
    if accept == "application/json":
        assert answer.json()["answered_by"]["service"] == "shop"


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        ("", "application/json"),
        ("*/*", "application/json"),
        ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", "text/html"),
        ("application/json;q=0.5, text/html;q=0.4", "application/json"),
        ("application/json;q=0.3, text/*;q=0.4", "text/html"),
        ("text/html;q=0, */*", "application/json"),
        ("TEXT/HTML", "text/html"),
        ("application/*", "application/json"),
        ("image/png", None),
        ("text/html;q=0", None),
        ("*/*;q=nan", None),
        (",;=", None),
    ],
)
def test_the_form_is_negotiated(
    debug_client: TestClient, bearer: Headers, accept: str, kind: str | None
) -> None:
    answer = debug_client.get("/", headers={**bearer(), "accept": accept})
    assert answer.status_code == (200 if kind else 406)
    assert answer.headers["content-type"].partition(";")[0] == (kind or "application/json")


def test_config_is_masked(token_auth: TokenAuth, bearer: Headers) -> None:
    config = {"database": {"url": "postgresql://app:hunter2@db/app"}, "api_key": "hunter2", "workers": 4}
    client = TestClient(DiagnosticEndpoints(auth=token_auth, config=config))
    for accept in ("application/json", "text/html"):
        answer = client.get("/config", headers={**bearer(), "accept": accept})
        assert answer.status_code == 200
        assert "hunter2" not in answer.text
        assert "workers" in answer.text
    assert client.get("/config", headers=bearer()).json()["application"]["values"]["workers"] == 4


def test_pools_are_shown(token_auth: TokenAuth, bearer: Headers) -> None:
    from sqlalchemy import create_engine

    engine = create_engine("sqlite://")
    client = TestClient(DiagnosticEndpoints(auth=token_auth, pools={"db": engine}))
    assert '"name":"db"' in client.get("/connections", headers=bearer()).text
    engine.dispose()


def test_operations_in_flight_are_shown_with_their_stacks(
    debug_client: TestClient, live_profiler: PerformanceProfiler, bearer: Headers
) -> None:
    entered, leave = threading.Event(), threading.Event()

    def work() -> None:
        with live_profiler.operation("orders.sync <b>", category="db"):
            entered.set()
            assert leave.wait(10)

    thread = threading.Thread(target=work, name="syncer")
    thread.start()
    try:
        assert entered.wait(10)
        document = debug_client.get("/profile", headers=bearer()).json()
        page = debug_client.get("/profile", headers={**bearer(), "accept": "text/html"}).text
    finally:
        leave.set()
        thread.join(10)
    (one,) = document["in_flight"]
    assert (one["name"], one["category"], one["thread"]) == ("orders.sync <b>", "db", "syncer")
    assert any("work" in line for line in one["stack"])
    assert document["recorder"]["in_flight"] == 1
    assert "orders.sync &lt;b&gt;" in page
    assert "<b>orders.sync <b>" not in page


@pytest.mark.parametrize(
    "query",
    [
        "limit=0",
        "limit=501",
        "limit=-1",
        "limit=²",
        "limit=1e2",
        "min_duration=-1",
        "min_duration=nan",
        "min_duration=much",
        "since=yesterday",
        "since=2026-03-14T15:00&until=2026-03-14T14:00",
        "since=0001-01-01T00:00:00%2B14:00",
        "limit=5&limit=6",
        "pages=2",
        "operation=" + "x" * 257,
        "%00=1",
    ],
)
def test_a_bad_parameter_is_422_and_named(debug_client: TestClient, bearer: Headers, query: str) -> None:
    answer = debug_client.get(f"/profile?{query}", headers=bearer())
    assert answer.status_code == 422
    assert "give" in answer.json()["error"]["message"]


@pytest.mark.parametrize("path", ["/", "/config", "/connections", "/memory", "/assets/style.css"])
def test_an_unknown_parameter_is_422(debug_client: TestClient, bearer: Headers, path: str) -> None:
    assert debug_client.get(f"{path}?x=1", headers=bearer()).status_code == 422


@pytest.mark.parametrize("accept", ["application/json", "text/html"])
def test_an_inner_error_is_500_without_a_word_from_inside(
    debug_client: TestClient,
    endpoints: DiagnosticEndpoints,
    live_profiler: PerformanceProfiler,
    bearer: Headers,
    accept: str,
) -> None:
    def fails() -> dict[str, object]:
        raise OSError("/srv/secret/path")

    object.__setattr__(endpoints.context, "connections", fails)
    answer = debug_client.get("/connections", headers={**bearer(), "accept": accept})
    assert answer.status_code == 500
    assert "secret" not in answer.text
    assert "Traceback" not in answer.text
    assert live_profiler.faults.counts() == {"debug_route_failed": 1}


def test_the_mount_without_its_slash_leads_to_it(endpoints: DiagnosticEndpoints, bearer: Headers) -> None:
    async def main() -> dict[str, Any]:
        sent: list[Any] = []

        async def send(message: Any) -> None:
            sent.append(message)

        async def receive() -> Any:
            return {"type": "http.request", "body": b"", "more_body": False}

        headers = [(b"authorization", bearer()["Authorization"].encode())]
        scope = {
            "type": "http",
            "method": "GET",
            "path": "/a/debug",
            "root_path": "/a/debug",
            "headers": headers,
        }
        await endpoints({**scope, "query_string": b""}, receive, send)
        return {"status": sent[0]["status"], **dict(sent[0]["headers"])}

    answer = asyncio.run(main())
    assert (answer["status"], answer[b"location"]) == (307, b"debug/")


def test_an_empty_field_is_not_filled_in() -> None:
    from starlette.datastructures import QueryParams

    limit, name = whole("limit", "", low=1, high=9, default=7), text("operation", "")
    given = Parameters(QueryParams("limit=&operation=x"), (limit, name))
    assert (given[limit], given[name]) == (7, "x")
    assert given.texts == {"limit": "", "operation": "x"}


def test_refusals_say_what_would_do(debug_client: TestClient, bearer: Headers) -> None:
    def said(*, method: str = "GET", path: str = "/tasks", headers: dict[str, str]) -> str:
        return str(debug_client.request(method, path, headers=headers).json()["error"]["message"])

    assert said(headers={}).startswith("Give a token")
    assert said(headers={"authorization": "Bearer nobody"}).startswith("These credentials are not known here")
    assert said(method="POST", headers=bearer()).endswith("give GET or HEAD.")
    assert said(path="/memory/gc", headers=bearer()).endswith("give POST.")
    assert "lists what there is" in said(path="/nope", headers=bearer())
    page = debug_client.get("/nope", headers={**bearer(), "accept": "text/html"}).text
    assert "<h1>Not Found (404)</h1>" in page
    assert '<a href="./">To the overview</a>' in page
