"""Health: checks of every kind, together, bounded in time, cached; and who is told what."""

from __future__ import annotations

import asyncio
import functools
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.routing import Mount
from starlette.testclient import TestClient

from profkit import PerformanceProfiler, Settings
from profkit.debug import (
    CheckResult,
    DependencyChecker,
    DiagnosticEndpoints,
    Health,
    HealthChecker,
    HealthEndpoint,
    TokenAuth,
)
from profkit.debug.health import Probe
from profkit_storage import ConfigurationError, StorageError
from profkit_storage.memory import MemoryStorage
from tests.debug.conftest import NO_DELAY

Headers = Callable[..., dict[str, str]]


def run(checker: HealthChecker, probe: Probe | None = None) -> dict[str, Any]:
    return asyncio.run(checker.report(probe)).as_dict()


async def fine() -> None:
    await asyncio.sleep(0)


async def works() -> str:
    return "3 connections"


def refuses() -> None:
    raise ConnectionError("no route to postgres://me:secret-pw@db:5432/shop")


async def later() -> bool:
    return False


async def exits() -> None:
    sys.exit(3)


async def cancels() -> None:
    raise asyncio.CancelledError


class Degraded:
    async def __call__(self) -> Health:
        return Health.DEGRADED


@pytest.mark.parametrize(
    ("check", "status", "message"),
    [
        (fine, "healthy", ""),
        (works, "healthy", "3 connections"),
        (lambda: True, "healthy", ""),
        (lambda: "well", "healthy", "well"),
        (functools.partial(asyncio.sleep, 0, "slept"), "healthy", "slept"),
        (lambda: False, "unhealthy", ""),
        (later, "unhealthy", ""),
        (Degraded(), "degraded", ""),
        (lambda: CheckResult(Health.DEGRADED, "slow"), "degraded", "slow"),
        (lambda: 3, "unhealthy", "the check returned int: give None, a bool, a text or a CheckResult"),
        (refuses, "unhealthy", "ConnectionError: no route to postgres://***@db:5432/shop"),
        (lambda: "x" * 1000, "healthy", "x" * 200),
        (lambda: CheckResult("unhealthy", 3), "unhealthy", "3"),  # type: ignore[arg-type]
        (lambda: CheckResult("fine"), "unhealthy", "ValueError: 'fine' is not a valid Health"),  # type: ignore[arg-type]
        (lambda: sys.exit(3), "unhealthy", "_Broken: SystemExit 3"),
        (lambda: next(iter(())), "unhealthy", "_Broken: StopIteration"),
        (exits, "unhealthy", "SystemExit: 3"),
        (cancels, "unhealthy", "CancelledError"),
    ],
)
def test_what_a_check_may_say(check: Any, status: str, message: str) -> None:
    found = run(HealthChecker(version="1.2").add("it", check))
    assert found["checks"]["it"]["status"] == found["status"] == status
    said = found["checks"]["it"]["message"]
    assert said == message or (
        message.endswith("/shop") and "secret-pw" not in said and "ConnectionError" in said
    )


def test_the_form_of_a_report() -> None:
    found = run(HealthChecker(version="1.2").add("a", fine).add("b", works))
    assert list(found) == ["status", "timestamp", "version", "uptime_seconds", "checks"]
    assert found["version"] == "1.2"
    assert found["timestamp"].endswith("+00:00")
    assert list(found["checks"]) == ["a", "b"]
    assert set(found["checks"]["a"]) == {"status", "latency_ms", "message"}


def test_they_run_together_each_with_its_time() -> None:
    hung = threading.Event()
    checker = HealthChecker(timeout=0.3, keep=0)
    for number in range(5):
        checker.add(f"sleeps {number}", lambda: time.sleep(0.2))
    checker.add("hangs", hung.wait).add("waits", lambda: asyncio.sleep(60)).add("soon", fine, timeout=0.1)
    began = time.monotonic()
    found = run(checker)
    took = time.monotonic() - began
    hung.set()
    assert took < 1.0, "not one after another"
    assert found["status"] == "unhealthy"
    late = {name for name, one in found["checks"].items() if one["message"] == "took longer than 0.3 s"}
    assert late == {"hangs", "waits"}


def test_a_hundred_at_once_are_all_run() -> None:
    checker = HealthChecker()
    for number in range(100):
        checker.add(f"check {number}", lambda: time.sleep(0.05))
    assert run(checker)["status"] == "healthy"
    with pytest.raises(ConfigurationError, match="one too many"):
        checker.add("more", fine)


