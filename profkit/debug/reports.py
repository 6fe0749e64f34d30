"""The routes that look: the index, config, connections and memory."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping

from starlette.responses import Response

from profkit.debug.answers import answer
from profkit.debug.routing import Call, DebugRoute
from profkit.debug.scopes import Scope

_TEMPLATES = {"configuration": "config.html", "memory": "memory.html"}


async def index(call: Call) -> Response:
    """What there is, and for whom."""
    call.parameters()
    routes: list[dict[str, object]] = [
        {
            "method": route.method,
            "path": route.path,
            "scope": route.scope.value,
            "allowed": route.scope in call.principal.scopes,
            "summary": route.summary,
            "parameters": sorted(route.parameters),
        }
        for route in call.routes
        if route.path != "/style.css"
    ]
    data: dict[str, object] = {
        "principal": {"name": call.principal.name, "scopes": sorted(call.principal.scopes)},
        "uptime_seconds": round(time.time() - call.context.started, 1),
        "recorder": call.context.current_profiler().stats(),
        "routes": routes,
    }
    return await answer(call, data, "index.html", principal=call.principal)


async def config(call: Call) -> Response:
    """Settings, versions and how the process was started."""
    return await _report(call, "configuration", call.context.configuration)


async def connections(call: Call) -> Response:
    """Sockets, file descriptors, threads and pools."""
    return await _report(call, "connections", call.context.connections)


async def memory(call: Call) -> Response:
    """Memory use, the garbage collector and the commonest types."""
    return await _report(call, "memory", call.context.memory)


async def style(call: Call) -> Response:
    """The pages' stylesheet."""
    call.parameters()
    return Response(call.pages.stylesheet(), media_type="text/css")


async def _report(call: Call, name: str, collect: Callable[[], Mapping[str, object]]) -> Response:
    call.parameters()
    data = await call.context.workers.run(name, collect)
    return await answer(call, data, _TEMPLATES.get(name, "report.html"), title=name)


ROUTES = (
    DebugRoute(method="GET", path="/", scope=Scope.READ, summary="what there is", handler=index),
    DebugRoute(
        method="GET",
        path="/config",
        scope=Scope.READ,
        summary="settings of profkit and of the application, masked, and where they came from; versions, command line",
        handler=config,
    ),
    DebugRoute(
        method="GET",
        path="/connections",
        scope=Scope.READ,
        summary="sockets by state and peer, file descriptors, threads, connection pools",
        handler=connections,
    ),
    DebugRoute(
        method="GET",
        path="/memory",
        scope=Scope.READ,
        summary="memory use, garbage collector, commonest types",
        handler=memory,
    ),
    DebugRoute(
        method="GET",
        path="/style.css",
        scope=Scope.READ,
        summary="the pages' stylesheet",
        handler=style,
        offers=("text/css",),
    ),
)
