"""Every route, from the table, against every kind of caller: a new route cannot escape."""

from __future__ import annotations

import itertools
import logging
from collections.abc import Callable
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.testclient import TestClient

from profkit import PerformanceProfiler
from profkit.debug import CallableAuth, DiagnosticEndpoints, FailureLimits, Principal, TokenAuth
from profkit.debug.endpoints import ROUTES
from profkit.debug.failures import Failures
from profkit.debug.memory.backrefs import SEARCHABLE
from profkit_storage import ConfigurationError

Headers = Callable[..., dict[str, str]]
SOME_ID = "01M7YT3JT56YQNSWSGN4YNTX10"
PATHS = sorted({route.path.replace("{id}", SOME_ID) for route in ROUTES})
STRANGE = [
    "/nothing",
    "//",
    "//config",
    "/config/",
    "/config//",
    "/config/../config",
    "/%2e%2e/config",
    "/CONFIG",
    "/config%00",
    "/memory/trace/x",
    "/profile/",
    "/profile/../config",
    "/profile/x/y",
    "/openapi.yaml",
    "/docs",
    "/favicon.ico",
    "/static/style.css",
    "/templates/base.html",
]
METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "BREW"]
WRONG: list[dict[str, str]] = [
    {},
    {"Authorization": "Bearer wrong-0123456789abcdefghij"},
    {"Authorization": "Basic bWU6d3JvbmctMDEyMzQ1Njc4OWFiY2RlZmdoaWo="},
    {"Cookie": "session=admin", "X-Forwarded-For": "127.0.0.1", "X-Forwarded-User": "root"},
]
CAPTURES = {
    "POST /profile": "?seconds=0.1",
    "POST /memory/trace": "?seconds=1",
    "POST /memory/growth": "?seconds=1",
    "POST /memory/backrefs": "?type=builtins.module",
    "POST /profile/settings": "?enabled=true",
}


def mounted(app: Any) -> tuple[Any, str, str]:
    return Starlette(routes=[Mount("/debug", app)]), "/debug", ""


def mounted_twice_below_a_root(app: Any) -> tuple[Any, str, str]:
    inner = Starlette(routes=[Mount("/debug", app)])
    return Starlette(routes=[Mount("/inner", inner)]), "/service/inner/debug", "/service"


def alone(app: Any) -> tuple[Any, str, str]:
    return app, "", ""


@pytest.mark.parametrize("place", [alone, mounted, mounted_twice_below_a_root])
@pytest.mark.parametrize("path", PATHS + STRANGE)
def test_without_the_right_token_everything_is_401(
    endpoints: DiagnosticEndpoints, place: Any, path: str
) -> None:
    app, prefix, root = place(endpoints)
    methods = METHODS if path in PATHS else ["GET", "POST", "OPTIONS"]
    with TestClient(app, root_path=root, follow_redirects=False) as client:
        for method, headers in itertools.product(methods, WRONG):
            answer = client.request(method, f"http://testserver{prefix}{path}", headers=headers)
            assert answer.status_code == 401, (method, headers)
            assert answer.headers.get_list("www-authenticate") == [
                'Bearer realm="profkit"',
                'Basic realm="profkit", charset="UTF-8"',
            ]
            assert answer.headers["cache-control"] == "no-store"
            assert "shop" not in answer.text + str(answer.headers)
            assert "x-profkit-process" not in answer.headers


@pytest.mark.parametrize("place", [alone, mounted, mounted_twice_below_a_root])
@pytest.mark.parametrize("path", STRANGE)
def test_with_a_token_an_unknown_path_is_404(
    endpoints: DiagnosticEndpoints, bearer: Headers, place: Any, path: str
) -> None:
    app, prefix, root = place(endpoints)
    client = TestClient(app, root_path=root, follow_redirects=False)
    url = f"http://testserver{prefix}{path}"
    expected = {200, 404} if ".." in path or "%2e" in path else {404}  # clients resolve dots by themselves
    assert client.get(url, headers=bearer()).status_code in expected
    assert client.post(url, headers=bearer()).status_code in expected | {405}


