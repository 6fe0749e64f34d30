"""A server for the rows, on uvicorn: a small route of an application's own, and the debug routes beside it.

`python -m benchmarks.debug.served TASKS` prints its port and serves until its input ends. With tasks, `/stall` answers
with the longest time, in seconds, that the event loop stood still since it was asked last, and with the time of the
collections of all objects meanwhile.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import os
import socket
import subprocess
import sys
import time
from collections.abc import AsyncGenerator, Generator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path
from typing import NamedTuple

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, PlainTextResponse, Response
from starlette.routing import Mount, Route

from profkit import PerformanceProfiler, Settings
from profkit.debug import DiagnosticEndpoints, Token, TokenAuth

TOKEN = "benchmark-0123456789abcdefghij"
_DEPTH = 8
_ROOT = Path(__file__).resolve().parents[2]


class Stalls:
    """How long the loop did not come round, and Python's collector had all threads wait."""

    def __init__(self) -> None:
        self._longest = self._collecting = self._since = 0.0
        gc.callbacks.append(self._collected)

    def _collected(self, phase: str, info: dict[str, int]) -> None:
        if info["generation"] == 2:
            now = time.perf_counter()
            self._collecting += now - self._since if phase == "stop" else 0.0
            self._since = now

    async def watch(self) -> None:
        """Look every millisecond."""
        while True:
            began = time.perf_counter()
            await asyncio.sleep(0.001)
            self._longest = max(self._longest, time.perf_counter() - began - 0.001)

    async def answer(self, _request: Request) -> Response:
        """Tell, and begin anew."""
        found = [self._longest, self._collecting]
        self._longest = self._collecting = 0.0
        return JSONResponse(found)


async def hello(_request: Request) -> Response:
    """Answer."""
    return PlainTextResponse("hello")


async def wait(depth: int, number: int) -> None:
    """Wait at the end of a chain, half of the tasks for a timer."""
    if depth:
        await wait(depth - 1, number)
    elif number % 2:
        await asyncio.sleep(3600)
    else:
        await asyncio.Event().wait()


def application(profiler: PerformanceProfiler, tasks: int) -> Starlette:
    """Return the application, in which so many tasks wait, each tenth in an operation."""
    stalls = Stalls()

    async def work(number: int) -> None:
        operation = profiler.operation("work") if number % 10 == 0 else contextlib.nullcontext()
        with operation:
            await wait(_DEPTH, number)

    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncGenerator[None]:
        running = [asyncio.create_task(work(number), name=f"worker {number}") for number in range(tasks)]
        if tasks:
            running.append(asyncio.create_task(stalls.watch()))
        yield
        for task in running:
            task.cancel()

    debug = DiagnosticEndpoints(
        auth=TokenAuth(all=Token(TOKEN, "read+profile+memory+manage")), profiler=profiler
    )
    routes = [Route("/hello", hello), Route("/stall", stalls.answer), Mount("/debug", debug)]
    return Starlette(routes=routes, lifespan=lifespan)


async def serve(app: Starlette) -> None:
    """Serve on a free port until standard input ends."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP) as listening:
        listening.bind(("127.0.0.1", 0))
        server = uvicorn.Server(uvicorn.Config(app, loop="asyncio", log_config=None, access_log=False))
        serving = asyncio.create_task(server.serve(sockets=[listening]))
        while not server.started:  # noqa: ASYNC110 - it has no event to wait for
            await asyncio.sleep(0.01)
        print(listening.getsockname()[1], flush=True)
        await asyncio.to_thread(sys.stdin.read)
        server.should_exit = True
        server.force_exit = True
        await serving


class Served(NamedTuple):
    """A server that runs."""

    port: int
    pid: int


@contextmanager
def server(tasks: int = 0) -> Generator[Served]:
    """Run the server in a process of its own."""
    command = [sys.executable, "-m", "benchmarks.debug.served", str(tasks)]
    with subprocess.Popen(
        command, cwd=_ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        try:
            yield Served(int(process.stdout.readline()), process.pid)
        finally:
            process.stdin.close()  # which ends it
            process.wait(20)


def main(tasks: int) -> None:
    """Serve, with the audit records written as an application writes its log."""
    with open(os.devnull, "w") as nowhere:  # noqa: PTH123
        logging.basicConfig(stream=nowhere, level=logging.INFO)
        profiler = PerformanceProfiler(Settings(storage="memory://", service="benchmark"))
        try:
            asyncio.run(serve(application(profiler, tasks)))
        finally:
            profiler.shutdown(2)


if __name__ == "__main__":
    main(int(sys.argv[1]))
