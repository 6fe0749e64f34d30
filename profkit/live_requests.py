"""Requests in flight, and their names by the routes that they have reached so far."""

from __future__ import annotations

from collections.abc import MutableMapping
from typing import Any, cast

from profkit.operations import Operation
from profkit.route_names import RouteNames, environ_name

live: dict[Operation, MutableMapping[str, Any]] = {}
"""The ASGI scope or WSGI environ of each request that is an operation in flight."""
names = RouteNames()


def name_of(operation: Operation) -> str:
    """Return an operation's name; of a request in flight it is that of the route it has reached by now."""
    request = live.get(operation)
    return operation.tally.name if request is None else _name(request)


def name_live_requests() -> int:
    """Give the requests in flight the names of the routes they have reached by now; return how many there are."""
    requests = list(live.items())
    for operation, request in requests:
        operation.rename(_name(request))
    return len(requests)


def _name(request: MutableMapping[str, Any]) -> str:
    if "REQUEST_METHOD" in request:
        return environ_name(cast("dict[str, Any]", request))
    return names.name(request)
