"""Frameworks take a decorated function as they took the bare one: by its signature, its kind and its name."""

import asyncio
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Annotated, Any

import click
import pytest
from celery import Celery, Task
from celery.exceptions import Retry
from click.testing import CliRunner
from fastapi import BackgroundTasks, Body, Depends, FastAPI, Header, HTTPException, Query
from fastapi.testclient import TestClient
from pydantic import BaseModel
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route

Decorate = Callable[[Any], Any]


def bare(function: Any) -> Any:
    return function


Limit = Annotated[int, Query(le=9)]


class Item(BaseModel):
    name: str
    price: float = 1.0


class Pages:
    """Says which page is asked for."""

    def __init__(self, size: int) -> None:
        self.size = size

    def __call__(self, page: Annotated[int, Query(ge=1)] = 1) -> tuple[int, int]:
        return (page, self.size)


class AsyncPages(Pages):
    async def __call__(self, page: Annotated[int, Query(ge=1)] = 1) -> tuple[int, int]:  # type: ignore[override]
        await asyncio.sleep(0)
        return (page, self.size)


def make_api(watch: Decorate, events: list[str]) -> FastAPI:  # noqa: C901 - an application
    """Return an application in which `watch` decorates everything; `events` are what its dependencies do."""
    app = FastAPI()

    @watch
    def token(authorization: Annotated[str, Header()]) -> str:
        """Whose call it is."""
        if authorization != "secret":
            raise HTTPException(401, "who are you?")
        return authorization

    @watch
    async def tenant(key: Annotated[str, Depends(token)], tenant: str = "acme") -> str:
        return f"{tenant}/{key}"

    @watch
    def session() -> Iterator[str]:
        events.append("open")
        try:
            yield "session"
        except HTTPException as error:
            events.append(f"rolled back for {error.status_code}")
            raise
        finally:
            events.append("close")

    @watch
    async def async_session(session: Annotated[str, Depends(session)]) -> AsyncIterator[str]:
        events.append("async open")
        try:
            yield f"async {session}"
        finally:
            await asyncio.sleep(0)
            events.append("async close")

    pages = watch(Pages(10))
    async_pages = watch(AsyncPages(20))

    @app.get("/items/{number}", response_model_exclude_unset=True)
    @watch
    def read(
        number: int,
        session: Annotated[str, Depends(session)],
        page: Annotated[tuple[int, int], Depends(pages)],
        tags: Annotated[list[str] | None, Query()] = None,
    ) -> dict[str, Any]:
        """Read an item."""
        if number < 0:
            raise HTTPException(404)
        return {"number": number, "session": session, "page": page, "tags": tags}

    @app.post("/items", status_code=201)
    @watch
    async def create(
        item: Item,
        tenant: Annotated[str, Depends(tenant)],
        session: Annotated[str, Depends(async_session)],
        page: Annotated[tuple[int, int], Depends(async_pages)],
        background: BackgroundTasks,
        note: Annotated[str, Body()] = "",
    ) -> Item:
        background.add_task(watch(events.append), f"background {item.name}")
        return Item(name=f"{item.name} {tenant} {session} {page} {note}", price=item.price)

    class Resource:
        @watch
        async def describe(self, request: "Request", limit: "Limit" = 3) -> str:
            return f"{request.url.path} {limit}"

    app.add_api_route("/resource", Resource().describe, response_model=str)
    return app


REQUESTS: list[tuple[str, str, dict[str, Any]]] = [
    ("GET", "/items/3", {"params": {"page": 2, "tags": ["a", "b"]}}),
    ("GET", "/items/three", {}),
    ("GET", "/items/-1", {}),
    ("GET", "/items/3", {"params": {"page": 0}}),
    (
        "POST",
        "/items",
        {"headers": {"authorization": "secret"}, "json": {"item": {"name": "lamp"}, "note": "n"}},
    ),
    ("POST", "/items", {"headers": {"authorization": "secret"}, "json": {"item": {"price": "dear"}}}),
    ("POST", "/items", {"headers": {"authorization": "wrong"}, "json": {"item": {"name": "lamp"}}}),
    ("POST", "/items", {"json": {"item": {"name": "lamp"}}}),
    ("GET", "/resource", {"params": {"limit": 4}}),
    ("GET", "/resource", {"params": {"limit": 10}}),
]


