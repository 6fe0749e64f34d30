"""DiagnosticEndpoints: the debug routes as one ASGI application, to mount where one likes."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterable, Mapping
from typing import cast

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from profkit.debug.activity import ROUTES as ACTIVITY
from profkit.debug.admission import Admission
from profkit.debug.answers import problem_answer
from profkit.debug.assets import ROUTES as ASSETS
from profkit.debug.auth import Auth, TokenAuth
from profkit.debug.captures import ROUTES as CAPTURES
from profkit.debug.configuration import Showing, ShowValues, checked_showing, read_distributions_soon
from profkit.debug.context import DebugContext
from profkit.debug.dependencies import default_checks
from profkit.debug.failures import FailureLimits
from profkit.debug.gate import Gate, answer_404
from profkit.debug.health import HealthChecker
from profkit.debug.jobs import Jobs
from profkit.debug.live import ROUTES as LIVE
from profkit.debug.memory.routes import ROUTES as MEMORY
from profkit.debug.openapi import ROUTES as OPENAPI
from profkit.debug.pages import Pages
from profkit.debug.probes import ROUTES as HEALTH
from profkit.debug.probes import HealthEndpoint
from profkit.debug.problems import Problem, not_found
from profkit.debug.profiles import ROUTES as PROFILES
from profkit.debug.reports import ROUTES as REPORTS
from profkit.debug.routing import DebugRoute, Resource
from profkit.profiler import PerformanceProfiler
from profkit_storage import ConfigurationError

ROUTES: tuple[DebugRoute, ...] = (
    *REPORTS, *MEMORY, *ACTIVITY, *HEALTH, *LIVE, *PROFILES, *CAPTURES, *OPENAPI, *ASSETS,
)  # fmt: skip
"""Every route there is: the application, the index and the tests are made from it."""
_MAX_REVISION = 200


class DiagnosticEndpoints:
    """Protected routes that show what a live process is doing.

        app.mount("/debug", DiagnosticEndpoints(auth=TokenAuth.from_env(), config=settings, pools={"db": engine}))

    Args:
        auth: who may ask, a `TokenAuth`, a `CallableAuth` or anything with the methods of `Auth`. Required.
        profiler: the profiler to look at; by default `profkit`'s own, as it is at the time.
        config: the application's settings, shown masked: a dataclass, pydantic model, mapping, object or callable.
        pools: connection pools by name.
        find_pools: whether others are looked for in the process, once a minute, and shown too.
        environment: whether environment variables are shown too, masked.
        show_values: how much of the settings is shown: `ShowValues.MASKED`, `ShowValues.NEVER` (names, types and
            sources alone), or `ValueRules` of your own.
        revision: of the code that runs, such as a git commit; without it that in PROFKIT_REVISION.
        features: feature switches by name, or a function that returns them; shown masked.
        checks: what `/health` runs; by default the event loop, the host's memory and the profile store.
        probes: whether `/health/live`, `/health/ready` and `/health/startup` tell their status, and nothing else,
            without credentials and by whatever host name: for an orchestrator.
        enabled: whether there is anything here at all; if not, everything is 404.
        limits: how failed attempts are slowed and limited.
        allowed_hosts: names that must be in the Host header, `*.example.org` for all below one; any by default.
        allowed_networks: where the peer's address must be, such as `10.0.0.0/8`, or `unix`; anywhere by default. Who
            comes with a proxy's X-Forwarded-For is not admitted: let the proxy have the list.

    Raises:
        ConfigurationError: no auth, or an argument that is not allowed.
    """

    def __init__(
        self,
        *,
        auth: Auth | None = None,
        profiler: PerformanceProfiler | None = None,
        config: object = None,
        pools: Mapping[str, object] | None = None,
        find_pools: bool = True,
        environment: bool = False,
        show_values: Showing | str = ShowValues.MASKED,
        revision: str | None = None,
        features: Mapping[str, object] | Callable[[], Mapping[str, object]] | None = None,
        checks: HealthChecker | None = None,
        probes: bool = False,
        enabled: bool = True,
        limits: FailureLimits | None = None,
        allowed_hosts: Iterable[str] | None = None,
        allowed_networks: Iterable[str] | None = None,
    ) -> None:
        if auth is None:
            raise ConfigurationError(
                "DiagnosticEndpoints(auth=None) is not allowed: give a TokenAuth or CallableAuth"
            )
        if not isinstance(cast("object", auth), Auth) or isinstance(auth, type):
            raise ConfigurationError(f"auth={auth!r} is not allowed: give a TokenAuth or CallableAuth")
        if checks is not None and not isinstance(cast("object", checks), HealthChecker):
            raise ConfigurationError(
                f"checks of type {type(checks).__name__} is not allowed: give a HealthChecker"
            )
        if probes and checks is None:
            raise ConfigurationError(
                "probes=True without checks is not allowed: give a HealthChecker as checks"
            )
        self.context = DebugContext(
            profiler=profiler,
            config=config,
            pools=_checked_pools(pools),
            find_pools=find_pools,
            environment=environment,
            show_values=checked_showing(show_values),
            revision=_checked_revision(revision),
            features=_checked_features(features),
            checks=default_checks(profiler) if checks is None else checks,
        )
        self.enabled = enabled
        self._asked = False
        self._pages = Pages(by_token=isinstance(auth, TokenAuth))
        # Under the name that middleware has for it, so that requests are named by the routes inside.
        self.app = _application(self.context, self._pages)
        self._gate = Gate(
            self.app,
            auth,
            self.context,
            self._pages,
            limits=limits or FailureLimits(),
            admission=Admission(allowed_hosts, allowed_networks),
            probes=HealthEndpoint(checks) if checks is not None and probes else None,
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] == "http":
            if not self._asked:
                self._asked = True
                read_distributions_soon()
            await (self._gate if self.enabled else answer_404)(scope, receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
        elif scope["type"] == "lifespan":
            await self.app(scope, receive, send)


def _application(context: DebugContext, pages: Pages) -> Starlette:
    jobs = Jobs()
    by_path: dict[str, list[DebugRoute]] = {}
    for route in ROUTES:
        by_path.setdefault(route.path, []).append(route)

    def problem(request: Request, error: Exception) -> Response:
        return problem_answer(request, _as_problem(error), context, pages)

    async def on_problem(request: Request, error: Exception) -> Response:
        if isinstance(error, HTTPException) and error.status_code == 404 and _at_mount(request):
            return RedirectResponse(request.scope["path"].rpartition("/")[2] + "/")
        return problem(request, error)

    async def on_error(request: Request, error: Exception) -> Response:
        return problem(request, error)

    app = Starlette(
        routes=[
            Route(path, Resource(routes, ROUTES, context, pages, jobs)) for path, routes in by_path.items()
        ],
        exception_handlers={Problem: on_problem, HTTPException: on_problem, Exception: on_error},
    )
    # A redirect would name a host that the caller chose.
    app.router.redirect_slashes = False
    return app


def _as_problem(error: Exception) -> Problem:
    if isinstance(error, Problem):
        return error
    if isinstance(error, HTTPException):
        return (
            not_found("There is nothing here: the index, the first page, lists what there is.")
            if error.status_code == 404
            else Problem(error.status_code, "This cannot be answered.")
        )
    return Problem(500, "Something went wrong here; the application's log says what.")


def _at_mount(request: Request) -> bool:
    """Tell whether the mount itself was asked for, without the slash that the pages' links need."""
    path, root = request.scope["path"], request.scope.get("root_path", "")
    return bool(path) and path == root


def _checked_pools(pools: Mapping[str, object] | None) -> Mapping[str, object]:
    if pools is None:
        return {}
    if not isinstance(cast("object", pools), Mapping):
        raise ConfigurationError(
            f"pools of type {type(pools).__name__} is not allowed: give a mapping by name"
        )
    return pools


def _checked_revision(revision: str | None) -> str | None:
    given = cast("object", revision)
    if given is None or (isinstance(given, str) and given.isprintable() and 0 < len(given) <= _MAX_REVISION):
        return given
    what = f"={given!r}" if isinstance(given, str) else f" of type {type(given).__name__}"
    raise ConfigurationError(f"revision{what} is not allowed: give a text of 1 to {_MAX_REVISION} letters")


def _checked_features(
    features: Mapping[str, object] | Callable[[], Mapping[str, object]] | None,
) -> Mapping[str, object] | Callable[[], Mapping[str, object]] | None:
    given = cast("object", features)
    if given is None or isinstance(given, Mapping):
        return features
    if not callable(given) or inspect.iscoroutinefunction(given):
        raise ConfigurationError(
            f"features of type {type(features).__name__} is not allowed: give a mapping, or a function "
            "that returns one, not an asynchronous one"
        )
    return features
