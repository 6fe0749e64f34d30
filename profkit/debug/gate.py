"""The wrapper around the debug application: nothing is answered from inside before it is known who asks."""

from __future__ import annotations

import logging
from dataclasses import replace
from time import monotonic

from starlette.requests import ClientDisconnect, HTTPConnection, Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from profkit import live_requests, operations
from profkit.debug.admission import Admission
from profkit.debug.answers import problem_answer
from profkit.debug.auth import Auth, Principal
from profkit.debug.context import DebugContext
from profkit.debug.failures import Attempt, FailureLimits, Failures
from profkit.debug.origin import MAX_BODY
from profkit.debug.pages import Pages
from profkit.debug.probes import PATHS
from profkit.debug.problems import Problem, not_found
from profkit.debug.routing import PRINCIPAL_KEY
from profkit.debug.summary import mask_id
from profkit.faults import without_secrets
from profkit.requests import current

logger = logging.getLogger("profkit")
audit = logging.getLogger("profkit.audit")

_HEADERS = {
    "cache-control": "no-store",
    "content-security-policy": "default-src 'none'; frame-ancestors 'none'",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    # Not no-referrer: a browser would send `Origin: null` with a form of our own.
    "referrer-policy": "same-origin",
    "vary": "accept, authorization",
    "x-content-type-options": "nosniff",
    "x-frame-options": "DENY",
}
_MAX_HEADERS = 200
_MAX_HEADER_BYTES = 65_536
_CHALLENGES = ('Bearer realm="profkit"', 'Basic realm="profkit", charset="UTF-8"')


class Gate:
    """Asks who it is, counts attempts, slows who fails, secures every answer, and writes one audit record a request."""

    def __init__(
        self,
        app: ASGIApp,
        auth: Auth,
        context: DebugContext,
        pages: Pages,
        *,
        limits: FailureLimits,
        admission: Admission,
        probes: ASGIApp | None,
    ) -> None:
        self._app = app
        self._auth = auth
        self._context = context
        self._pages = pages
        self._failures = Failures(limits)
        self._admission = admission
        self._probes = probes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request. Never raises an `Exception` into the application it is mounted in."""
        operation = _left_unwatched()
        visit = _Visit(scope, send, self._context)
        try:
            await self._serve(visit, scope, receive)
        except ClientDisconnect:
            visit.status = 499  # as other servers log it: nobody is there to read an answer
        except Exception as error:  # a debug route must not fail the application
            detail = self._context.masker.mask_error(error)
            self._context.current_profiler().faults.add("debug_route_failed", detail)
            logger.debug("a debug route failed", exc_info=without_secrets(error))
            if visit.status is None:
                await Response("Internal Server Error", 500)(scope, receive, visit.send)
        finally:
            visit.write()
            if operation is not None:
                visit.note(operation)

    async def _serve(self, visit: _Visit, scope: Scope, receive: Receive) -> None:
        if _has_too_large_head(scope):
            problem = Problem(431, "The headers are too many, or too large.")
            await self._tell(problem, visit, scope, receive)
            return
        connection = HTTPConnection(scope)
        is_probe = self._probes is not None and _is_probe(scope, connection)
        if not self._admission.admits(connection, by_any_name=is_probe):
            problem = Problem(403, "This is not answered to this address, or under this name.")
            await self._tell(problem, visit, scope, receive)
            return
        if self._probes is not None and is_probe:
            await self._probes(scope, receive, visit.send)
            return
        attempt = await self._attempt(connection)
        if attempt.wait and not self._auth.unguessable:
            await self._refuse(visit, scope, receive, attempt.wait)
            return
        principal = None
        try:
            principal = await self._authenticate(connection)
        finally:
            self._failures.end(attempt, passed=principal is not None)
        if principal is None:
            visit.failed = bool(attempt.wait or attempt.windows)
            if attempt.windows:
                await self._failures.slow_down()
            await self._refuse(visit, scope, receive, attempt.wait)
            return
        visit.principal = scope[PRINCIPAL_KEY] = principal
        await self._app(scope, receive, visit.send)

    async def _attempt(self, connection: HTTPConnection) -> Attempt:
        """Count an attempt before it is made, if anything is there that can be guessed."""
        if not any(name in connection.headers for name in self._auth.credentials):
            return Attempt()
        peer = connection.client.host if connection.client else "unknown"
        if self._auth.unguessable:
            return self._failures.begin(peer)
        return await self._failures.begin_soon(peer)

    async def _authenticate(self, connection: HTTPConnection) -> Principal | None:
        try:
            principal = await self._auth.authenticate(connection)
        except Exception as error:  # noqa: BLE001 - what cannot be decided is refused
            self._context.current_profiler().faults.add("debug_auth_failed", type(error).__name__)
            return None
        return self._named(principal) if isinstance(principal, Principal) else None

    def _named(self, principal: Principal) -> Principal:
        """Return the principal under a name that may be logged and shown: an application may have taken anything."""
        name = self._context.masker.mask_text(str(principal.name))
        return principal if name == principal.name else replace(principal, name=name)

    async def _tell(self, problem: Problem, visit: _Visit, scope: Scope, receive: Receive) -> None:
        response = problem_answer(Request(scope), problem, self._context, self._pages)
        await response(scope, receive, visit.send)

    async def _refuse(self, visit: _Visit, scope: Scope, receive: Receive, wait: int) -> None:
        headers = HTTPConnection(scope).headers
        given = any(name in headers for name in self._auth.credentials)
        why = "These credentials are not known here, or no longer good. " if given else ""
        if wait:
            problem = Problem(429, "Too many attempts.", {"retry-after": str(wait)})
        else:
            problem = Problem(401, f"{why}Give a token: Authorization: Bearer, or as the password of Basic.")
        response = problem_answer(Request(scope), problem, self._context, self._pages)
        if not wait:
            for challenge in _CHALLENGES:
                response.headers.append("www-authenticate", challenge)
        await response(scope, receive, visit.send)


def _has_too_large_head(scope: Scope) -> bool:
    """Tell whether reading the headers would take long: each look for one goes through all of them."""
    headers: list[tuple[bytes, bytes]] = scope["headers"]
    if len(headers) > _MAX_HEADERS:
        return True
    return sum(len(name) + len(value) for name, value in headers) > _MAX_HEADER_BYTES


def _has_large_body(scope: Scope) -> bool:
    """Tell whether more is to come than is ever read here, or nobody knows how much."""
    for name, value in scope["headers"][:_MAX_HEADERS]:
        if name == b"transfer-encoding":
            return True
        if name == b"content-length":
            return not value.isdigit() or len(value) > 9 or int(value) > MAX_BODY
    return False


def _is_probe(scope: Scope, connection: HTTPConnection) -> bool:
    """Tell whether a request is an orchestrator's: for a probe, and without credentials."""
    path = str(scope["path"]).removeprefix(str(scope.get("root_path", "")))
    return path in PATHS and "authorization" not in connection.headers


