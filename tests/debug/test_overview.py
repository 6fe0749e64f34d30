"""What the first page says of a process: the figures, and what stands out of them, in words."""

from __future__ import annotations

import asyncio
import os
import threading
import time
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any

import pytest
from starlette.testclient import TestClient

from profkit import PerformanceProfiler
from profkit.debug import DiagnosticEndpoints, HealthChecker, TokenAuth
from profkit.debug.context import DebugContext
from profkit.debug.cpu import LEAST, CpuMeter
from profkit.debug.notices import MOST, Notice, notices_of
from profkit.debug.overview import Look, look_at

Headers = Callable[..., dict[str, str]]


def seen(context: DebugContext) -> tuple[Look, list[Notice]]:
    """Look at this process now."""
    look, health = asyncio.run(look_at(context))
    return look, notices_of(look, health)


def texts(notices: list[Notice]) -> str:
    return "\n".join(one.text for one in notices)


class Pool:
    """A pool as SQLAlchemy's `QueuePool` tells of itself, or not."""


def test_a_process_that_is_well_has_nothing_that_stands_out(live_profiler: PerformanceProfiler) -> None:
    live_profiler.activate()
    look, notices = seen(DebugContext(profiler=live_profiler, find_pools=False))
    assert notices == []
    assert look["memory"] is not None
    assert look["memory"]["rss"] > 1_000_000
    assert look["threads"] is not None
    assert look["threads"]["total"] >= 1
    assert look["tasks"] is not None
    assert look["tasks"]["tasks"] == []  # counts alone
    assert look["flying"] == 0


def test_operations_are_ranked_by_slow_calls_then_seconds(live_profiler: PerformanceProfiler) -> None:
    live_profiler.set_threshold(0.02)
    for name, pause, times in (("quick", 0.0, 5), ("long", 0.03, 1), ("both", 0.03, 2)):
        for _ in range(times):
            with live_profiler.operation(name, category="db"):
                time.sleep(pause)
    with pytest.raises(ValueError, match="no"), live_profiler.operation("quick", category="db"):
        raise ValueError("no")
    look, _ = seen(DebugContext(profiler=live_profiler, find_pools=False))
    rows = [(one["name"], one["calls"], one["slow"], one["errors"]) for one in look["operations"]]
    assert rows == [("both", 2, 2, 0), ("long", 1, 1, 0), ("quick", 6, 0, 1)]
    assert look["operations"][0]["seconds"] == pytest.approx(look["operations"][0]["mean"] * 2)
    assert look["operations"][0]["seconds"] >= 0.06


def test_only_a_dozen_operations_are_listed_and_the_rest_counted(live_profiler: PerformanceProfiler) -> None:
    for number in range(20):
        with live_profiler.operation(f"operation {number}"):
            pass
    look, _ = seen(DebugContext(profiler=live_profiler, find_pools=False))
    assert len(look["operations"]) + look["operations_left_out"] == 20
    assert look["operations_left_out"] == 8


def test_operations_over_their_threshold_stand_out(live_profiler: PerformanceProfiler) -> None:
    live_profiler.set_threshold(0.01)
    with live_profiler.operation("import"), live_profiler.operation("row"):
        time.sleep(0.02)
        look, notices = seen(DebugContext(profiler=live_profiler, find_pools=False))
    assert (look["flying"], look["over"]) == (2, 2)
    assert "2 operations are over their thresholds, furthest of them import, which has run for" in texts(
        notices
    )
    assert notices[0].page == "profile"


def test_the_furthest_over_is_named_not_the_oldest(live_profiler: PerformanceProfiler) -> None:
    live_profiler.set_threshold(60.0)
    live_profiler.set_threshold(0.01, "short")
    with live_profiler.operation("long"), live_profiler.operation("short"):
        time.sleep(0.05)
        look, notices = seen(DebugContext(profiler=live_profiler, find_pools=False))
    assert [one["name"] for one in look["in_flight"]] == ["long", "short"]
    assert texts(notices).startswith("One operation is over its threshold: short, which has run for")