@pytest.mark.parametrize("route", ROUTES, ids=lambda route: f"{route.method} {route.path}")
def test_each_route_asks_for_its_scope(debug_client: TestClient, bearer: Headers, route: Any) -> None:
    holders = {"reader": {"read"}, "profiler": {"profile"}, "keeper": {"memory"}}
    path = route.path.replace("{id}", SOME_ID)
    key = f"{route.method} {route.path}"
    for name, scopes in holders.items():
        if route.scope in scopes:
            continue
        answer = debug_client.request(route.method, path + "?nonsense=1", headers=bearer(name))
        assert answer.status_code == 403
        assert str(route.scope) in answer.json()["error"]["message"]
    answer = debug_client.request(route.method, path + CAPTURES.get(key, ""), headers=bearer())
    refused = key == "POST /memory/backrefs" and not SEARCHABLE
    assert answer.status_code == (404 if "{" in route.path else 501 if refused else 200)


def test_the_table_is_what_is_served(endpoints: DiagnosticEndpoints) -> None:
    served = {route.path for route in endpoints.app.routes}  # type: ignore[attr-defined]
    assert served == {route.path for route in ROUTES}
    assert {"/config", "/connections", "/memory", "/memory/trace", "/profile", "/profile/{id}"} <= served


def test_a_scope_that_is_missing_comes_before_a_method_that_is(
    debug_client: TestClient, bearer: Headers
) -> None:
    assert debug_client.get("/memory/trace", headers=bearer("reader")).status_code == 403
    answer = debug_client.get("/memory/trace", headers=bearer("keeper"))
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")
    answer = debug_client.delete("/profile", headers=bearer())
    assert (answer.status_code, answer.headers["allow"]) == (405, "GET, POST, HEAD")
    assert debug_client.options("/config", headers=bearer()).status_code == 405


def test_the_order_of_refusals(debug_client: TestClient, bearer: Headers) -> None:
    wrong = {"accept": "image/png"}
    url = "/memory/trace?seconds=many"
    assert debug_client.put(url, headers={**bearer("reader"), **wrong}).status_code == 403
    assert debug_client.put(url, headers={**bearer("keeper"), **wrong}).status_code == 405
    assert debug_client.post(url, headers={**bearer("keeper"), **wrong}).status_code == 406
    assert debug_client.post(url, headers=bearer("keeper")).status_code == 422


def test_what_is_not_enabled_does_not_exist(token_auth: TokenAuth, bearer: Headers) -> None:
    client = TestClient(DiagnosticEndpoints(auth=token_auth, enabled=False))
    for headers in ({}, bearer()):
        answer = client.get("/config", headers=headers)
        assert (answer.status_code, answer.text) == (404, "There is nothing here.")


@pytest.mark.parametrize("auth", [None, TokenAuth, "token", object(), lambda connection: True])
def test_without_auth_there_are_no_endpoints(auth: Any) -> None:
    with pytest.raises(ConfigurationError, match="auth="):
        DiagnosticEndpoints(auth=auth)


def test_pools_must_be_named(token_auth: TokenAuth) -> None:
    with pytest.raises(ConfigurationError, match="pools"):
        DiagnosticEndpoints(auth=token_auth, pools=[1])  # type: ignore[arg-type]


def test_a_websocket_is_closed(debug_client: TestClient, bearer: Headers) -> None:
    from starlette.websockets import WebSocketDisconnect

    with pytest.raises(WebSocketDisconnect), debug_client.websocket_connect("/config", headers=bearer()):
        pass


def test_failures_are_answered_429_and_a_right_token_still_gets_in(
    token_auth: TokenAuth, live_profiler: PerformanceProfiler, bearer: Headers
) -> None:
    limits = FailureLimits(per_peer=3, total=5, delay=0)
    app = DiagnosticEndpoints(auth=token_auth, profiler=live_profiler, limits=limits)
    first, second, third = (TestClient(app, client=(f"10.0.0.{n}", 1)) for n in (1, 2, 3))
    wrong = {"Authorization": "Bearer wrong"}
    assert [first.get("/", headers=wrong).status_code for _ in range(5)] == [401, 401, 401, 429, 429]
    assert [second.get("/", headers=wrong).status_code for _ in range(3)] == [401, 401, 429]  # in total
    assert int(second.get("/", headers=wrong).headers["retry-after"]) in range(1, 62)
    assert third.get("/").status_code == 401  # who tries nothing fails at nothing
    assert first.get("/", headers=bearer()).status_code == 200