def test_a_fastapi_application_is_the_same_decorated(make_captured: Any) -> None:
    captured = make_captured(threshold=0.0)
    told = []
    for watch in (bare, captured.profiler.profile):
        events: list[str] = []
        app = make_api(watch, events)
        with TestClient(app) as client:
            answers = [client.request(method, path, **more) for method, path, more in REQUESTS]
        said = [(answer.status_code, answer.json()) for answer in answers]
        told.append((app.openapi(), said, events))
    assert told[0][0] == told[1][0]
    assert told[0][1] == told[1][1]
    assert told[0][2] == told[1][2]
    assert [status for status, _ in told[1][1]] == [200, 422, 404, 422, 201, 422, 401, 422, 200, 422]
    names = {profile.operation.removeprefix("make_api.") for profile in captured.all()}
    assert names == {
        "token", "tenant", "session", "async_session", "Pages", "AsyncPages", "read", "create", "list.append",
        "Resource.describe",
    }  # fmt: skip
    assert not captured.profiler.registry


def test_a_slow_fastapi_endpoint_has_its_stack(
    captured: Any, spin: Any, seconds_of: Any, roots_of: Any
) -> None:
    app = FastAPI()

    @app.get("/sync")
    @captured.profiler.profile("sync")
    def sync() -> None:
        spin(0.1)

    def session() -> Iterator[None]:
        spin(0.1)
        yield

    @app.get("/async")
    async def asynchronous(
        session: Annotated[None, Depends(captured.profiler.profile("session")(session))],
    ) -> None:
        await asyncio.sleep(0.1)

    with TestClient(app) as client:
        client.get("/sync")
        client.get("/async")
    first, second = captured.all()
    assert (roots_of(first), roots_of(second)) == ({"sync"}, {"session"})
    assert seconds_of(first)["spin"] > first.wall / 2
    assert seconds_of(second)["spin"] > second.wall / 2


def test_starlette_takes_sync_and_async_endpoints(make_captured: Any) -> None:
    captured = make_captured(threshold=0.0)
    threads: list[str] = []

    @captured.profiler.profile
    def sync(request: Request) -> PlainTextResponse:
        threads.append(threading.current_thread().name)
        return PlainTextResponse(request.url.path)

    @captured.profiler.profile
    async def asynchronous(request: Request) -> PlainTextResponse:
        return PlainTextResponse(request.url.path)

    class Endpoint:
        async def __call__(self, request: Request) -> PlainTextResponse:
            return PlainTextResponse("instance")

    routes = [
        Route("/sync", sync),
        Route("/async", asynchronous),
        Route("/instance", captured.profiler.profile(Endpoint())),
    ]
    with TestClient(Starlette(routes=routes)) as client:
        answers = [client.get(path).text for path in ("/sync", "/async", "/instance")]
    assert answers == ["/sync", "/async", "instance"]
    assert "MainThread" not in threads
    assert {profile.operation.rpartition(".")[2] for profile in captured.all()} == {
        "sync", "asynchronous", "Endpoint",
    }  # fmt: skip


@pytest.fixture
def celery_app() -> Iterator[Celery]:
    app = Celery("shop", broker="memory://", backend="cache+memory://")
    app.conf.task_always_eager = True
    yield app
    app.close()


def test_celery_tasks(make_captured: Any, celery_app: Celery) -> None:
    captured = make_captured(threshold=0.0)

    @celery_app.task
    @captured.profiler.profile("add")
    def add(first: int, second: int = 1) -> int:
        """Add."""
        return first + second

    @celery_app.task(bind=True, max_retries=2, name="shop.flaky")
    @captured.profiler.profile("flaky")
    def flaky(self: Task, succeed_at: int) -> str:
        if self.request.retries < succeed_at:
            raise self.retry(countdown=0)
        return f"{self.name} {self.request.retries}"

    @celery_app.task
    @captured.profiler.profile("fails")
    def fails() -> None:
        raise KeyError("inside")

    assert add.name.endswith("add")
    assert add.__doc__ == "Add."
    assert add.delay(1, second=3).get() == 4
    assert add(2) == 3
    # Celery checks arguments before it sends them by the code of the function, which is the wrapper's: the worker does.
    with pytest.raises(TypeError, match="third"):
        add.delay(1, third=3).get()
    assert flaky.delay(2).get() == "shop.flaky 2"
    result = fails.delay()
    with pytest.raises(KeyError, match="inside"):
        result.get()
    ended = [(one.operation, one.status.value, one.tags.get("error")) for one in captured.all()]
    assert ended == [
        ("add", "ok", None),
        ("add", "ok", None),
        ("add", "error", "TypeError"),
        ("flaky", "error", Retry.__qualname__),
        ("flaky", "error", Retry.__qualname__),
        ("flaky", "ok", None),
        ("fails", "error", "KeyError"),
    ]


