"""A server of its own for the debug routes, in a thread: for processes that serve no ASGI application."""

from __future__ import annotations

import asyncio
import atexit
import contextlib
import ipaddress
import logging
import os
import socket
import threading
import weakref
from importlib.util import find_spec
from typing import Any, Self, cast

from starlette.types import ASGIApp, Receive, Scope, Send

from profkit.debug.dependencies import default_checks
from profkit.debug.endpoints import DiagnosticEndpoints
from profkit.debug.servers import own_servers
from profkit.faults import without_secrets
from profkit_storage import ConfigurationError

logger = logging.getLogger("profkit")
_MAX_CONNECTIONS = 64
_IDLE = 5
"""Seconds after which a connection is closed on which nothing, or not the whole head of a request, has come."""
_BACKLOG = 64
_PREFIX = "/debug"


class DebugServer:
    """The debug routes at `url`, until `close` or the end of the process. `serve` makes one.

    A forked child has none: it starts its own.
    """

    def __init__(self, app: ASGIApp, *, host: str, port: int) -> None:
        self._socket = _bound(host, port)
        self.host = host
        self.port: int = self._socket.getsockname()[1]
        self._owner = os.getpid()
        self._server: Any = _server(app)
        own_servers.add(self._server)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="profkit-debug-server", daemon=True)
        self._thread.start()
        _running.add(self)
        logger.info("the debug routes are at %s", self.url)

    @property
    def url(self) -> str:
        """Where the routes are."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}/"

    def close(self, timeout: float = 5.0) -> bool:
        """Answer nothing any more; False if that took longer than `timeout` seconds."""
        if os.getpid() != self._owner:
            return True
        self._server.should_exit = True
        self._thread.join(timeout)
        self._socket.close()
        _running.discard(self)
        return not self._thread.is_alive()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _run(self) -> None:
        try:
            self._server.run(sockets=[self._socket])
        except Exception as error:
            logger.error(  # noqa: TRY400 - without what the message may hold
                "profkit: the server of the debug routes ended", exc_info=without_secrets(error)
            )

    def leave_to_parent(self) -> None:
        """Close the socket in a forked child, which would keep the port taken."""
        with contextlib.suppress(OSError):
            self._socket.close()


def serve(*, port: int = 0, host: str = "127.0.0.1", **options: Any) -> DebugServer:  # noqa: ANN401 - the endpoints'
    """Serve the debug routes from a thread of this process, at the root of `host` and `port`, and below `/debug`.

        server = profkit.debug.serve(port=8099, auth=TokenAuth.from_env())

    For Flask, Django, Celery workers and scripts. `port=0` takes a free one, see the server's `port` and `url`. The
    other arguments are those of `DiagnosticEndpoints`. There is no TLS: beyond this host, let a proxy do that.

    Raises:
        ConfigurationError: an argument that is not allowed, or an address that cannot be had.
    """
    if find_spec("uvicorn") is None:
        raise ConfigurationError(
            'profkit.debug.serve needs uvicorn, not installed here: pip install "profkit[web]"'
        )
    if options.get("checks") is None and not options.get("probes"):
        # The loop that answers here is this server's, and tells nothing of the application's.
        options["checks"] = default_checks(options.get("profiler"), event_loop=False)
    return DebugServer(_below_debug_too(DiagnosticEndpoints(**options)), host=host, port=port)


def _below_debug_too(app: ASGIApp) -> ASGIApp:
    """Return the application, which has its routes below `/debug` too: so they are written everywhere."""

    async def either(scope: Scope, receive: Receive, send: Send) -> None:
        path = str(scope.get("path", ""))
        if path == _PREFIX or path.startswith(f"{_PREFIX}/"):
            scope = {**scope, "root_path": _PREFIX}
        await app(scope, receive, send)

    return either


def _bound(host: str, port: int) -> socket.socket:
    if not isinstance(cast("object", port), int) or not 0 <= port <= 65_535:
        raise ConfigurationError(f"port={port!r} is not allowed: give 0 to 65535")
    try:
        family = socket.AF_INET6 if ipaddress.ip_address(host).version == 6 else socket.AF_INET
    except ValueError:
        family = socket.AF_INET
    try:
        return socket.create_server((host, port), family=family, backlog=_BACKLOG)
    except OSError as error:
        raise ConfigurationError(f"host={host!r}, port={port}: cannot be had: {error.strerror}") from None


def _server(app: ASGIApp) -> Any:  # noqa: ANN401 - uvicorn's, imported only here
    import uvicorn
    from uvicorn.protocols.http.h11_impl import H11Protocol

    class Protocol(H11Protocol):
        """h11's, which bounds what it keeps of a request's head.

        Without the access log: there are audit records, and the setting for it would silence the application's too.
        """

        def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - as uvicorn calls it
            super().__init__(*args, **kwargs)
            self.access_log = False

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            if len(self.connections) > _MAX_CONNECTIONS:
                transport.close()
            else:
                self.loop.call_later(_IDLE, self._close_if_idle, None)

        def _close_if_idle(self, before: Any) -> None:  # noqa: ANN401 - uvicorn's; a request from its whole head on
            cycle: Any = self.cycle
            if self.transport.is_closing():
                return
            if cycle is before and (cycle is None or cycle.response_complete):
                self.transport.close()
            else:
                self.loop.call_later(_IDLE, self._close_if_idle, cycle)

    config = uvicorn.Config(
        app,
        http=Protocol,
        lifespan="off",
        log_config=None,
        server_header=False,
        proxy_headers=False,
        ws="none",
        loop="asyncio",
        timeout_keep_alive=_IDLE,
        timeout_graceful_shutdown=1,
    )
    return uvicorn.Server(config)


_running: weakref.WeakSet[DebugServer] = weakref.WeakSet()


@atexit.register
def _close_all() -> None:
    for server in list(_running):
        server.close(2.0)


def _leave_all() -> None:
    for server in list(_running):
        server.leave_to_parent()
    _running.clear()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_leave_all)
