"""The table of routes, and what is checked before one of them is asked: scope, method, origin, form of the answer."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from profkit.debug.auth import Principal
from profkit.debug.context import DebugContext
from profkit.debug.jobs import Job, Jobs
from profkit.debug.negotiation import HTML, JSON, preferred
from profkit.debug.origin import checked_form
from profkit.debug.pages import Pages
from profkit.debug.parameters import Parameter, Parameters
from profkit.debug.problems import Problem, missing, not_found
from profkit.debug.scopes import Scope as AuthScope

PRINCIPAL_KEY = "profkit.debug.principal"


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One request to one route, after every check."""

    request: Request
    principal: Principal
    context: DebugContext
    pages: Pages
    routes: tuple[DebugRoute, ...]
    parameters: Parameters
    wants: str
    job: Job | None = None
    """The job that this is, of which there is one at a time."""

    def require(self, scope: AuthScope) -> None:
        """Raise a `Problem` (403) unless the caller has this scope too."""
        if scope not in self.principal.scopes:
            raise missing([scope])


@dataclass(frozen=True, slots=True, kw_only=True)
class DebugRoute:
    """One method of one path: what it is checked, listed and documented by.

    `answers` is the `TypedDict` of its JSON, without the process's name, None where it has none; `to_anybody` is that
    of what is told without credentials. `statuses` are those of its own answer, `also` what it may refuse with that
    not every route does. `job` names work that is done once at a time, and `doing` says in words what its doer is at.
    What is not `listed` is a part of pages.
    """

    method: str
    path: str
    scope: AuthScope
    summary: str
    handler: Callable[[Call], Awaitable[Response]]
    parameters: tuple[Parameter[Any], ...] = ()
    answers: type | None = None
    to_anybody: type | None = None
    statuses: tuple[int, ...] = (200,)
    also: tuple[int, ...] = ()
    offers: tuple[str, ...] = (JSON, HTML)
    job: str | None = None
    doing: str = ""
    listed: bool = True


class Resource:
    """Every route of one path, as an ASGI application."""

    def __init__(
        self,
        routes: list[DebugRoute],
        table: tuple[DebugRoute, ...],
        context: DebugContext,
        pages: Pages,
        jobs: Jobs,
    ) -> None:
        self._routes = {route.method: route for route in routes}
        self._table = table
        self._context = context
        self._pages = pages
        self._jobs = jobs

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Check and answer; every refusal is a `Problem`."""
        request = Request(scope, receive, send)
        principal = scope.get(PRINCIPAL_KEY)
        if not isinstance(principal, Principal):  # only behind the gate
            raise not_found()
        route = self._route(request.method, principal)
        fields = await checked_form(request, principal) if route.method == "POST" else []
        wants = _form(request, fields, route)
        alone = self._jobs.alone(route.job, route.doing, principal.name) if route.job else nullcontext()
        with alone as job:
            call = Call(
                request=request,
                principal=principal,
                context=self._context,
                pages=self._pages,
                routes=self._table,
                parameters=Parameters(request.query_params, route.parameters, fields),
                wants=wants,
                job=job,
            )
            response = await route.handler(call)
        await response(scope, receive, send)

    def _route(self, method: str, principal: Principal) -> DebugRoute:
        """Return the route of a method: 403 comes before 405, so that the methods of a path are told to few."""
        route = self._routes.get("GET" if method == "HEAD" else method)
        scopes = {route.scope} if route else {one.scope for one in self._routes.values()}
        if not scopes & principal.scopes:
            raise missing(scopes)
        if route is None:
            allowed = sorted(self._routes) + (["HEAD"] if "GET" in self._routes else [])
            raise Problem(
                405,
                f"This method is not allowed here: give {' or '.join(allowed)}.",
                {"allow": ", ".join(allowed)},
            )
        return route


def _form(request: Request, fields: list[tuple[str, str]], route: DebugRoute) -> str:
    """Return the media type of the answer; a `format` that the route knows decides alone."""
    given = any(name == "format" and value for name, value in (*request.query_params.multi_items(), *fields))
    if given and any(one.name == "format" for one in route.parameters):
        return route.offers[0]
    found = preferred(request.headers.get("accept", ""), route.offers)
    if found is None:
        raise Problem(406, f"This can be had as {' or '.join(route.offers)}.")
    return found
