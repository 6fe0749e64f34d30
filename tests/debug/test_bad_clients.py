"""Bad clients at every debug route: the application beside them goes on, and nothing of them is left."""

from __future__ import annotations

import statistics
import time
from collections import Counter
from collections.abc import Callable

import httpx
import psutil
import pytest

from benchmarks.debug.bad_clients import beside_pests, percentile
from benchmarks.debug.pests import CLIENTS
from benchmarks.debug.served import TOKEN, server

PAIRS = 2
SECONDS = 1.5
REFUSALS = {"400", "401", "403", "404", "405", "406", "408", "413", "422", "429", "431"}
NONE = "0"


def eventually(holds: Callable[[], bool], seconds: float = 10.0) -> bool:
    give_up = time.monotonic() + seconds
    while not holds() and time.monotonic() < give_up:
        time.sleep(0.05)
    return holds()


@pytest.mark.alone
def test_an_application_goes_on_beside_bad_clients_and_keeps_nothing_of_them() -> None:
    answers: Counter[str] = Counter()
    ratios: list[float] = []
    with server() as (port, pid):
        process = psutil.Process(pid)
        percentile(port, 0.5)
        beside_pests(port, 0.5, "/debug", Counter())
        size = process.memory_info().rss
        for _ in range(PAIRS):
            alone = percentile(port, SECONDS)
            ratios.append(beside_pests(port, SECONDS, "/debug", answers) / alone)
        headers = {"Authorization": f"Bearer {TOKEN}"}
        with httpx.Client(base_url=f"http://127.0.0.1:{port}", headers=headers, trust_env=False) as client:
            found = client.get("/debug/").json()
            assert eventually(lambda: len(process.net_connections(kind="tcp")) <= 3), "connections are left"
            tasks = client.get("/debug/tasks").json()["tasks"]
        assert process.memory_info().rss - size < 64 * 2**20
    assert found["recorder"]["faults"] == {}
    assert len(tasks) <= 6, [one["coroutine"] for one in tasks]
    assert set(answers) <= REFUSALS | {NONE}
    assert {"400", "401", "413", "429", "431"} <= set(answers), "they were at it"
    assert sum(answers.values()) > CLIENTS * PAIRS
    assert statistics.median(ratios) < 10, ratios
