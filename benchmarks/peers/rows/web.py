"""A Starlette application under load."""

from __future__ import annotations

import asyncio
import socket
import sys
from pathlib import Path

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp

from benchmarks.peers.adapters.base import Peer
from benchmarks.peers.rows.base import Row

_CLIENT = Path(__file__).resolve().parents[1] / "load.py"


class HelloWorld(Row):
    """A real server, and a client in a process of its own that keeps it busy."""

    title = "Starlette hello world under load, requests a second"
    apart = True  # some patch Starlette for good
    bare = "{:,.0f}/s"

    def measure(self, peer: Peer) -> dict[str, float]:
        return {"value": asyncio.run(_serve(peer.middleware(Starlette(routes=[Route("/", hello)]))))}


async def hello(_request: Request) -> Response:
    """Answer."""
    return PlainTextResponse("hello")


async def _serve(app: ASGIApp) -> float:
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        config = uvicorn.Config(app, loop="asyncio", http="h11", lifespan="off", log_level="warning")
        server = uvicorn.Server(config)
        serving = asyncio.create_task(server.serve(sockets=[listening]))
        while not server.started:  # noqa: ASYNC110 - it has no event to wait for
            await asyncio.sleep(0.01)
        try:
            return await _load(listening.getsockname()[1])
        finally:
            server.should_exit = True
            await serving


async def _load(port: int) -> float:
    """Return requests a second, as the client counted them.

    Raises:
        RuntimeError: an answer was not what it should be; says what the client said.
    """
    client = await asyncio.create_subprocess_exec(
        sys.executable,
        str(_CLIENT),
        str(port),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await client.communicate()
    if client.returncode:
        raise RuntimeError(err.decode().strip().rpartition("\n")[2])
    return float(out)
