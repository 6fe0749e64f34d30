"""Work for a caller who may leave: it ends early then."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import TypeVar

from starlette.requests import Request

from profkit.debug.context import DebugContext

T = TypeVar("T")
_GRACE = 20.0
"""Seconds that building the result may take after the time asked for."""


async def while_there(
    request: Request, context: DebugContext, seconds: float, work: Callable[[threading.Event], T]
) -> T:
    """Run `work` in a thread; set its event when the client goes away or the server gives the request up."""
    stop = threading.Event()

    async def watch() -> None:
        while (await request.receive())["type"] != "http.disconnect":
            pass
        stop.set()

    watcher = asyncio.create_task(watch())
    try:
        return await context.workers.run_alone(lambda: work(stop), within=seconds + _GRACE)
    finally:
        stop.set()
        watcher.cancel()
        # Its own failure (a broken connection) is no failure of the work.
        await asyncio.gather(watcher, return_exceptions=True)
