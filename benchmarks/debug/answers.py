"""How long answers of the debug routes take in a busy process, and how long its event loop stands still for them."""

from __future__ import annotations

import http.client
import json
import statistics
import time

from benchmarks.debug.served import TOKEN, server
from benchmarks.guards.measuring import Measurement

TASKS = 1_000
TIMES = 40
QUERIES = ("tasks", f"tasks?limit={TASKS}", "threads", "health", "config", "connections", "profile")


def answers() -> tuple[Measurement, ...]:
    """Ask each route over and over, one request at a time, in a process with 1,000 tasks."""
    with server(TASKS) as served:
        connection = http.client.HTTPConnection("127.0.0.1", served.port, timeout=20)
        time.sleep(1)
        for query in QUERIES:
            _ask(connection, f"/debug/{query}")
        idle = max(_idle(connection) for _ in range(TIMES))
        return tuple(one for query in QUERIES for one in _rows(query, connection, idle))


def _rows(query: str, connection: http.client.HTTPConnection, idle: float) -> tuple[Measurement, ...]:
    seconds: list[float] = []
    stalls: list[float] = []
    for _ in range(TIMES):
        _ask(connection, "/stall")
        began = time.perf_counter()
        _ask(connection, f"/debug/{query}")
        seconds.append(time.perf_counter() - began)
        stalls.append(json.loads(_ask(connection, "/stall")))
        time.sleep(0.02)
    took, stood = sorted(seconds), sorted(stalls)
    what = f"/debug/{query}, {TASKS:,} tasks"
    return (
        Measurement(
            f"{what}: an answer",
            took[-1] * 1e3,
            50.0,
            "ms",
            f"the longest of {TIMES}; median {statistics.median(took) * 1e3:.1f}",
        ),
        Measurement(
            f"{what}: the loop stands still",
            stood[-1] * 1e3,
            10.0,
            "ms",
            f"the longest of {TIMES}; median {statistics.median(stood) * 1e3:.1f}; {idle * 1e3:.1f} with no request",
        ),
    )


def _idle(connection: http.client.HTTPConnection) -> float:
    _ask(connection, "/stall")
    time.sleep(0.04)
    return float(json.loads(_ask(connection, "/stall")))


def _ask(connection: http.client.HTTPConnection, path: str) -> bytes:
    connection.request("GET", path, headers={"Authorization": f"Bearer {TOKEN}"})
    answer = connection.getresponse()
    body = answer.read()
    if answer.status != 200:
        raise RuntimeError(f"{path}: {answer.status} {body[:200]!r}")
    return body
