"""A Starlette application under load."""

from __future__ import annotations

import asyncio
import socket
import sys
import time
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
        rate, _ = asyncio.run(_serve(peer))
        return {"value": rate}


class HelloWorldCpu(HelloWorld):
    """The same, where the machine has others to serve too."""

    title = "Starlette hello world under load, CPU of the server a request"
    bare = "{:,.0f} us"

    def measure(self, peer: Peer) -> dict[str, float]:
        _, seconds = asyncio.run(_serve(peer))
        return {"value": seconds * 1e6}


async def hello(_request: Request) -> Response:
    """Answer."""
    return PlainTextResponse("hello")


async def _serve(peer: Peer) -> tuple[float, float]:
    """Return requests a second, and CPU seconds a request."""
    app: ASGIApp = peer.middleware(Starlette(routes=[Route("/", hello)]))
    # By its protocol asyncio knows to send small answers at once (TCP_NODELAY).
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP) as listening:
        listening.bind(("127.0.0.1", 0))
        config = uvicorn.Config(app, loop="asyncio", http="h11", lifespan="off", log_level="warning")
        server = uvicorn.Server(config)
        serving = asyncio.create_task(server.serve(sockets=[listening]))
        while not server.started:  # noqa: ASYNC110 - it has no event to wait for
            await asyncio.sleep(0.01)
        try:
            started = time.process_time()
            rate, requests = await _load(listening.getsockname()[1])
            return rate, (time.process_time() - started) / requests
        finally:
            server.should_exit = True
            await serving


async def _load(port: int) -> tuple[float, int]:
    """Return requests a second and requests in all, as the client counted them.

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
    rate, requests = out.split()
    return float(rate), int(requests)
