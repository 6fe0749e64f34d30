"""The OpenAPI document says what the routes do: parameters, answers, scopes, and where they are."""

from __future__ import annotations

import asyncio
import json
import runpy
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any, Literal, NotRequired, TypedDict

import jsonschema_rs
import pytest
import schemathesis
from starlette.applications import Starlette
from starlette.datastructures import QueryParams
from starlette.routing import Mount
from starlette.testclient import TestClient

from profkit import PerformanceProfiler
from profkit.debug import DebugContext, DiagnosticEndpoints, HealthChecker, TokenAuth
from profkit.debug.context import Snapshot
from profkit.debug.endpoints import ROUTES
from profkit.debug.memory.backrefs import SEARCHABLE
from profkit.debug.negotiation import JSON
from profkit.debug.openapi import document
from profkit.debug.parameters import Parameter, Parameters
from profkit.debug.problems import Problem
from profkit.debug.schemas import Schemas
from profkit_storage import Trigger
from profkit_storage.ulid import new_ulid

Headers = Callable[..., dict[str, str]]
ROOT = Path(__file__).parents[2]
LISTED = [route for route in ROUTES if route.listed]
DOCUMENT: Any = json.loads(json.dumps(document(ROUTES)))
QUERIES = {
    "POST /profile": "seconds=0.1",
    "POST /memory/trace": "seconds=1",
    "POST /memory/growth": "seconds=1",
    "POST /memory/backrefs": "type=builtins.module&seconds=1",
    "POST /profile/settings": "threshold=0",
}
"""What a route must be given, and what makes it quick."""
JSON_ROUTES = [route for route in ROUTES if JSON in route.offers and route.path != "/openapi.json"]
PARAMETERS = [(route, one) for route in ROUTES for one in route.parameters]


def named(route: Any) -> str:
    return f"{route.method} {route.path}"


