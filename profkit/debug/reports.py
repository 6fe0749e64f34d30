"""The routes that look: the index, config and connections."""

from __future__ import annotations

import time
from typing import Annotated, TypedDict

from starlette.responses import Response

from profkit.counts import Stats
from profkit.debug.answers import answer
from profkit.debug.configuration import ConfigurationReport
from profkit.debug.configuration.rows import with_rows
from profkit.debug.connections import ConnectionsReport
from profkit.debug.negotiation import JSON
from profkit.debug.notices import notices_of
from profkit.debug.overview import look_at
from profkit.debug.pools.threads import default_limiter
from profkit.debug.routing import Call, DebugRoute
from profkit.debug.scopes import Scope


class ParameterRow(TypedDict):
    """A parameter of a route's query."""

    name: str
    description: str
    allowed: Annotated[str, "what may be given"]
    required: Annotated[bool, "it has to be given"]
    default: Annotated[str | float | None, "what it is where it is not given"]


class RouteRow(TypedDict):
    """A route."""

    method: str
    path: str
    scope: Annotated[str, Scope, "what a caller needs for it"]
    allowed: Annotated[bool, "the caller has that"]
    summary: str
    parameters: list[ParameterRow]


class Caller(TypedDict):
    """Who asks."""

    name: str
    scopes: Annotated[list[str], "what they may do"]


class Index(TypedDict):
    """What there is, and for whom."""

    principal: Caller
    uptime_seconds: Annotated[float, "since these routes were made"]
    recorder: Stats
    routes: list[RouteRow]


async def index(call: Call) -> Response:
    """What there is, and for whom."""
    routes: list[RouteRow] = [
        {
            "method": route.method,
            "path": route.path,
            "scope": route.scope.value,
            "allowed": route.scope in call.principal.scopes,
            "summary": route.summary,
            "parameters": [
                {
                    "name": one.name,
                    "description": one.description,
                    "allowed": one.allowed,
                    "required": one.required,
                    "default": one.default,
                }
                for one in route.parameters
            ],
        }
        for route in call.routes
        if route.listed
    ]
    data: Index = {
        "principal": {"name": call.principal.name, "scopes": sorted(call.principal.scopes)},
        "uptime_seconds": round(time.time() - call.context.started, 1),
        "recorder": call.context.current_profiler().stats(),
        "routes": routes,
    }
    if call.wants == JSON:
        return await answer(call, data, "index.html")
    look, health = await look_at(call.context)
    return await answer(call, data, "index.html", look=look, health=health, notices=notices_of(look, health))


async def config(call: Call) -> Response:
    """Settings, versions and how the process was started."""
    data = await call.context.workers.run("configuration", call.context.configuration)
    counts = {"distributions": len(data["distributions"]), "environment": len(data["environment"] or ())}
    return await answer(call, data, "config.html", shown=lambda: with_rows(data), counts=counts)


async def connections(call: Call) -> Response:
    """Sockets, file descriptors, threads, pools, and what is served now."""
    limiter = default_limiter()
    data = await call.context.workers.run("connections", lambda: call.context.connections(limiter=limiter))
    pools = len(data["pools"]) + data["pools_left_out"]
    return await answer(call, data, "connections.html", pools=pools)


ROUTES = (
    DebugRoute(
        method="GET", path="/", scope=Scope.READ, summary="what there is", handler=index, answers=Index
    ),
    DebugRoute(
        method="GET",
        path="/config",
        scope=Scope.READ,
        summary="settings of profkit and of the application, masked, and where they came from; versions, command line",
        handler=config,
        answers=ConfigurationReport,
    ),
    DebugRoute(
        method="GET",
        path="/connections",
        scope=Scope.READ,
        summary="sockets by state and peer, file descriptors, threads, connection pools, what is served now",
        handler=connections,
        answers=ConnectionsReport,
    ),
)
