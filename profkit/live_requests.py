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
websockets: dict[object, tuple[Scope, float]] = {}
"""By what follows its steps, each WebSocket and when it began, in seconds of `time.perf_counter`."""


class LiveRequest(NamedTuple):
    """A request or WebSocket that has not ended: the name of its route, and its age in seconds."""

    kind: Literal["http", "websocket"]
    name: str
    age: float


def live_requests() -> list[LiveRequest]:
    """Return what `ProfilingMiddleware` is serving now, the oldest first; called from any thread."""
    now = perf_counter()
    began = {
        id(scope): (scope, operation.started)
        for operation, scope in reversed(list(operations.items()))  # two middlewares: the outer one's
        if scope["type"] == "http"
    }
    began.update({id(scope): (scope, since) for scope, since in reversed(list(websockets.values()))})
    found = [
        LiveRequest("http" if scope["type"] == "http" else "websocket", names.name(scope), now - since)
        for scope, since in began.values()
    ]
    return sorted(found, key=lambda one: -one.age)


def name_live_requests() -> int:
    """Give the operations in flight the names of the routes they have reached by now; return how many there are."""
    live = list(operations.items())
    for operation, scope in live:
        operation.rename(names.name(scope))
    return len(live)
