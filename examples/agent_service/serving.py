"""Serve one ASGI application on a socket that the parent process has already bound."""

from __future__ import annotations

import os
import signal
import socket
import sys
import threading

import uvicorn
from starlette.types import ASGIApp


def serve(app: ASGIApp, descriptor: int) -> None:
    """Serve `app` on the listening socket `descriptor` until SIGTERM, SIGINT or the parent's death.

    The parent binds port 0 and hands the socket down, so nobody can take the port in between.
    """
    threading.Thread(target=_stop_with_parent, name="parent-watch", daemon=True).start()
    config = uvicorn.Config(app, log_config=None, access_log=False, timeout_graceful_shutdown=5)
    server = uvicorn.Server(config)
    try:
        server.run(sockets=[socket.socket(fileno=descriptor)])
    except KeyboardInterrupt:
        pass  # uvicorn has shut down and raises the signal again


def _stop_with_parent() -> None:
    """The parent holds the other end of our stdin: when it is gone, however it died, we go too."""
    sys.stdin.buffer.read()
    os.kill(os.getpid(), signal.SIGTERM)