def test_an_applications_own_auth_is_not_even_asked_beyond_the_limit(
    live_profiler: PerformanceProfiler,
) -> None:
    asked: list[str] = []

    def decide(connection: Any) -> Principal | None:
        asked.append(connection.headers["authorization"])
        return Principal("ann") if asked[-1] == "right" else None

    limits = FailureLimits(per_peer=2, delay=0)
    client = TestClient(DiagnosticEndpoints(auth=CallableAuth(decide), profiler=live_profiler, limits=limits))
    statuses = [client.get("/", headers={"Authorization": word}).status_code for word in ("a", "b", "right")]
    assert statuses == [401, 401, 429]
    assert asked == ["a", "b"]


def test_an_auth_that_raises_lets_nobody_in(live_profiler: PerformanceProfiler) -> None:
    def decide(connection: Any) -> Principal | None:
        raise RuntimeError("database password is hunter2")

    client = TestClient(DiagnosticEndpoints(auth=CallableAuth(decide), profiler=live_profiler))
    answer = client.get("/config")
    assert answer.status_code == 401
    assert "hunter2" not in answer.text
    assert live_profiler.faults.counts() == {"debug_auth_failed": 1}


def test_an_auth_that_says_anything_but_a_principal_lets_nobody_in() -> None:
    class Yes:
        unguessable = True
        credentials = ("authorization",)

        async def authenticate(self, connection: Any) -> Any:
            return True

    client = TestClient(DiagnosticEndpoints(auth=Yes(), limits=FailureLimits(delay=0)))
    assert client.get("/config", headers={"Authorization": "x"}).status_code == 401


def test_the_table_of_failures_is_bounded_and_forgets() -> None:
    now = [0.0]
    failures = Failures(FailureLimits(per_peer=2, total=10**6, window=60), lambda: now[0])

    def fail(peer: str) -> None:
        failures.end(failures.begin(peer), passed=False)

    for number in range(5000):
        fail(f"peer{number}")
        fail("constant")
    assert len(failures._peers) == 4096
    assert failures.begin("constant").wait == 61
    assert failures.begin("peer4999").wait == 0
    now[0] = 60.0
    assert failures.begin("constant").wait == 0


def test_failures_are_slowed(token_auth: TokenAuth) -> None:
    import time

    app = DiagnosticEndpoints(auth=token_auth, limits=FailureLimits(delay=0.1))
    client = TestClient(app)
    began = time.perf_counter()
    client.get("/", headers={"Authorization": "Bearer wrong"})
    assert time.perf_counter() - began >= 0.1


@pytest.mark.parametrize(
    "limits", [{"per_peer": 0}, {"total": 0}, {"window": 0.0}, {"delay": -1.0}, {"delay": 6.0}]
)
def test_impossible_limits_are_refused(limits: Any) -> None:
    with pytest.raises(ConfigurationError, match=next(iter(limits))):
        FailureLimits(**limits)


def test_each_request_leaves_one_audit_record(
    debug_client: TestClient, bearer: Headers, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, logger="profkit.audit")
    debug_client.get("/config?token=oops", headers=bearer("reader"))
    debug_client.post("/profile", headers=bearer("reader"))
    debug_client.get("/x%0aprincipal='root'", headers={"Authorization": "Bearer wrong-secret-value"})
    records = [record for record in caplog.records if record.name == "profkit.audit"]
    assert [record.levelname for record in records] == ["INFO", "WARNING", "WARNING"]
    fields = [record.audit for record in records]  # type: ignore[attr-defined]
    assert [(one["principal"], one["status"]) for one in fields] == [
        ("reader", 422),
        ("reader", 403),
        (None, 401),
    ]
    text = "\n".join(record.getMessage() for record in records)
    assert len(text.splitlines()) == 3
    assert "oops" not in text
    assert "wrong-secret-value" not in text
    assert "method='GET' path='/config' status=422" in text