def closed(schema: Any) -> Any:
    """The same schema, which no name may be beyond."""
    if isinstance(schema, list):
        return [closed(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    made = {name: closed(one) for name, one in schema.items()}
    return {**made, "additionalProperties": False} if isinstance(made.get("properties"), dict) else made


def validator(schema: Any) -> Any:
    components = closed(DOCUMENT["components"])
    return jsonschema_rs.Draft202012Validator({**closed(schema), "components": components})


def complaints(schema: Any, instance: Any) -> list[str]:
    return [
        f"{list(error.instance_path)}: {error.message}" for error in validator(schema).iter_errors(instance)
    ]


def schema_of(route: Any, status: int) -> Any:
    operation = DOCUMENT["paths"][route.path][route.method.lower()]
    return operation["responses"][str(status)]["content"][JSON]["schema"]


@pytest.fixture
def busy(live_profiler: PerformanceProfiler, make_profile: Any) -> Iterator[tuple[PerformanceProfiler, str]]:
    """A profiler with operations in flight, in a thread and in tasks, and with profiles of every trigger stored."""
    assert live_profiler.storage is not None
    now, ids = time.time_ns(), []
    for number, trigger in enumerate(Trigger):
        start_ns = now - number * 10**9
        ids.append(new_ulid(start_ns))
        tags = {"q": "x", "rows": 3, "password": "hunter2", "share": 2.5, "hit": True}
        live_profiler.storage.put(make_profile(id=ids[-1], start_ns=start_ns, trigger=trigger, tags=tags))
    entered, leave = threading.Event(), threading.Event()

    async def sleeper() -> None:
        await asyncio.gather(asyncio.sleep(60), asyncio.Event().wait())

    async def main() -> None:
        with live_profiler.operation("orders.sync", category="db"):
            tasks = [asyncio.create_task(sleeper(), name=f"sleeper {number}") for number in range(5)]
            await asyncio.sleep(0.05)
            entered.set()
            await asyncio.to_thread(leave.wait)
            for task in tasks:
                task.cancel()

    thread = threading.Thread(target=lambda: asyncio.run(main()), name="syncer")
    thread.start()
    try:
        assert entered.wait(10)
        yield live_profiler, ids[0]
    finally:
        leave.set()
        thread.join(10)


@pytest.fixture
def busy_client(
    busy: tuple[PerformanceProfiler, str], endpoints: DiagnosticEndpoints
) -> Iterator[tuple[TestClient, str]]:
    with TestClient(endpoints, follow_redirects=False) as client:
        yield client, busy[1]


@pytest.mark.parametrize("route", JSON_ROUTES, ids=named)
def test_every_answer_is_as_its_schema_says(
    busy_client: tuple[TestClient, str], bearer: Headers, route: Any
) -> None:
    client, id = busy_client
    path = f"{route.path.replace('{id}', id)}?{QUERIES.get(named(route), '')}"
    answer = client.request(route.method, path, headers=bearer())
    if named(route) == "POST /memory/backrefs" and not SEARCHABLE:
        assert answer.status_code == 501
        return
    assert answer.status_code in route.statuses, answer.text
    assert complaints(schema_of(route, answer.status_code), answer.json()) == []


@pytest.mark.parametrize("route", LISTED, ids=named)
def test_every_refusal_is_as_its_schema_says(debug_client: TestClient, bearer: Headers, route: Any) -> None:
    path = route.path.replace("{id}", new_ulid(0))
    refused = [
        (401, debug_client.request(route.method, path)),
        (406, debug_client.request(route.method, path, headers={**bearer(), "accept": "image/png"})),
        (405, debug_client.put(path, headers=bearer())),
        (422, debug_client.request(route.method, f"{path}?nonsense=1", headers=bearer())),
    ]
    for status, answer in refused:
        assert answer.status_code == status
        assert complaints(schema_of(route, status), answer.json()) == []


def test_busy_operations_and_tasks_are_in_what_is_checked(
    busy_client: tuple[TestClient, str], bearer: Headers
) -> None:
    client, _ = busy_client
    assert client.get("/profile", headers=bearer()).json()["in_flight"][0]["stack"]
    tasks = client.get("/tasks", headers=bearer()).json()["tasks"]
    assert {one["state"] for one in tasks} >= {"waiting"}
    assert {one["operation"] for one in tasks} == {"orders.sync", None}


def test_an_unhealthy_process_is_described_too(token_auth: TokenAuth, bearer: Headers) -> None:
    checks = HealthChecker().add("db", lambda: False, probes=["liveness", "readiness", "startup"])
    client = TestClient(DiagnosticEndpoints(auth=token_auth, checks=checks, probes=True))
    for route in (one for one in ROUTES if 503 in one.statuses):
        answer = client.get(route.path, headers=bearer())
        assert answer.status_code == 503
        assert answer.json()["checks"]["db"]["status"] == "unhealthy"
        assert complaints(schema_of(route, 503), answer.json()) == []
        if route.to_anybody:
            told = client.get(route.path)
            assert told.json() == {"status": "unhealthy"}
            assert complaints(schema_of(route, 503), told.json()) == []


def test_the_bundle_is_as_its_type_says(busy: tuple[PerformanceProfiler, str]) -> None:
    schemas = Schemas()
    schema = {**schemas.of(Snapshot), "components": {"schemas": schemas.named}}
    taken = DebugContext(profiler=busy[0]).snapshot()
    check = jsonschema_rs.Draft202012Validator(closed(schema))
    assert [error.message for error in check.iter_errors(taken)] == []
    part = DebugContext(profiler=busy[0]).snapshot("tasks")
    assert check.is_valid(part)
    assert set(part) == {"answered_by", "taken_at", "tasks"}


@pytest.mark.parametrize("route", JSON_ROUTES, ids=named)
def test_an_answer_that_differs_is_found_to(route: Any) -> None:
    schema = schema_of(route, 200)
    report = schema["anyOf"][0] if "anyOf" in schema else schema
    assert len(report["required"]) > 1, "every answer has a type"
    assert not validator(schema).is_valid({"answered_by": {"host": "", "pid": 1, "service": ""}})
    assert not validator(report).is_valid({})


def test_the_document_is_openapi() -> None:
    schemathesis.openapi.from_dict(DOCUMENT).validate()
    broken = {**DOCUMENT, "paths": {"tasks": {}}}
    with pytest.raises(Exception, match="tasks"):
        schemathesis.openapi.from_dict(broken).validate()


def test_every_route_is_in_it_and_no_other() -> None:
    told = {(method.upper(), path) for path, methods in DOCUMENT["paths"].items() for method in methods}
    assert told == {(route.method, route.path) for route in LISTED}
    assert len(
        {one["operationId"] for methods in DOCUMENT["paths"].values() for one in methods.values()}
    ) == len(told)
    for route in LISTED:
        operation = DOCUMENT["paths"][route.path][route.method.lower()]
        assert operation["security"] == [{"bearer": [route.scope]}, {"basic": [route.scope]}]
        assert ("409" in operation["responses"]) == (route.job is not None)
        assert set(operation["responses"]["200"]["content"]) >= set(route.offers)


def test_it_is_served_to_who_may_read(debug_client: TestClient, bearer: Headers) -> None:
    answer = debug_client.get("/openapi.json", headers=bearer("reader"))
    assert answer.json() == {**DOCUMENT, "servers": [{"url": "/"}]}
    assert answer.headers["x-profkit-process"].startswith("shop; ")
    assert debug_client.get("/openapi.json", headers=bearer("profiler")).status_code == 403
    assert debug_client.get("/openapi.json", headers={**bearer(), "accept": "text/html"}).status_code == 406


@pytest.mark.parametrize(
    ("mounts", "root", "server"),
    [
        (["/debug"], "", "/debug"),
        (["/inner", "/debug"], "/service", "/service/inner/debug"),
        (["/ünter den"], "", "/%C3%BCnter%20den"),
    ],
)
def test_it_says_where_the_routes_are(
    endpoints: DiagnosticEndpoints, bearer: Headers, mounts: list[str], root: str, server: str
) -> None:
    app: Any = endpoints
    for mount in reversed(mounts):
        app = Starlette(routes=[Mount(mount, app)])
    client = TestClient(app, root_path=root)
    found = client.get(f"{root}{''.join(mounts)}/openapi.json", headers=bearer()).json()
    assert found["servers"] == [{"url": server}]
    assert client.get(f"{server}/tasks", headers=bearer()).status_code == 200


def test_the_index_has_the_same_parameters(debug_client: TestClient, bearer: Headers) -> None:
    for row in debug_client.get("/", headers=bearer()).json()["routes"]:
        operation = DOCUMENT["paths"][row["path"]][row["method"].lower()]
        told = [one for one in operation["parameters"] if one["in"] == "query"]
        assert [one["name"] for one in told] == [one["name"] for one in row["parameters"]]
        assert [one["schema"].get("default") for one in told] == [one["default"] for one in row["parameters"]]


def refusal(parameter: Parameter[Any], text: str) -> str | None:
    try:
        Parameters(QueryParams({parameter.name: text}), (parameter,))
    except Problem as problem:
        return f"{problem.status} {problem.message}"
    return None


@pytest.mark.parametrize(
    ("route", "parameter"), PARAMETERS, ids=[f"{named(route)} {one.name}" for route, one in PARAMETERS]
)
def test_what_a_parameter_takes_is_what_its_schema_says(route: Any, parameter: Parameter[Any]) -> None:
    check = jsonschema_rs.Draft202012Validator(dict(parameter.schema), validate_formats=True)
    given: list[Any] = [
        True,
        False,
        "true",
        "default",
        "2026-03-14",
        "2026-03-14T15:00:00Z",
        "yes",
        "x" * 300,
    ]
    for bounds in (parameter.schema, *parameter.schema.get("anyOf", ())):  # type: ignore[attr-defined]
        given += bounds.get("enum", [])
        for bound in (bounds.get("minimum"), bounds.get("maximum")):
            given += [] if bound is None else [bound, bound - 1, bound + 1, bound - 0.01, bound + 0.01]
    for value in given:
        text = str(value).lower() if isinstance(value, bool) else str(value)
        # A query is text: what may be read as another type is that too.
        meant = [value, text, *([json.loads(text)] if text in {"true", "false"} else [])]
        refused = refusal(parameter, text)
        assert (refused is None) == any(map(check.is_valid, meant)), value
        if refused is not None:
            assert refused.startswith("422 ")
            assert refused.endswith((f"give {parameter.allowed}.", "give at most 256 characters."))
    if parameter.default is not None:
        assert check.is_valid(parameter.default)
        assert refusal(parameter, str(parameter.default)) is None


def test_a_whole_number_may_be_written_as_another() -> None:
    limit = next(one for _, one in PARAMETERS if one.name == "limit")
    assert [limit.read(text) for text in ("2", "2.0", "02.000")] == [2, 2, 2]
    for text in ("2.", "2.5", "2e0", "+2", " 2", "2_0", "٢", "2.0.0", "1" * 10):
        assert refusal(limit, text), text


def test_a_time_is_read_as_one_of_this_zone_or_none() -> None:
    since = next(one for _, one in PARAMETERS if one.name == "since")
    assert since.read("2026-03-14") == datetime(2026, 3, 14, tzinfo=UTC)
    assert since.read("2026-03-14T15:00:00+02:00") == datetime(2026, 3, 14, 13, tzinfo=UTC)


class Leaf(TypedDict):
    """A leaf."""

    kind: Literal["a", "b"]
    inside: list[Leaf]


class Tree(TypedDict):
    size: Annotated[int | None, "bytes"]
    by_name: dict[str, Leaf | None]
    always: Literal[True]
    anything: object
    absent: NotRequired[float]


def test_types_become_schemas() -> None:
    schemas = Schemas()
    assert schemas.of(Tree) == {"$ref": "#/components/schemas/Tree"}
    leaf = {"$ref": "#/components/schemas/Leaf"}
    assert schemas.named == {
        "Leaf": {
            "description": "A leaf.",
            "type": "object",
            "properties": {
                "kind": {"type": "string", "enum": ["a", "b"]},
                "inside": {"type": "array", "items": leaf},
            },
            "required": ["kind", "inside"],
        },
        "Tree": {
            "type": "object",
            "properties": {
                "size": {"type": ["integer", "null"], "description": "bytes"},
                "by_name": {"type": "object", "additionalProperties": {"anyOf": [leaf, {"type": "null"}]}},
                "always": {"type": "boolean", "const": True},
                "anything": {},
                "absent": {"type": "number"},
            },
            "required": ["size", "by_name", "always", "anything"],
        },
    }


@pytest.mark.parametrize("kind", [set, dict[int, str], tuple[int, ...], Path, bytes])
def test_a_type_that_json_has_not_is_refused(kind: Any) -> None:
    with pytest.raises(TypeError, match="no JSON Schema"):
        Schemas().of(kind)


def test_two_types_of_one_name_are_refused() -> None:
    class Inner:
        class Leaf(TypedDict):
            x: int

    schemas = Schemas()
    schemas.of(Leaf)
    with pytest.raises(TypeError, match="named Leaf"):
        schemas.of(Inner.Leaf)


def test_the_page_about_it_is_up_to_date() -> None:
    render: Any = runpy.run_path(str(ROOT / "scripts/debug_api.py"))["render"]
    assert (ROOT / "docs/debug-api.md").read_text(encoding="utf-8") == render(), "run `make docs`"