def test_one_that_hangs_is_not_called_again_until_it_comes_back() -> None:
    hung, calls = threading.Event(), []

    def hangs() -> None:
        calls.append(1)
        hung.wait(10)

    checker = HealthChecker(timeout=0.05, keep=0).add("hangs", hangs)
    for _ in range(10):
        assert run(checker)["status"] == "unhealthy"
    assert len(calls) == 1
    hung.set()
    time.sleep(0.1)
    assert run(checker)["status"] == "healthy"


def test_a_timeout_of_the_checks_own_is_its_own() -> None:
    def raises() -> None:
        raise TimeoutError("the database's")

    found = run(HealthChecker().add("it", raises))
    assert found["checks"]["it"]["message"] == "TimeoutError: the database's"


def test_a_result_is_kept_and_those_who_ask_at_once_share_one() -> None:
    calls: list[int] = []

    async def slow() -> None:
        calls.append(1)
        await asyncio.sleep(0.1)

    async def main() -> None:
        await asyncio.gather(*(checker.report() for _ in range(20)))
        assert len(calls) == 1
        await checker.report()
        assert len(calls) == 1
        await asyncio.sleep(0.35)
        await checker.report()
        assert len(calls) == 2

    checker = HealthChecker(keep=0.3).add("it", slow)
    asyncio.run(main())


def test_who_goes_away_does_not_stop_the_check_of_the_others() -> None:
    async def slow() -> None:
        await asyncio.sleep(0.1)

    async def main() -> None:
        first, second = (asyncio.create_task(checker.report()) for _ in range(2))
        await asyncio.sleep(0.02)
        first.cancel()
        assert (await second).status is Health.HEALTHY

    checker = HealthChecker(keep=0).add("it", slow)
    asyncio.run(main())


def test_what_is_not_required_only_degrades() -> None:
    checker = HealthChecker().add("cache", lambda: False, required=False).add("database", fine)
    found = run(checker)
    assert (found["status"], found["checks"]["cache"]["status"]) == ("degraded", "unhealthy")


def test_a_probe_asks_its_own_checks_and_the_start_is_remembered() -> None:
    migrated = False
    checker = (
        HealthChecker(keep=0)
        .add("alive", fine, probes=["liveness", "readiness"])
        .add("database", lambda: False)
        .add("migrations", lambda: migrated, probes=["startup"])
    )
    assert list(run(checker, Probe.LIVENESS)["checks"]) == ["alive"]
    assert run(checker, Probe.LIVENESS)["status"] == "healthy"
    assert run(checker, Probe.READINESS)["status"] == "unhealthy"
    assert run(checker, Probe.STARTUP)["status"] == "unhealthy"
    migrated = True
    assert run(checker, Probe.STARTUP)["status"] == "healthy"
    migrated = False
    assert run(checker, Probe.STARTUP)["status"] == "healthy", "once started, it has started"
    assert run(HealthChecker(), Probe.LIVENESS)["status"] == "healthy"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ({"name": ""}, "check ''"),
        ({"name": "taken"}, "is there already"),
        ({"check": 3}, "cannot be called"),
        ({"probes": ["ready"]}, "liveness, readiness, startup"),
        ({"probes": []}, "liveness, readiness, startup"),
        ({"timeout": 0}, "timeout=0"),
        ({"keep": -1}, "keep=-1"),
        ({"timeout": "1"}, "timeout='1'"),
    ],
)
def test_what_is_not_allowed_is_named(arguments: dict[str, Any], says: str) -> None:
    checker = HealthChecker().add("taken", fine)
    with pytest.raises(ConfigurationError) as caught:
        checker.add(**{"name": "it", "check": fine, **arguments})
    assert says in str(caught.value)


def test_the_ready_checks_look_at_the_real_thing(tmp_path: Path) -> None:
    checker = (
        HealthChecker()
        .add("disk", DependencyChecker.disk(str(tmp_path), free_bytes=1))
        .add("full disk", DependencyChecker.disk(str(tmp_path), free_bytes=10**18))
        .add("share", DependencyChecker.disk(str(tmp_path), free_bytes=0, free_share=1.01))
        .add("no disk", DependencyChecker.disk(str(tmp_path / "gone")))
        .add("memory", DependencyChecker.memory(available_share=0.0))
        .add("no memory", DependencyChecker.memory(available_share=1.0))
        .add("loop", DependencyChecker.event_loop(lag=5))
    )
    checks = run(checker)["checks"]
    well = {name for name, one in checks.items() if one["status"] == "healthy"}
    assert well == {"disk", "memory", "loop"}
    assert "GB free" in checks["disk"]["message"]
    assert "FileNotFoundError" in checks["no disk"]["message"]