def test_all_in_flight_are_counted_and_few_are_shown(live_profiler: PerformanceProfiler) -> None:
    live_profiler.set_threshold(60.0)
    with ExitStack() as stack:
        for _ in range(250):
            stack.enter_context(live_profiler.operation("one of many"))
        look, _ = seen(DebugContext(profiler=live_profiler, find_pools=False))
    assert (look["flying"], len(look["in_flight"])) == (250, 5)


def test_more_sentences_than_one_reads_are_counted(live_profiler: PerformanceProfiler) -> None:
    live_profiler.activate()
    checks = HealthChecker()
    for number in range(30):
        checks.add(f"check {number}", lambda: False)
    _, notices = seen(DebugContext(profiler=live_profiler, find_pools=False, checks=checks))
    assert len(notices) == MOST + 1, texts(notices)
    assert notices[-1] == Notice("And 10 more.", "health")


def test_names_are_masked(live_profiler: PerformanceProfiler) -> None:
    secret = "postgresql://app:" + "hunter2pass" + "@db/shop"
    live_profiler.set_threshold(0.0)
    with live_profiler.operation(secret):
        look, notices = seen(DebugContext(profiler=live_profiler, find_pools=False))
    again, _ = seen(DebugContext(profiler=live_profiler, find_pools=False))
    assert "hunter2pass" not in str((look, notices, again))
    assert "postgresql://app:***@db/shop" in str(look["in_flight"])
    assert "postgresql://app:***@db/shop" in str(again["operations"])


def test_checks_stand_out_and_are_grave_where_they_are_required(live_profiler: PerformanceProfiler) -> None:
    def refused() -> bool:
        raise ConnectionError("refused")

    live_profiler.activate()
    optional = HealthChecker().add("cache", refused, required=False)
    _, notices = seen(DebugContext(profiler=live_profiler, find_pools=False, checks=optional))
    assert notices == [Notice("cache is unhealthy: ConnectionError: refused.", "health", grave=False)]
    optional.add("database", lambda: False)
    _, notices = seen(DebugContext(profiler=live_profiler, find_pools=False, checks=optional))
    assert Notice("database is unhealthy.", "health", grave=True) in notices


def test_a_full_pool_and_those_who_wait_for_it_stand_out(live_profiler: PerformanceProfiler) -> None:
    from sqlalchemy.pool import QueuePool

    class Connection:
        def close(self) -> None: ...

        def rollback(self) -> None: ...

        def cursor(self) -> Any: ...

    live_profiler.activate()
    made: Any = Connection
    pool = QueuePool(made, pool_size=1, max_overflow=0, timeout=5)
    context = DebugContext(profiler=live_profiler, find_pools=False, pools={"orders": pool})
    held = pool.connect()
    look, notices = seen(context)
    assert [one["name"] for one in look["pools"]] == ["orders"]
    assert notices == [Notice("The pool orders is nearly used up: 1 of 1 in use.", "connections")]
    waiting = threading.Thread(target=lambda: pool.connect().close())
    waiting.start()
    give_up = time.monotonic() + 5
    while "waits" not in texts(notices) and time.monotonic() < give_up:
        _, notices = seen(context)
    held.close()
    waiting.join()
    assert notices == [
        Notice("One caller waits for the pool orders: 1 of 1 in use.", "connections", grave=True)
    ]


def test_tasks_that_the_loop_does_not_come_to_stand_out(live_profiler: PerformanceProfiler) -> None:
    live_profiler.activate()
    context = DebugContext(profiler=live_profiler, find_pools=False)
    found: list[Notice] = []

    def look_from_outside() -> None:
        found.extend(seen(context)[1])

    async def work() -> None:
        await asyncio.sleep(0)

    async def main() -> None:
        tasks = [asyncio.create_task(work()) for _ in range(50)]
        thread = threading.Thread(target=look_from_outside)
        thread.start()
        thread.join()  # the loop stands still meanwhile
        await asyncio.gather(*tasks)

    asyncio.run(main())
    assert "tasks could go on if their event loop came to them." in texts(found)
    assert found[0].grave


