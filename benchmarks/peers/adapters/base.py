"""What a peer is to the measurements: something put around an operation."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from starlette.types import ASGIApp, Receive, Scope, Send

R = TypeVar("R")


class Unable(Exception):
    """A peer has nothing to measure here, by its nature; says why in a word or two."""


@dataclass(frozen=True)
class Surroundings:
    """Where a peer runs.

    `sink` is the address that everything is sent to, `received` the directory where bodies arrive if `keeps`, which is
    set where shares will be asked for; `scratch` is a directory for the peer's own files.
    """

    sink: str
    received: Path
    scratch: Path
    keeps: bool


class Peer:
    """Nothing at all: the base of all adapters, and what they are measured against.

    Started once in a process of its own. An adapter overrides what differs; most need `operation` only.
    """

    needs_loop = False
    """Whether only a coroutine can be an operation, as where it has to be a request."""

    def __init__(self, around: Surroundings) -> None:
        self.around = around

    def start(self) -> None:
        """Begin to profile, as an application does when it starts."""

    def stop(self) -> None:
        """Write or send all there is."""

    def operation(self) -> AbstractContextManager[object]:
        """Return a context manager for one operation."""
        return nullcontext()

    def wrap(self, function: Callable[[], R]) -> Callable[[], R]:
        """Make each call of a function an operation.

        Raises:
            Unable: `needs_loop`.
        """
        operation = self.operation

        def call() -> R:
            with operation():
                return function()

        return call

    def wrap_async(self, function: Callable[[], Awaitable[R]]) -> Callable[[], Awaitable[R]]:
        """Make each call of a coroutine function an operation."""
        operation = self.operation

        async def call() -> R:
            with operation():
                return await function()

        return call

    def middleware(self, app: ASGIApp) -> ASGIApp:
        """Make each request an operation: with what the peer ships for it, or else as here."""
        operation = self.operation

        async def serve(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] != "http":
                await app(scope, receive, send)
                return
            with operation():
                await app(scope, receive, send)

        return serve

    def shares(self, names: Sequence[str]) -> dict[str, float]:  # noqa: ARG002 - for those that see functions
        """Return what share of the only operation there was (0 to 1) each function has by the peer's own output.

        Called after `stop`.

        Raises:
            Unable: the peer sees no functions.
        """
        raise Unable("no stacks")


class Bare(Peer):
    """No profiler."""

    def wrap(self, function: Callable[[], R]) -> Callable[[], R]:
        return function

    def wrap_async(self, function: Callable[[], Awaitable[R]]) -> Callable[[], Awaitable[R]]:
        return function

    def middleware(self, app: ASGIApp) -> ASGIApp:
        return app
