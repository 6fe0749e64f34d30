"""No secret leaves the process: planted wherever one can be, asked for on every GET route there is, and in the logs.

What nothing can recognize is a bare word in a place whose name says nothing (`{"motto": "hunter2"}`, a thread called
`hunter2`): no such secret is planted here.
"""

from __future__ import annotations

import asyncio
import dataclasses
import itertools
import json
import logging
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any
from unittest import mock

import psutil
import pydantic
import pytest
import sqlalchemy.pool
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st
from starlette.testclient import TestClient

from profkit import PerformanceProfiler, Settings
from profkit.asgi import RequestTracker
from profkit.debug import CallableAuth, DebugContext, DiagnosticEndpoints, HealthChecker, Principal, Scope
from profkit.debug.endpoints import ROUTES
from profkit.debug.forms import FORMS
from profkit.debug.summary import summary
from profkit.faults import Faults
from profkit.masking import masker
from profkit.requests import RequestContext, request_context
from profkit_storage.memory import MemoryStorage
from tests.debug.secret_shapes import ENCODED_KEYS, SECRET_KEYS, Maker, found_in

GET = [route for route in ROUTES if route.method == "GET"]
EVERYTHING = frozenset(Scope)
LOGGINGS_OWN = {"threadName", "taskName"}  # whose thread it is in that ends an operation


@dataclasses.dataclass
class Held:
    password: object
    url: str
    deep: object = None


class Model(pydantic.BaseModel):
    api_key: Any
    key: pydantic.SecretStr
    dsn: pydantic.PostgresDsn
    deep: Any = None


def planted_value(maker: Maker, where: str, depth: int = 0) -> object:
    """A value with secrets in it that are to be known by their names or by what they are."""
    random = maker.random
    key = random.choice(SECRET_KEYS + ENCODED_KEYS)
    inner = planted_value(maker, where, depth + 1) if depth < 4 else None
    shapes: list[Callable[[], object]] = [
        lambda: {key: maker.any(where).text, "a": inner},
        lambda: {key: [maker.any(where).text, {"x": maker.any(where).text}], "n": 1},
        lambda: [inner, {key: maker.any(where).text.encode()}],
        lambda: (key, maker.any(where).text),
        lambda: [inner, ("retries", 3), (key, {"b": maker.any(where).text})],
        lambda: [{"name": key, "value": maker.any(where).text}, {"name": "color", "value": "red"}],
        lambda: Held(maker.any(where).text, f"amqp://u:{maker.plain(where).text}@h/", inner),
        lambda: Model(
            api_key={"a": maker.any(where).text},
            key=pydantic.SecretStr(maker.any(where).text),
            dsn=pydantic.PostgresDsn(f"postgresql://u:{maker.plain(where).text}@h/db"),
            deep=inner,
        ),
        lambda: json.dumps({"a": [{key: maker.any(where).text}]}),
        lambda: json.dumps({"outer": json.dumps({key: maker.any(where).text})}),
        lambda: {maker.token(where).text: inner},
        lambda: {"note": maker.text(where, lines=True), "b": inner},
        lambda: ["serve", "--password", maker.plain(where).text, "--port", "80"],
        lambda: sqlalchemy.make_url(f"postgresql://u:{maker.plain(where).text}@h/db"),
    ]
    return random.choice(shapes)()


class BrokenPool(sqlalchemy.pool.QueuePool):
    """A pool that says its secret when it is asked."""

    said = ""

    def checkedout(self) -> int:
        raise RuntimeError(self.said)


