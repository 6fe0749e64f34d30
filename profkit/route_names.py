"""Operation names for requests: the method and the route's template, so that there are as many as there are routes.

Read from what Starlette (and FastAPI, which builds on it) leaves in the ASGI scope, and Flask in the WSGI environ; no
framework is imported.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from profkit.asgi_types import Scope

UNMATCHED: Final = "(unmatched)"
OTHER_METHOD: Final = "(other method)"
ROUTE_KEY: Final = "profkit.route"
"""Under this key a WSGI application tells the template of the route, such as `/users/{id}`."""
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
        return f"{_method_of(scope)} {self.template(scope)}"

    def is_settled(self, scope: Scope) -> bool:
        """Tell whether every request of this method at this route has the name that `name` has just returned."""
        route = scope.get("route")
        wanted = scope.get("endpoint") if route is None else route
        known = self._templates.get((id(scope.get("router")), id(wanted)))
        return _method_of(scope) != OTHER_METHOD and (
            wanted is None or (known is not None and len(known[2]) == 1)
        )

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


def environ_name(environ: dict[str, Any]) -> str:
    """Return the name of a WSGI request: `GET /users/<int:id>` of a Flask application, or with what it told itself."""
    return f"{_method(environ.get('REQUEST_METHOD'))} {note_route(environ) or UNMATCHED}"


def note_route(environ: dict[str, Any]) -> str:
    """Return the template of a WSGI request's route, empty if there is none yet; it is noted in the environ.

    Flask takes its request out of the environ when its part is done, which is before the body is sent.
    """
    told = environ.get(ROUTE_KEY)
    if isinstance(told, str):
        return told
    try:
        found = getattr(getattr(environ.get("werkzeug.request"), "url_rule", None), "rule", None)
    except Exception:  # noqa: BLE001 - a request class of the application's own
        return ""
    if not isinstance(found, str):
        return ""
    environ[ROUTE_KEY] = found
    return found


def _method(method: object) -> str:
    return method if isinstance(method, str) and method in _METHODS else OTHER_METHOD


def _method_of(scope: Scope) -> str:
    """Return the request's method, `WEBSOCKET` for one of those."""
    return "WEBSOCKET" if scope.get("type") == "websocket" else _method(scope.get("method"))


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
