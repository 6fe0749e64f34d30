"""Operation names for requests: the method and the route's template, so that there are as many as there are routes.

Read from what Starlette (and FastAPI, which builds on it) leaves in the ASGI scope; no framework is imported.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from profkit.asgi_types import Scope

UNMATCHED: Final = "(unmatched)"
_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT"})
_MAX_DEPTH = 16
_MAX_CACHED = 4096


class RouteNames:
    """Finds names, and remembers the templates of each route. Used from any thread."""

    def __init__(self) -> None:
        # By id, since Starlette's routes cannot be hashed; the route is kept too, so that its id stays its own.
        self._templates: dict[tuple[int, int], tuple[object, object, tuple[str, ...]]] = {}

    def name(self, scope: Scope) -> str:
        """Return `GET /users/{id}`, or `GET (unmatched)` where no route has been found (yet)."""
        return f"{_method(scope) or '(other method)'} {self.template(scope)}"

    def is_settled(self, scope: Scope) -> bool:
        """Tell whether every request of this method at this route has the name that `name` has just returned."""
        route = scope.get("route")
        wanted = scope.get("endpoint") if route is None else route
        known = self._templates.get((id(scope.get("router")), id(wanted)))
        return bool(_method(scope)) and (wanted is None or (known is not None and len(known[2]) == 1))

    def template(self, scope: Scope) -> str:
        """Return the route's path template, with the mounts above it and without the server's root path."""
        route, router = scope.get("route"), scope.get("router")
        # Starlette before it named the route: the endpoint tells it as well, unless two routes share one.
        wanted = route if route is not None else scope.get("endpoint")
        if wanted is None:
            return UNMATCHED
        key = (id(router), id(wanted))
        known = self._templates.get(key)
        if known is None:
            found = tuple(_search(router, wanted, "", _MAX_DEPTH)) or _alone(wanted)
            if len(self._templates) >= _MAX_CACHED:
                self._templates.clear()
            known = self._templates[key] = (router, wanted, found)
        templates = known[2]
        if len(templates) == 1:
            return templates[0]
        return next((one for one in templates if _leads_to(one, scope)), UNMATCHED)


def _method(scope: Scope) -> str:
    """Return the request's method, `WEBSOCKET` for one of those, nothing for a method nobody knows."""
    method: str = scope.get("method", "")
    if method in _METHODS:
        return method
    return "WEBSOCKET" if scope.get("type") == "websocket" else ""


def _search(router: object, wanted: object, prefix: str, depth: int) -> Iterator[str]:
    """Yield the template of each place below `router` where `wanted`, a route or an endpoint, is."""
    if depth == 0:
        return
    for route in getattr(router, "routes", None) or ():
        if (
            route is wanted
            or getattr(route, "endpoint", None) is wanted
            or getattr(route, "app", 0) is wanted
        ):
            yield prefix + _path(route)
        else:
            below = prefix + _path(route).removesuffix("/{path}")
            yield from _search(_with_routes(route), wanted, below, depth - 1)


def _with_routes(route: object) -> object:
    """Return what holds the routes below a mount: it, or the application inside the middleware mounted there."""
    inner = route
    for _ in range(_MAX_DEPTH):
        if inner is None or getattr(inner, "routes", None):
            return inner
        inner = getattr(inner, "app", None)
    return None


def _path(route: object) -> str:
    """Return a route's own template; a host has none."""
    path = getattr(route, "path_format", None) or getattr(route, "path", "")
    return path if isinstance(path, str) else ""


def _alone(wanted: object) -> tuple[str, ...]:
    """Return what the route says by itself: a router that keeps its routes elsewhere."""
    path = _path(wanted)
    return (path,) if path else (UNMATCHED,)


def _leads_to(template: str, scope: Scope) -> bool:
    """Tell whether the text before the first parameter is in the request's path: one app mounted twice."""
    path = scope.get("path", "")
    return template.partition("{")[0] in path
