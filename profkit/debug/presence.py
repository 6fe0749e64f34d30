"""Work for a caller who may leave: it ends early then."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import TypeVar

from starlette.requests import ClientDisconnect

from profkit.debug.routing import Call

T = TypeVar("T")
_GRACE = 20.0
"""Seconds that building the result may take after the time asked for."""


async def while_there(call: Call, seconds: float, work: Callable[[threading.Event], T]) -> T:
    """Run `work`, of so many `seconds`, in a thread; set its event when the client goes away or the server gives it up.

    Raises `ClientDisconnect` once the work has ended for a client that is gone: there is nobody to answer.
    """
    stop, left = threading.Event(), False
    if call.job is not None:
        call.job.expect(seconds)

    async def watch() -> None:
        nonlocal left
        while (await call.request.receive())["type"] != "http.disconnect":
            pass
        left = True
        stop.set()

    watcher = asyncio.create_task(watch())
    try:
        done = await call.context.workers.run_alone(lambda: work(stop), within=seconds + _GRACE)
    finally:
        stop.set()
        watcher.cancel()
        # Its own failure (a broken connection) is no failure of the work.
        await asyncio.gather(watcher, return_exceptions=True)
    if left:
        raise ClientDisconnect
    return done
