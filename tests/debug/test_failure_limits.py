"""How many attempts an address has: however many at once, and whoever else comes from there."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import pytest
from starlette.requests import HTTPConnection
from starlette.testclient import TestClient

from profkit import PerformanceProfiler
from profkit.debug import CallableAuth, DiagnosticEndpoints, FailureLimits, Principal
from profkit.debug.failures import Failures
from profkit_storage import ConfigurationError

LIMITS = FailureLimits(per_peer=3, delay=0)
Requests = list[dict[str, str]]
Ask = Callable[..., list[int]]


@pytest.fixture
def ask_at_once(live_profiler: PerformanceProfiler) -> Ask:
    """Send requests with these headers all at once; return their statuses."""

    def ask(auth: CallableAuth, requests: Requests, limits: FailureLimits = LIMITS) -> list[int]:
        async def main() -> list[int]:
            app = DiagnosticEndpoints(auth=auth, profiler=live_profiler, limits=limits)
            transport = httpx.ASGITransport(app)
            async with httpx.AsyncClient(transport=transport, base_url="http://t") as client:
                answers = [client.get("/assets/style.css", headers=headers) for headers in requests]
                return [answer.status_code for answer in await asyncio.gather(*answers)]

        return asyncio.run(main())

    return ask


def pin_auth(asked: list[str], header: str = "authorization", **options: Any) -> CallableAuth:
    """An application's auth that takes a moment, and a PIN."""

    async def decide(connection: HTTPConnection) -> Principal | None:
        pin = connection.headers.get(header, "")
        asked.append(pin)
        await asyncio.sleep(0.01)
        return Principal("ann") if pin == "0042" else None

    return CallableAuth(decide, **options)


def test_a_burst_of_guesses_has_no_more_attempts_than_one_after_another(ask_at_once: Ask) -> None:
    asked: list[str] = []
    pins = [{"Authorization": f"{pin:04}"} for pin in range(100, 200)]
    assert Counter(ask_at_once(pin_auth(asked), pins)) == {401: 3, 429: 97}
    assert len(asked) == 3


def test_a_burst_of_right_ones_is_let_in_however_low_the_limit(ask_at_once: Ask) -> None:
    asked: list[str] = []
    assert ask_at_once(pin_auth(asked), [{"Authorization": "0042"}] * 20) == [200] * 20


def test_guesses_of_many_addresses_at_once_are_limited_in_total() -> None:
    failures = Failures(FailureLimits(per_peer=3, total=5, delay=0))
    attempts = [failures.begin(f"peer{number}") for number in range(8)]
    assert [attempt.wait > 0 for attempt in attempts] == [False] * 5 + [True] * 3
    assert attempts[7].undecided
    for attempt in attempts[:5]:
        failures.end(attempt, passed=True)
    assert not failures.begin("peer9").wait


def test_an_attempt_that_ends_in_the_next_window_takes_nothing_from_it() -> None:
    now = [0.0]
    failures = Failures(FailureLimits(per_peer=1, window=60), lambda: now[0])
    old = failures.begin("peer")
    now[0] = 61.0
    new = failures.begin("peer")
    failures.end(old, passed=True)
    failures.end(new, passed=False)
    assert failures.begin("peer").wait == 61
    assert not failures.begin("peer").undecided


def test_an_attempt_whose_caller_leaves_counts(live_profiler: PerformanceProfiler) -> None:
    async def main() -> None:
        reached = asyncio.Event()

        async def hangs(connection: HTTPConnection) -> Principal | None:
            reached.set()
            await asyncio.Event().wait()
            return None

        limits = FailureLimits(per_peer=1, delay=0)
        app = DiagnosticEndpoints(auth=CallableAuth(hangs), profiler=live_profiler, limits=limits)
        transport = httpx.ASGITransport(app)
        async with httpx.AsyncClient(transport=transport, base_url="http://t") as client:
            first = asyncio.create_task(client.get("/", headers={"Authorization": "x"}))
            await reached.wait()
            first.cancel()
            await asyncio.gather(first, return_exceptions=True)
            assert (await client.get("/", headers={"Authorization": "y"})).status_code == 429

    asyncio.run(main())


def get(client: TestClient, **headers: str) -> int:
    return client.get(
        "/", headers={name.replace("_", "-"): value for name, value in headers.items()}
    ).status_code


def test_visits_with_any_cookie_lock_no_operator_out(live_profiler: PerformanceProfiler) -> None:
    app = DiagnosticEndpoints(auth=pin_auth([]), profiler=live_profiler, limits=LIMITS)
    client = TestClient(app)
    assert [get(client, cookie="_ga=1") for _ in range(10)] == [401] * 10
    assert get(client, authorization="0042") == 200


def test_guesses_lock_nobody_out_who_comes_by_a_session(live_profiler: PerformanceProfiler) -> None:
    async def decide(connection: HTTPConnection) -> Principal | None:
        return Principal("ann") if connection.cookies.get("session") == "a-long-random-one" else None

    app = DiagnosticEndpoints(auth=CallableAuth(decide), profiler=live_profiler, limits=LIMITS)
    client = TestClient(app)
    assert [get(client, authorization="guess") for _ in range(4)] == [401, 401, 401, 429]
    assert get(client, cookie="session=a-long-random-one") == 200
    assert get(client, cookie="session=a-long-random-one", authorization="guess") == 429


def test_an_application_names_the_headers_that_can_be_guessed(ask_at_once: Ask) -> None:
    asked: list[str] = []
    auth = pin_auth(asked, "x-pin", credentials=("X-Pin",))
    pins = [{"X-Pin": f"{pin:04}", "Cookie": "a=b"} for pin in range(100, 160)]
    assert Counter(ask_at_once(auth, pins)) == {401: 3, 429: 57}
    assert len(asked) == 3


@pytest.mark.parametrize("credentials", [(), "x-pin", ("",), ("x pin",), (1,)])
def test_credentials_are_names_of_headers(credentials: Any) -> None:
    def decide(connection: HTTPConnection) -> Awaitable[Principal | None] | None:
        return None

    with pytest.raises(ConfigurationError, match="credentials="):
        CallableAuth(decide, credentials=credentials)