def test_a_loop_that_is_held_up_is_unhealthy() -> None:
    async def main() -> Health:
        asyncio.get_running_loop().call_later(0.005, time.sleep, 0.3)
        return (await checker.report()).status

    checker = HealthChecker().add("loop", DependencyChecker.event_loop(lag=0.1))
    assert asyncio.run(main()) is Health.UNHEALTHY


def test_the_store_is_asked() -> None:
    class Broken(MemoryStorage):
        def scan(self, *_: Any, **__: Any) -> Any:
            raise StorageError("the bucket is gone")

    for storage, status in ((MemoryStorage(), "healthy"), (Broken(), "unhealthy"), (None, "degraded")):
        profiler = PerformanceProfiler(Settings(storage=storage, spool="off"))
        found = run(HealthChecker().add("store", DependencyChecker.profile_store(profiler)))
        assert found["status"] == status
        profiler.shutdown(1)


@pytest.fixture
def checks() -> HealthChecker:
    return (
        HealthChecker(version="1.2")
        .add("alive", fine, probes=["liveness"])
        .add("database", refuses, probes=["readiness"])
    )


def test_who_may_read_is_told_all(token_auth: TokenAuth, checks: HealthChecker, bearer: Headers) -> None:
    client = TestClient(DiagnosticEndpoints(auth=token_auth, limits=NO_DELAY, checks=checks))
    for path in ("/health", "/health/live", "/health/ready"):
        assert client.get(path).status_code == 401
        assert client.get(path, headers=bearer("keeper")).status_code == 403
    answer = client.get("/health", headers=bearer("reader"))
    assert answer.status_code == 503
    assert answer.json()["checks"]["database"]["status"] == "unhealthy"
    assert "answered_by" in answer.json()
    assert client.get("/health/live", headers=bearer("reader")).status_code == 200
    page = client.get("/health", headers={**bearer("reader"), "accept": "text/html"})
    assert (page.status_code, "ConnectionError" in page.text) == (503, True)
    assert "secret-pw" not in page.text + answer.text


def test_probes_tell_anybody_the_status_and_no_more(
    token_auth: TokenAuth, checks: HealthChecker, bearer: Headers
) -> None:
    endpoints = DiagnosticEndpoints(auth=token_auth, limits=NO_DELAY, checks=checks, probes=True)
    app = Starlette(routes=[Mount("/debug", endpoints), Mount("/health", HealthEndpoint(checks))])
    client = TestClient(app)
    for base in ("/debug/health", "/health"):
        for name, status in (("live", 200), ("ready", 503), ("startup", 200)):
            answer = client.get(f"{base}/{name}")
            assert answer.status_code == status
            assert list(answer.json()) == ["status"]
            assert answer.headers["cache-control"] == "no-store"
            assert "x-profkit-process" not in answer.headers
        assert client.head(f"{base}/live").status_code == 200
        assert client.post(f"{base}/live").status_code == 405
        assert client.get(f"{base}/live/").status_code in {401, 404}
        assert client.get(f"{base}/other").status_code in {401, 404}
    assert client.get("/debug/health").status_code == 401
    assert client.get("/debug/health/live", headers={"Authorization": "Bearer wrong"}).status_code == 401
    assert "checks" in client.get("/debug/health/live", headers=bearer()).json()


def test_without_checks_there_are_those_of_any_process(token_auth: TokenAuth, bearer: Headers) -> None:
    client = TestClient(DiagnosticEndpoints(auth=token_auth, limits=NO_DELAY))
    assert list(client.get("/health", headers=bearer()).json()["checks"]) == [
        "event_loop", "memory", "profile_store",
    ]  # fmt: skip
    for arguments in ({"probes": True}, {"checks": {"a": fine}}):
        with pytest.raises(ConfigurationError, match="HealthChecker"):
            DiagnosticEndpoints(auth=token_auth, **arguments)  # type: ignore[arg-type]


def test_a_probe_comes_by_any_name_but_not_from_anywhere(
    token_auth: TokenAuth, checks: HealthChecker
) -> None:
    endpoints = DiagnosticEndpoints(
        auth=token_auth,
        limits=NO_DELAY,
        checks=checks,
        probes=True,
        allowed_hosts=["debug.example.org"],
        allowed_networks=["10.0.0.0/8"],
    )
    kubelet = TestClient(endpoints, base_url="http://10.0.0.9:8000", client=("10.0.0.1", 5000))
    assert kubelet.get("/health/live").status_code == 200
    assert kubelet.get("/health").status_code == 403
    stranger = TestClient(endpoints, base_url="http://10.0.0.9:8000", client=("192.0.2.1", 5000))
    assert stranger.get("/health/live").status_code == 403
