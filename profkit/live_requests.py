"""Requests and WebSockets that have not ended, and what they are called."""

from __future__ import annotations

from time import perf_counter
from typing import Literal, NamedTuple

from profkit.asgi_types import Scope
from profkit.operations import Operation
from profkit.route_names import RouteNames

names = RouteNames()
operations: dict[Operation, Scope] = {}
"""The operations of requests and of WebSockets' steps, by the connection that each belongs to."""
websockets: dict[int, tuple[Scope, float]] = {}
"""By the id of its scope, each WebSocket and when it began, in seconds of `time.perf_counter`."""


class LiveRequest(NamedTuple):
    """A request or WebSocket that has not ended: the name of its route, and its age in seconds."""

    kind: Literal["http", "websocket"]
    name: str
    age: float


def live_requests() -> list[LiveRequest]:
    """Return what `ProfilingMiddleware` is serving now, the oldest first; called from any thread."""
    now = perf_counter()
    found = [
        LiveRequest("http", names.name(scope), now - operation.started)
        for operation, scope in list(operations.items())
        if scope["type"] == "http"
    ]
    found += [
        LiveRequest("websocket", names.name(scope), now - began) for scope, began in list(websockets.values())
    ]
    return sorted(found, key=lambda one: -one.age)


def name_live_requests() -> int:
    """Give the operations in flight the names of the routes they have reached by now; return how many there are."""
    live = list(operations.items())
    for operation, scope in live:
        operation.rename(names.name(scope))
    return len(live)
