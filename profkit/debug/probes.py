"""The routes of health, and an endpoint for an orchestrator's probes that tells the status alone."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Annotated, Final, TypedDict

from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from profkit.debug.answers import answer, to_json
from profkit.debug.health import HealthChecker, Probe
from profkit.debug.negotiation import JSON
from profkit.debug.problems import not_found
from profkit.debug.results import Health, HealthAnswer
from profkit.debug.routing import Call, DebugRoute
from profkit.debug.scopes import Scope as AuthScope

PATHS: Final = {
    "/health/live": Probe.LIVENESS,
    "/health/ready": Probe.READINESS,
    "/health/startup": Probe.STARTUP,
}
_HEADERS = {"cache-control": "no-store", "x-content-type-options": "nosniff"}


class ProbeAnswer(TypedDict):
    """How the process is, for anybody: where `probes=True`, and no credentials came with the request."""

    status: Annotated[str, Health]


class HealthEndpoint:
    """An ASGI application that answers `/live`, `/ready` and `/startup` with the status alone, to anybody.

    `app.mount("/health", HealthEndpoint(health))`, for an orchestrator that has no credentials: 200 or 503, and
    `{"status": "healthy"}`. What the checks said is at `/debug/health`, for those who may read.
    """

    def __init__(self, checker: HealthChecker) -> None:
        self._checker = checker

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
        elif scope["type"] == "http":
            await (await self._response(scope))(scope, receive, send)

    async def _response(self, scope: Scope) -> Response:
        probe = PATHS.get("/health/" + str(scope["path"]).rpartition("/")[2])
        if probe is None:
            return Response(not_found().message, 404, _HEADERS, "text/plain")
        if scope["method"] not in {"GET", "HEAD"}:
            return Response("", 405, {**_HEADERS, "allow": "GET, HEAD"}, "text/plain")
        report = await self._checker.report(probe)
        found: ProbeAnswer = {"status": report.status.value}
        return Response(to_json(found), _code(report.status), _HEADERS, JSON)


def _handler(probe: Probe | None) -> Callable[[Call], Awaitable[Response]]:
    async def health(call: Call) -> Response:
        report = await call.context.checks.report(probe)
        data = report.as_dict(call.context.masker)
        return await answer(
            call, data, "health.html", status=_code(report.status), checks=len(data["checks"])
        )

    return health


def _code(status: Health) -> int:
    return 503 if status is Health.UNHEALTHY else 200


ROUTES = (
    DebugRoute(
        method="GET",
        path="/health",
        scope=AuthScope.READ,
        summary="every check that is registered; 503 if one that is required fails",
        handler=_handler(None),
        answers=HealthAnswer,
        statuses=(200, 503),
    ),
    *(
        DebugRoute(
            method="GET",
            path=path,
            scope=AuthScope.READ,
            summary=f"the checks of the {probe} probe",
            handler=_handler(probe),
            answers=HealthAnswer,
            to_anybody=ProbeAnswer,
            statuses=(200, 503),
        )
        for path, probe in PATHS.items()
    ),
)
