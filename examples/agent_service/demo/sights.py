"""One line of what each debug route shows."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import httpx


def look(method: str, path: str, answer: httpx.Response) -> str:
    """Say what a route's answer shows; its size, of a route that is not known here."""
    sight = _SIGHTS.get((method, path))
    return sight(answer) if sight else f"{len(answer.content):,} bytes"


def _index(answer: httpx.Response) -> str:
    document = answer.json()
    recorder = document["recorder"]
    return f"{recorder['operations']} operations, {recorder['slow']} of them slow; lost: {recorder['faults'] or 'none'}"


def _config(answer: httpx.Response) -> str:
    application = answer.json()["application"]
    values, outside = application["values"], application["settings"]["outside"]
    return f"llm_api_key {values['llm_api_key']}, without {sorted(values['without'])}; outside from {outside['name']}"


def _connections(answer: httpx.Response) -> str:
    document = answer.json()
    given = (pool for pool in document["pools"] if pool["found"] == "given")
    pools = ", ".join(f"{pool['name']} {pool['in_use']} of {pool['limit']}" for pool in given)
    established = document["sockets"]["states"].get("ESTABLISHED", 0)
    return f"{established} sockets established; pools in use: {pools}"


def _memory(answer: httpx.Response) -> str:
    document = answer.json()
    resident = f"{document['process']['rss'] / 1e6:.0f} MB resident"
    if not document["types"]["top"]:  # on a slow machine it may take too long
        return f"{resident}, types not counted"
    commonest = document["types"]["top"][0]
    return f"{resident}, {commonest['count']:,} {commonest['type']} objects"


def _tasks(answer: httpx.Response) -> str:
    document = answer.json()
    oldest = document["tasks"][-1]
    states = ", ".join(f"{count} {state}" for state, count in document["states"].items())
    return f"{document['total']} tasks: {states}; {oldest['coroutine']} waits for {oldest['waits_for']}"


def _threads(answer: httpx.Response) -> str:
    document = answer.json()
    ours = sum(row["profkit"] for row in document["threads"])
    return f"{document['total']} threads, {ours} of them profkit's"


def _health(answer: httpx.Response) -> str:
    document = answer.json()
    return f"{document['status']}: {', '.join(document['checks']) or 'nothing to check'}"


def _settings(answer: httpx.Response) -> str:
    document = answer.json()
    return f"slow from {document['threshold']:g} s on"


def _profiles(answer: httpx.Response) -> str:
    document = answer.json()
    newest = document["stored"]["profiles"][:1]
    last = f", the newest: {newest[0]['operation']}, {newest[0]['wall']:.2f} s" if newest else ""
    return f"{len(document['in_flight'])} in flight, {len(document['stored']['profiles'])} stored{last}"


def _page(answer: httpx.Response) -> str:
    return f"pyinstrument's page, {len(answer.content) // 1024} KB"


def _capture(answer: httpx.Response) -> str:
    document: dict[str, Any] = answer.json()
    profile = document["profile"]
    return f"the whole process for {profile['wall']:.1f} s, {profile['sampling']['ticks']} ticks: {profile['id']}"


def _trace(answer: httpx.Response) -> str:
    document = answer.json()
    most = document["lines"][0]
    return f"{document['current_bytes'] / 1024:.1f} KB allocated, most at {most['file']}:{most['line']}"


def _growth(answer: httpx.Response) -> str:
    document = answer.json()
    most = document["grown"][0] if document["grown"] else {"growth": 0, "type": "any type"}
    stall = document["stall_seconds"] * 1000
    return f"{most['growth']:+} of {most['type']}; nothing else ran for {stall:.0f} ms of it"


def _backrefs(answer: httpx.Response) -> str:
    document = answer.json()
    hops = document["chains"][0]["hops"] if document["chains"] else []
    way = " ".join(f".{hop['by']}" if hop["by"] else hop["name"] or hop["type"] for hop in hops)
    return f"{document['found']} of {document['type'].rpartition('.')[2]} found; by way of {way or 'nothing'}"


def _gc(answer: httpx.Response) -> str:
    document = answer.json()
    stall = document["stall_seconds"] * 1000
    return f"{document['collected']:,} objects collected; nothing else ran for {stall:.0f} ms"


_SIGHTS: dict[tuple[str, str], Callable[[httpx.Response], str]] = {
    ("GET", "/"): _index,
    ("GET", "/config"): _config,
    ("GET", "/connections"): _connections,
    ("GET", "/memory"): _memory,
    ("GET", "/tasks"): _tasks,
    ("GET", "/threads"): _threads,
    ("GET", "/health"): _health,
    ("GET", "/health/live"): _health,
    ("GET", "/health/ready"): _health,
    ("GET", "/health/startup"): _health,
    ("GET", "/profile/settings"): _settings,
    ("GET", "/profile"): _profiles,
    ("GET", "/profile/{id}"): _page,
    ("POST", "/profile"): _capture,
    ("POST", "/memory/trace"): _trace,
    ("POST", "/memory/growth"): _growth,
    ("POST", "/memory/backrefs"): _backrefs,
    ("POST", "/memory/gc"): _gc,
}
