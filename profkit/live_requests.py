"""Requests and WebSockets that have not ended, and their names by the routes that they have reached so far."""

from __future__ import annotations

from collections.abc import MutableMapping
from time import perf_counter
from typing import Any, Literal, NamedTuple, cast

from profkit.asgi_types import Scope
from profkit.operations import Operation
from profkit.route_names import RouteNames, environ_name

names = RouteNames()
live: dict[Operation, MutableMapping[str, Any]] = {}
"""The ASGI scope or WSGI environ that each operation of a request in flight, or of a WebSocket's step, belongs to."""
websockets: dict[object, tuple[Scope, float]] = {}
"""By what follows its steps, each WebSocket and when it began, in seconds of `time.perf_counter`."""


class LiveRequest(NamedTuple):
    """A request or WebSocket that has not ended: the name of its route, and its age in seconds."""

    kind: Literal["http", "websocket"]
    name: str
    age: float


def live_requests() -> list[LiveRequest]:
    """Return what the middlewares are serving now, the oldest first; called from any thread."""
    now = perf_counter()
    began = {
        id(request): (request, operation.started)
        for operation, request in reversed(list(live.items()))  # of two middlewares the outer one's
        if request.get("type") != "websocket" and not operation.ended  # in a forked child, its parent's
    }
    began.update({id(scope): (scope, since) for scope, since in reversed(list(websockets.values()))})
    found = [
        LiveRequest(
            "websocket" if request.get("type") == "websocket" else "http", _name(request), now - since
        )
        for request, since in began.values()
    ]
    return sorted(found, key=lambda one: -one.age)


def name_of(operation: Operation) -> str:
    """Return an operation's name; of a request in flight it is that of the route it has reached by now."""
    request = live.get(operation)
    return operation.tally.name if request is None else _name(request)


def name_live_requests() -> int:
    """Give the operations in flight the names of the routes they have reached by now; return how many there are."""
    requests = list(live.items())
    for operation, request in requests:
        operation.rename(_name(request))
    return len(requests)


def _name(request: MutableMapping[str, Any]) -> str:
    if "REQUEST_METHOD" in request:
        return environ_name(cast("dict[str, Any]", request))
    return names.name(request)