class _Visit:
    """One request from its first byte to its record."""

    def __init__(self, scope: Scope, send: Send, context: DebugContext) -> None:
        self._scope = scope
        self._send = send
        self._context = context
        # As asked for; routing changes the scope.
        self._path = str(scope["path"])
        self._mount = str(scope.get("root_path", "")).removeprefix(str(scope.get("app_root_path", "")))
        self._began = monotonic()
        self.status: int | None = None
        self.failed = False
        self.principal: Principal | None = None

    async def send(self, message: Message) -> None:
        """Send on, with the headers that every answer has."""
        if message["type"] == "http.response.start":
            self.status = message["status"]
            own = list(message.get("headers", ()))
            given = {name.lower() for name, _ in own}
            common = {**_HEADERS, **self._process()}
            if message["status"] >= 400 and str(self._scope.get("http_version", "")).startswith("1"):
                # Else the server takes all of the body, to throw it away.
                common |= {"connection": "close"} if _has_large_body(self._scope) else {}
            own += [
                (name.encode(), value.encode("latin-1", "replace"))
                for name, value in common.items()
                if name.encode() not in given
            ]
            message = {**message, "headers": own}
        await self._send(message)

    def write(self) -> None:
        """Write the audit record: no query (a token may have been put there by mistake), one line whatever is sent."""
        scope, context = self._scope, current()
        who = self.principal.name if self.principal else None
        peer = scope["client"][0] if scope.get("client") else None
        fields = {
            "principal": who,
            "peer": peer,
            "method": scope["method"],
            "path": self._context.masker.mask_text(self._path)[:200],
            "status": self.status,
            "seconds": round(monotonic() - self._began, 4),
            "request_id": mask_id(context.request_id, self._context.masker) if context else None,
        }
        refused = self.failed or self.status in {403, 429}
        line = " ".join(f"{name}={value!a}" for name, value in fields.items())
        audit.log(logging.WARNING if refused else logging.INFO, "%s", line, extra={"audit": fields})

    def note(self, operation: operations.Operation) -> None:
        """Note what the request's operation is named by, if that is a route of these."""
        name = live_requests.name_of(operation)
        path = name.partition(" ")[2]
        if self._mount and (path == self._mount or path.startswith(f"{self._mount}/")):
            self._context.own_operations.add(operations.named(name))

    def _process(self) -> dict[str, str]:
        if self.principal is None:
            return {}
        process = self._context.process()
        value = f"{process['service']}; host={process['host']}; pid={process['pid']}"
        return {"x-profkit-process": "".join(letter for letter in value if letter.isprintable())}


def _left_unwatched() -> operations.Operation | None:
    """Keep the request's own operation, if there is one, from becoming a profile: a capture is slow on purpose."""
    operation = operations.current.get()
    return None if operation is None else operation.discard()


async def answer_404(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer that there is nothing here: what is not enabled does not exist."""
    response = Response(not_found().message, 404, _HEADERS, "text/plain")
    await response(scope, receive, send)
