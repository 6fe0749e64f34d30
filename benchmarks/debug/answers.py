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
    """Ask each route over and over, one request at a time, in a process with 1,000 tasks and 100 operations in flight.

    Answers during which Python collected all objects of the process are told apart: it does so sooner or later.
    """
    with server(TASKS) as served:
        connection = http.client.HTTPConnection("127.0.0.1", served.port, timeout=20)
        time.sleep(1)
        for query in QUERIES:
            _ask(connection, f"/debug/{query}")
        idle = max(_idle(connection) for _ in range(TIMES))
        return tuple(one for query in QUERIES for one in _rows(query, connection, idle))


def _rows(query: str, connection: http.client.HTTPConnection, idle: float) -> tuple[Measurement, ...]:
    took: list[float] = []
    stood: list[float] = []
    collecting: list[float] = []
    for _ in range(TIMES):
        _stall(connection)
        began = time.perf_counter()
        _ask(connection, f"/debug/{query}")
        seconds = time.perf_counter() - began
        stall, collection = _stall(connection)
        if collection:
            collecting.append(stall)
        else:
            took.append(seconds)
            stood.append(stall)
        time.sleep(0.02)
    full = (
        f"; {len(collecting)} collections of all objects, {max(collecting) * 1e3:.0f} ms"
        if collecting
        else ""
    )
    what = f"/debug/{query}, {TASKS:,} tasks"
    return (
        Measurement(
            f"{what}: an answer",
            max(took) * 1e3,
            50.0,
            "ms",
            f"the longest of {len(took)}; median {statistics.median(took) * 1e3:.1f}",
        ),
        Measurement(
            f"{what}: the loop stands still",
            max(stood) * 1e3,
            10.0,
            "ms",
            f"the longest of {len(stood)}; median {statistics.median(stood) * 1e3:.1f}; "
            f"{idle * 1e3:.1f} with no request{full}",
        ),
    )


def _idle(connection: http.client.HTTPConnection) -> float:
    _stall(connection)
    time.sleep(0.04)
    return _stall(connection)[0]


def _stall(connection: http.client.HTTPConnection) -> tuple[float, float]:
    """Return the longest stall since the last look, and the time of collections of all objects."""
    longest, collecting = json.loads(_ask(connection, "/stall"))
    return longest, collecting


def _ask(connection: http.client.HTTPConnection, path: str) -> bytes:
    connection.request("GET", path, headers={"Authorization": f"Bearer {TOKEN}"})
    answer = connection.getresponse()
    body = answer.read()
    if answer.status != 200:
        raise RuntimeError(f"{path}: {answer.status} {body[:200]!r}")
    return body
