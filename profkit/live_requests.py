"""Requests and WebSockets that have not ended, and their names by the routes that they have reached so far."""

from __future__ import annotations

from collections.abc import MutableMapping
from time import perf_counter
from typing import Any, Literal, NamedTuple, cast
from weakref import ref

from profkit.asgi_types import Scope
from profkit.operations import Operation
from profkit.route_names import RouteNames, environ_name

names = RouteNames()
live: dict[Operation, MutableMapping[str, Any] | ref[Any]] = {}
"""The ASGI scope that each operation of a request in flight, or of a WebSocket's step, belongs to.

Of WSGI a reference to what has the `environ`: that may lead back here, and nobody need close its body.
"""
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
        for operation, request in reversed(_live())  # of two middlewares the outer one's
        if request.get("type") != "websocket"
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
    request = _held(live.get(operation))
    return operation.tally.name if request is None else _name(request)


def name_live_requests() -> int:
    """Give the operations in flight the names of the routes they have reached by now; return how many there are."""
    requests = _live()
    for operation, request in requests:
        operation.rename(_name(request))
    return len(requests)


def forget() -> None:
    """Forget the parent's requests in a forked child."""
    live.clear()
    websockets.clear()


def _live() -> list[tuple[Operation, MutableMapping[str, Any]]]:
    found = [(operation, _held(request)) for operation, request in list(live.items())]
    return [(operation, request) for operation, request in found if request is not None]


def _held(request: MutableMapping[str, Any] | ref[Any] | None) -> MutableMapping[str, Any] | None:
    if not isinstance(request, ref):
        return request
    held = request()
    return None if held is None else held.environ


def _name(request: MutableMapping[str, Any]) -> str:
    if "REQUEST_METHOD" in request:
        return environ_name(cast("dict[str, Any]", request))
    return names.name(request)