class Plant:
    """An application with secrets in every place that a debug route, or a log record of profkit's, may tell of."""

    def __init__(self, maker: Maker) -> None:
        self.maker = maker
        self.profiler = PerformanceProfiler(
            Settings(
                storage=MemoryStorage(),
                service=maker.text("service"),
                version=maker.text("version"),
                threshold=0.0,
                thresholds={maker.text("threshold"): 0.0},
            )
        )
        self.profiler.set_threshold(0.0, maker.text("live threshold"))

    @contextmanager
    def growing(self) -> Iterator[None]:
        """Everything is in place, and in flight."""
        maker = self.maker
        variables = {
            "PLANT_NOTE": maker.text("variable"),
            "PLANT_PASSWD": maker.plain("variable").text,
            "PLANT_JSON": json.dumps({"apiKey": maker.any("variable").text}),
        }
        arguments = [
            "serve", "--token", maker.plain("argument").text, f"--password={maker.plain('argument').text}",
            "mysql", f"-p{maker.plain('argument').text}", maker.text("argument"),
        ]  # fmt: skip
        with ExitStack() as stack:
            stack.enter_context(mock.patch.dict(os.environ, variables))
            stack.enter_context(mock.patch.object(psutil.Process, "cmdline", return_value=arguments))
            stack.enter_context(self._tasks())
            stack.enter_context(self._thread())
            with self._operation():
                pass
            try:
                yield
            finally:
                assert self.profiler.shutdown(30)

    @contextmanager
    def _operation(self) -> Iterator[None]:
        maker = self.maker
        context = RequestContext(maker.token("request id").text)
        token = request_context.set(context)
        tags = {"note": maker.text("tag"), "password": maker.any("tag").text, "n": 5}
        try:
            with self.profiler.operation(maker.text("operation"), category=maker.text("category"), **tags):
                with self.profiler.operation(
                    maker.text("child"), category="db", note=maker.text("child's tag")
                ):
                    threading.Event().wait(0.02)
                yield
        finally:
            request_context.reset(token)

    @contextmanager
    def _thread(self) -> Iterator[None]:
        there, leave = threading.Event(), threading.Event()

        def work() -> None:
            with self._operation():
                there.set()
                leave.wait(20)

        thread = threading.Thread(target=work, name=self.maker.text("thread"))
        thread.start()
        assert there.wait(10)
        try:
            yield
        finally:
            leave.set()
            thread.join(10)

    @contextmanager
    def _tasks(self) -> Iterator[None]:
        there = threading.Event()
        loop = asyncio.new_event_loop()
        names = [self.maker.text("task") for _ in range(3)]

        async def main() -> None:
            leave = asyncio.Event()
            loop.leave = leave  # type: ignore[attr-defined]
            waiter = asyncio.create_task(leave.wait(), name=names[0])
            other = asyncio.create_task(asyncio.wait([waiter]), name=names[1])
            asyncio.current_task().set_name(names[2])  # type: ignore[union-attr]
            there.set()
            await asyncio.gather(waiter, other)

        thread = threading.Thread(target=lambda: loop.run_until_complete(main()))
        thread.start()
        assert there.wait(10)
        try:
            yield
        finally:
            loop.call_soon_threadsafe(loop.leave.set)  # type: ignore[attr-defined]
            thread.join(10)
            loop.close()

    def endpoints(self) -> DiagnosticEndpoints:
        """The debug routes of it."""
        maker = self.maker
        pool = BrokenPool(lambda: None)  # type: ignore[arg-type,return-value]
        pool.said = maker.text("pool's error", lines=True)
        said, name = maker.text("check's error", lines=True), maker.text("principal")

        def fails() -> None:
            raise ConnectionError(said)

        checks = HealthChecker(version=maker.text("health version"), keep=0.0)
        checks.add("database", fails, required=False)
        checks.add(maker.text("check")[:100], lambda: message, probes=["liveness", "readiness", "startup"])
        message = maker.text("check's message", lines=True)
        errors = maker.text("settings function", lines=True)

        def load() -> object:
            raise ValueError(errors)

        config = maker.random.choice(
            [load, planted_value(maker, "config"), {"a": planted_value(maker, "config")}]
        )
        return DiagnosticEndpoints(
            auth=CallableAuth(lambda _: Principal(name, EVERYTHING)),
            profiler=self.profiler,
            config=config,
            pools={"broken": pool, maker.text("pool"): object()},
            environment=True,
            checks=checks,
            revision=maker.token("revision").text,
            features={
                "new": True,
                "api_token": maker.any("feature").text,
                "x": planted_value(maker, "feature"),
            },
        )


def asked(profiles: list[str]) -> Iterator[tuple[str, str]]:
    """Every GET route, in each form of its answer: paths and what is accepted."""
    for route, profile in itertools.product(GET, profiles):
        path = route.path.replace("{id}", profile).replace("{name}", "style.css")
        assert "{" not in path, f"say what {route.path} is to be asked with"
        if path == route.path and profile != profiles[0]:
            continue
        for accept in route.offers:
            yield path, accept
        if "format" in route.parameters:
            for form in FORMS:
                yield f"{path}?format={form}", "*/*"


@pytest.fixture
def records() -> Iterator[list[logging.LogRecord]]:
    """What profkit itself logs, all of it."""
    kept: list[logging.LogRecord] = []

    class Keep(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            kept.append(record)

    logger, handler = logging.getLogger("profkit"), Keep()
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.DEBUG)
    yield kept
    logger.removeHandler(handler)
    logger.setLevel(level)


