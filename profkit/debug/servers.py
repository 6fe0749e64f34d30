"""What this process serves now: requests and WebSockets by route, and the counters of uvicorn's servers."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Literal, TypedDict, cast
from weakref import WeakSet

from profkit.debug.pools.figures import attribute, items, whole
from profkit.debug.sockets import host_and_port
from profkit.live_requests import LiveRequest, live_requests
from profkit.masking import Masker

MAX_ROUTES = 50
MAX_SERVERS = 20
MAX_ADDRESSES = 10

own_servers: WeakSet[object] = WeakSet()
"""Those that `profkit.debug.serve` runs."""


class LiveRoute(TypedDict):
    """What one route has in flight; `oldest` is the age in seconds of the one that began first."""

    name: str
    count: int
    oldest: float


class LiveReport(TypedDict):
    """What is in flight: `total`, and the 50 routes with most of it; `routes_left_out` have the rest."""

    total: int
    routes: list[LiveRoute]
    routes_left_out: int


class UvicornReport(TypedDict):
    """One of uvicorn's servers. `profkit` says that it is the one of `profkit.debug.serve`.

    `addresses` it listens at; `connections` open now, `tasks` of requests and WebSockets not ended, `total_requests`
    since it began; `stopping` says that it takes no more. None of that is in uvicorn's public interface.
    """

    profkit: bool
    addresses: list[str]
    connections: int | None
    tasks: int | None
    total_requests: int | None
    stopping: bool
    source: Literal["private"]


class ServerReport(TypedDict):
    """`requests` and `websockets` that `ProfilingMiddleware` sees, this one too; `uvicorn`: its servers, if found."""

    requests: LiveReport
    websockets: LiveReport
    uvicorn: list[UvicornReport]


def server_report(found: Iterable[Callable[[], object | None]], *, masker: Masker) -> ServerReport:
    """Return what is in flight, and the state of the servers `found`."""
    live = live_requests()
    servers = [server for one in found if (server := one()) is not None]
    known = {id(server): server for server in (*servers, *own_servers)}
    return {
        "requests": _live([one for one in live if one.kind == "http"], masker),
        "websockets": _live([one for one in live if one.kind == "websocket"], masker),
        "uvicorn": [_server(server) for server in list(known.values())[:MAX_SERVERS] if _runs(server)],
    }


def _live(connections: list[LiveRequest], masker: Masker) -> LiveReport:
    ages: dict[str, list[float]] = {}
    for one in connections:
        ages.setdefault(one.name, []).append(one.age)
    ranked = sorted(ages.items(), key=lambda item: (-len(item[1]), item[0]))
    return {
        "total": len(connections),
        "routes": [
            {"name": masker.mask_text(name), "count": len(of), "oldest": round(max(of), 3)}
            for name, of in ranked[:MAX_ROUTES]
        ],
        "routes_left_out": max(0, len(ranked) - MAX_ROUTES),
    }


def _runs(server: object) -> bool:
    """Tell whether it listens, or has connections left; one that has ended may be there for a while."""
    if attribute(server, "started") is not True:
        return False
    listens = any(items(one, "sockets") for one in items(server, "servers"))
    return listens or bool(items(attribute(server, "server_state"), "connections"))


def _server(server: object) -> UvicornReport:
    state = attribute(server, "server_state")
    return {
        "profkit": server in own_servers,
        "addresses": _addresses(server),
        "connections": _length(state, "connections"),
        "tasks": _length(state, "tasks"),
        "total_requests": whole(state, "total_requests"),
        "stopping": attribute(server, "should_exit") is True,
        "source": "private",
    }


def _length(state: object, name: str) -> int | None:
    return None if attribute(state, name) is None else len(items(state, name))


def _addresses(server: object) -> list[str]:
    """Return the addresses of its sockets; one in the file system is a server's path, and not shown."""
    names: set[str] = set()
    for one in items(server, "servers"):
        for listening in items(one, "sockets"):
            try:
                name = cast("object", getattr(listening, "getsockname")())  # noqa: B009 - of an object of any type
            except OSError:  # closed meanwhile
                continue
            if isinstance(name, tuple):
                host, port = cast("tuple[object, ...]", name)[:2]
                names.add(host_and_port(str(host), int(str(port))))
            else:
                names.add("unix")
    return sorted(names)[:MAX_ADDRESSES]