def test_a_celery_worker_runs_decorated_tasks(captured: Any, spin: Any, roots_of: Any) -> None:
    from celery.contrib.testing.worker import start_worker

    app = Celery("shop", broker="memory://", backend="cache+memory://")

    @app.task(shared=False)  # of this application alone: a second try has another
    @captured.profiler.profile("report")
    def report(seconds: float) -> float:
        spin(seconds)
        return seconds

    with start_worker(app, perform_ping_check=False, pool="solo"):
        assert report.delay(0.1).get(timeout=10) == 0.1
    app.close()
    profile = captured.one()
    assert profile.operation == "report"
    assert roots_of(profile) == {"report"}


def make_cli(watch: Decorate) -> click.Group:
    @click.group()
    @click.option("--verbose/--quiet", default=False)
    @click.pass_context
    @watch
    def cli(context: click.Context, verbose: bool) -> None:
        """Keep a shop."""
        context.obj = verbose

    @cli.command()
    @click.argument("names", nargs=-1)
    @click.option("--count", type=click.IntRange(1, 5), default=2, show_default=True)
    @click.pass_obj
    @watch
    def greet(verbose: bool, names: tuple[str, ...], count: int) -> None:
        """Greet them."""
        click.echo(f"{' '.join(names)} {count} {verbose}")

    @cli.command("fail")
    @watch
    def failing() -> None:
        raise click.ClickException("not today")

    return cli


def test_click_commands(make_captured: Any) -> None:
    captured = make_captured(threshold=0.0)
    lines: list[list[str]] = [
        ["--verbose", "greet", "Ada", "Bo", "--count", "3"],
        ["greet", "--count", "9"],
        ["--help"],
        ["greet", "--help"],
        ["fail"],
        ["unknown"],
    ]
    told = []
    for watch in (bare, captured.profiler.profile):
        cli = make_cli(watch)
        results = [CliRunner().invoke(cli, line) for line in lines]
        told.append([(result.exit_code, result.output) for result in results])
    assert told[0] == told[1]
    assert told[1][0] == (0, "Ada Bo 3 True\n")
    names = [profile.operation.removeprefix("make_cli.") for profile in captured.all()]
    assert names == ["cli", "greet", "cli", "cli", "cli", "failing"]


def test_pytest_fixtures(tmp_path: Path) -> None:
    (tmp_path / "pytest.ini").write_text("[pytest]\nfilterwarnings = error\n")
    (tmp_path / "conftest.py").write_text(
        """
import asyncio, profkit, pytest
profiles, events = [], []
profkit.configure(on_profile=profiles.append, threshold=0.0)

@pytest.fixture
@profkit.profile
def number():
    return 3

@pytest.fixture(params=["a", "b"])
@profkit.profile
def resource(request, number):
    events.append(f"open {request.param}")
    yield number, request.param
    events.append(f"close {request.param}")

@pytest.fixture(scope="module", autouse=True)
@profkit.profile("everything")
def everything():
    yield
    assert profkit.flush(5)
    names = [profile.operation for profile in profiles]
    assert {name: names.count(name) for name in names} == {
        "number": 3, "resource": 2, "test_it": 2, "TestClass.test_method": 1,
    }
    assert {profile.status.value for profile in profiles} == {"ok"}
    assert events == ["open a", "close a", "open b", "close b"]
"""
    )
    (tmp_path / "test_it.py").write_text(
        """
import profkit, pytest

@pytest.mark.parametrize("factor", [2])
@profkit.profile
def test_it(resource, factor):
    number, name = resource
    assert (number * factor, name) in [(6, "a"), (6, "b")]

class TestClass:
    @profkit.profile
    def test_method(self, number):
        assert number == 3
"""
    )
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist", str(tmp_path)],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert "3 passed" in done.stdout, done.stdout + done.stderr
    assert done.returncode == 0