SLOW = [HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
SEEDS = (Phase.explicit, Phase.generate)  # a seed has nothing to be made smaller


@example(884010954503)  # names of tasks that were masked together, one with a quote in the other's secret
@settings(max_examples=6, deadline=None, suppress_health_check=SLOW, phases=SEEDS)
@given(st.integers(0, 2**64))
def test_no_route_and_no_log_record_tells_a_secret(records: list[logging.LogRecord], seed: int) -> None:
    maker = Maker(seed)
    plant = Plant(maker)
    records.clear()
    with plant.growing():
        assert plant.profiler.flush(30)
        assert plant.profiler.storage is not None
        stored = [next(iter(plant.profiler.storage.scan())).id, plant.profiler.capture(0.05).id]
        assert plant.profiler.flush(30)
        endpoints = plant.endpoints()
        client = TestClient(RequestTracker(endpoints, header="X-Own-ID"), follow_redirects=False)
        for path, accept in asked(stored):
            headers = {"accept": accept, "x-own-id": maker.token("request header").text}
            answer = client.get(path, headers=headers)
            assert answer.status_code in {200, 503}, path
            del answer.headers["x-own-id"]  # what the caller sent goes back to him
            assert not found_in(answer.content, maker.made), path
            assert not found_in(repr(answer.headers.raw).encode(), maker.made), path
        client.get(f"/{maker.token('path').text}")
        endpoints.context.snapshot()
    assert records
    for record in records:
        own = {name: one for name, one in vars(record).items() if name not in LOGGINGS_OWN}
        written = logging.Formatter().format(record) + repr(own)
        assert not found_in(written.encode(), maker.made), written


@settings(max_examples=200, deadline=None, phases=SEEDS)
@given(st.integers(0, 2**64))
def test_no_configuration_of_any_shape_tells_a_secret(seed: int) -> None:
    maker = Maker(seed)
    config = planted_value(maker, "config")
    shapes = [config, {"a": config}, [config], lambda: config, Held("", "", config)]
    report = DebugContext(config=maker.random.choice(shapes)).configuration()
    assert not found_in(json.dumps(report["application"]).encode(), maker.made)


def test_what_a_callback_raises_is_logged_with_its_traceback_and_without_its_secret(
    records: list[logging.LogRecord],
) -> None:
    address = "redis://:hunter2@cache:6379"

    def fails(profile: object) -> None:
        raise ConnectionError(f"no way to {address}") from KeyError(address)

    profiler = PerformanceProfiler(Settings(on_profile=fails, threshold=0.0))
    with profiler.operation("work"):
        pass
    assert profiler.flush(30)
    profiler.shutdown(30)
    (record,) = [one for one in records if one.exc_info]
    written = logging.Formatter().format(record)
    assert "ConnectionError: no way to redis://:***@cache:6379" in written
    assert "in fails" in written
    assert "hunter2" not in written


def test_a_detail_that_is_an_exception_is_masked(records: list[logging.LogRecord]) -> None:
    faults = Faults()
    faults.add("not_configured", ValueError("storage='s3://key:hunter2@bucket' is not allowed"))
    faults.add("shut_down", "postgresql://app:hunter2@db/shop")
    texts = [one.getMessage() for one in records]
    assert texts == [
        "profkit: not_configured: storage='s3://key:***@bucket' is not allowed",
        "profkit: shut_down: postgresql://app:***@db/shop",
    ]


def test_names_of_threads_and_tasks_are_masked_in_a_capture() -> None:
    leave = threading.Event()
    name = "feed redis://:hunter2@cache:6379"
    thread = threading.Thread(target=lambda: leave.wait(20), name=name)
    thread.start()
    profiler = PerformanceProfiler()
    try:
        profile = profiler.capture(0.1)
    finally:
        leave.set()
        thread.join(10)
    shown = "thread feed redis://:***@cache:6379"
    assert shown in {branch.name for branch in profile.branches}
    assert f"[{shown}]" in {frame.qualname for frame in profile.frames}
    assert "hunter2" not in repr(profile)


def test_a_version_that_is_a_commit_stays_readable() -> None:
    commit = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b"
    kept: list[Any] = []
    profiler = PerformanceProfiler(Settings(on_profile=kept.append, threshold=0.0, version=commit))
    with profiler.operation("work"):
        pass
    assert profiler.flush(30)
    profiler.shutdown(30)
    assert kept[0].version == commit
    assert summary(kept[0], masker)["version"] == commit
