"""A server for `web.py`: `python -m benchmarks.guards.hello bare|watched|without-ids h11|httptools`.

Prints its port, and serves until its input ends.
"""

from __future__ import annotations

import asyncio
import socket
import sys
from typing import Literal, cast

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from benchmarks.guards.measuring import watching
from profkit.asgi import ProfilingMiddleware


async def hello(_request: Request) -> Response:
    """Answer."""
    return PlainTextResponse("hello")


async def serve(app: ASGIApp, parser: Literal["h11", "httptools"]) -> None:
    """Serve on a free port until standard input ends."""
    # By its protocol asyncio knows to send small answers at once (TCP_NODELAY).
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP) as listening:
        listening.bind(("127.0.0.1", 0))
        config = uvicorn.Config(app, loop="asyncio", http=parser, lifespan="off", log_level="warning")
        server = uvicorn.Server(config)
        serving = asyncio.create_task(server.serve(sockets=[listening]))
        while not server.started:  # noqa: ASYNC110 - it has no event to wait for
            await asyncio.sleep(0.01)
        print(listening.getsockname()[1], flush=True)
        await asyncio.to_thread(sys.stdin.read)
        server.should_exit = True
        await serving


def main(side: str, parser: str) -> None:
    """Serve, bare or watched, with a request id on every answer or without."""
    app = Starlette(routes=[Route("/", hello)])
    with watching() as profiler:
        whole = app if side == "bare" else ProfilingMiddleware(app, profiler, tracker=side == "watched")
        asyncio.run(serve(whole, cast("Literal['h11', 'httptools']", parser)))


if __name__ == "__main__":
    main(*sys.argv[1:])
