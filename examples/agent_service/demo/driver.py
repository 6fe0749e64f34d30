"""Sends the requests with an HTTP client, as they fall due, several at a time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass

import httpx

from demo.plan import ORDINARY, Call
from shop.settings import Plant

UNDER_WAY = 4
"""On a busy machine the load gives way, rather than requests wait for one another and become slow."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one request; `status` 0 if no answer came, `seconds` as the client saw it."""

    request_id: str
    plant: Plant | None
    text: str
    status: int
    seconds: float

    def as_dict(self) -> dict[str, object]:
        """Plain values, for a line of JSON."""
        return asdict(self)


async def send(client: httpx.AsyncClient, call: Call, request_id: str) -> Outcome:
    """Send one call and wait for the whole answer."""
    body = {"customer": call.customer, "text": call.text, "limit": call.limit}
    start = time.perf_counter()
    try:
        response = await client.post("/agent", json=body, headers={"x-request-id": request_id})
        status = response.status_code
    except httpx.TransportError:
        status = 0
    return Outcome(request_id, call.plant, call.text, status, time.perf_counter() - start)


async def warm_up(url: str) -> None:
    """Let the service do everything once: what is loaded at the first request is no concern of the load."""
    async with httpx.AsyncClient(base_url=url, timeout=60) as client:
        for text in ORDINARY:
            await send(client, Call(0, 2, text), "warm-up")


async def run_plan(client: httpx.AsyncClient, plan: list[Call], on_done: Callable[[Outcome], None]) -> None:
    """Send every call of `plan` when it is due, or as soon as fewer than `UNDER_WAY` ordinary ones are under way.

    A call that must be alone waits for all others, and they for it.
    """
    slots = asyncio.Semaphore(UNDER_WAY)
    start = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        under_way: set[asyncio.Task[None]] = set()

        async def one(call: Call, request_id: str) -> None:
            on_done(await send(client, call, request_id))
            if call.plant is None:
                slots.release()

        for number, call in enumerate(plan, start=1):
            await asyncio.sleep(max(0.0, start + call.due - time.perf_counter()))
            held_up = time.perf_counter()
            if call.alone:
                await asyncio.gather(*under_way)
            if call.plant is None:
                await slots.acquire()
            task = group.create_task(one(call, f"demo-{number:04}"))
            under_way.add(task)
            task.add_done_callback(under_way.discard)
            if call.alone:
                await task
                start += time.perf_counter() - held_up  # those that follow are due later, not all at once
