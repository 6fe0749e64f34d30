"""fastapi-profiler: its middleware around each operation, which has to be a request."""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Iterator, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, TypeVar

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from benchmarks.peers.adapters.base import Peer, Unable
from benchmarks.peers.stacks import Stack, shares

R = TypeVar("R")
_REQUEST: dict[str, object] = {
    "type": "http",
    "method": "GET",
    "path": "/",
    "query_string": b"",
    "headers": [],
    "server": ("127.0.0.1", 80),
}


class FastapiProfiler(Peer):
    """With its defaults: pyinstrument at 0.1 ms, a text report of each request; JSON where shares are asked for."""

    needs_loop = True

    def start(self) -> None:
        self._module = import_module("fastapi_profiler")

    def wrap(self, function: Callable[[], R]) -> Callable[[], R]:  # noqa: ARG002 - nothing can be wrapped
        raise Unable("requests only")

    def wrap_async(self, function: Callable[[], Awaitable[R]]) -> Callable[[], Awaitable[R]]:
        results: list[R] = []

        async def app(_scope: Scope, _receive: Receive, send: Send) -> None:
            results.append(await function())
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b""})

        async def receive() -> Message:
            return {"type": "http.request", "body": b"", "more_body": False}

        async def send(_message: Message) -> None:
            """Take the answer."""

        around = self.middleware(app)

        async def call() -> R:
            await around(dict(_REQUEST), receive, send)
            return results.pop()

        return call

    def middleware(self, app: ASGIApp) -> ASGIApp:
        options = {"profiler_output_type": "json"} if self.around.keeps else {}
        made: ASGIApp = self._module.PyInstrumentProfilerMiddleware(app, **options)
        return made

    def shares(self, names: Sequence[str]) -> dict[str, float]:
        (written,) = Path().glob("*.json")  # in the process's directory, whatever it is told
        return shares(_stacks(json.loads(written.read_text())["root_frame"], []), names)


def _stacks(frame: dict[str, Any], above: list[str]) -> Iterator[Stack]:
    functions = [frame["function"], *above]
    yield functions, frame["time"] - sum(child["time"] for child in frame["children"])
    for child in frame["children"]:
        yield from _stacks(child, functions)