def test_losses_and_faults_of_the_recorder_stand_out_but_not_what_is_meant(
    live_profiler: PerformanceProfiler,
) -> None:
    live_profiler.activate()
    tally = live_profiler.rollups.tally("slow one", "", None)
    for reason in ("queue_full", "queue_full", "max_profiles_per_operation", "discarded"):
        tally.drop(reason)
    live_profiler.faults.add("store_failed", "no room")
    _, notices = seen(DebugContext(profiler=live_profiler, find_pools=False))
    assert texts(notices) == (
        "Slow operations lost their profiles: 2 queue full.\nprofkit had faults of its own: 1 store failed."
    )
    live_profiler.enabled = False
    _, notices = seen(DebugContext(profiler=live_profiler, find_pools=False))
    assert "Operations are not watched" in texts(notices)


def test_what_cannot_be_read_is_said(live_profiler: PerformanceProfiler, monkeypatch: Any) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise PermissionError("not allowed")

    live_profiler.activate()
    monkeypatch.setattr("profkit.debug.overview.process_memory", refuse)
    monkeypatch.setattr("profkit.debug.context.connections_report", refuse)
    look, notices = seen(DebugContext(profiler=live_profiler, find_pools=False))
    assert look["memory"] is None
    assert (
        texts(notices)
        == "What the connections are could not be read.\nWhat the memory are could not be read."
    )


def test_the_page_shows_it_and_json_stays_what_it_was(
    endpoints: DiagnosticEndpoints, live_profiler: PerformanceProfiler, bearer: Headers
) -> None:
    began, asked = threading.Event(), threading.Event()

    def nightly() -> None:
        with live_profiler.operation("nightly", category="agent"):
            began.set()
            asked.wait(20)

    thread = threading.Thread(target=nightly)  # what a request runs in is left unwatched
    thread.start()
    assert began.wait(20)
    client = TestClient(endpoints)
    page = client.get("/", headers={**bearer(), "accept": "text/html"}).text
    answer = client.get("/", headers=bearer()).json()
    asked.set()
    thread.join()
    for shown in ("What stands out", "nightly", "file descriptors", "in flight, the oldest", "All "):
        assert shown in page
    assert list(answer) == ["answered_by", "principal", "uptime_seconds", "recorder", "routes"]


@pytest.mark.parametrize("scope", ["reader"])
def test_who_may_only_look_sees_which_routes_are_not_his(
    endpoints: DiagnosticEndpoints, bearer: Headers, scope: str
) -> None:
    page = TestClient(endpoints).get("/", headers={**bearer(scope), "accept": "text/html"}).text
    assert page.count("(not yours)") == sum(
        not row["allowed"] for row in TestClient(endpoints).get("/", headers=bearer(scope)).json()["routes"]
    )


def test_the_processors_time_is_of_all_threads_and_since_the_last_look() -> None:
    """Against the same clock, over the same time: other tests' threads may be at work too."""
    meter = CpuMeter()
    began = time.monotonic(), time.process_time()

    def burn() -> None:
        while time.process_time() - began[1] < 0.3:  # of all threads together
            pass

    def used_since(before: tuple[float, float]) -> float:
        return (time.process_time() - before[1]) / (time.monotonic() - before[0])

    threads = [threading.Thread(target=burn) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    time.sleep(max(0.0, began[0] + LEAST + 0.1 - time.monotonic()))
    busy, looked = meter.cores(), (time.monotonic(), time.process_time())
    assert busy == pytest.approx(used_since(began), rel=0.2)
    assert busy >= 0.3 / (looked[0] - began[0]) * 0.9
    assert meter.cores() == busy  # too soon to say anything else
    time.sleep(LEAST + 0.1)
    assert meter.cores() == pytest.approx(used_since(looked), rel=0.3, abs=0.05)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_forked_child_begins_anew() -> None:
    meter = CpuMeter()
    meter._read = meter._read[0] - 100, meter._read[1] + 1e6  # the clock of a parent that has worked for long
    meter._pid = 0
    assert meter.cores() == 0.0


def test_the_index_needs_a_token(debug_client: TestClient, token_auth: TokenAuth) -> None:
    assert debug_client.get("/", headers={"accept": "text/html"}).status_code == 401
