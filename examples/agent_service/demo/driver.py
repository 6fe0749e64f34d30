"""Sends the requests with an HTTP client, as they fall due, whether or not earlier ones have come back."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import NamedTuple

import httpx

from demo.plan import Call, slow_call
from shop.settings import Plant


class Scale(NamedTuple):
    """For a slow request whose size can be chosen: the seconds it shall take, and how many orders or products to ask
    for, `few` to measure by, `mended` where the plant is out, and `most` there are.
    """

    seconds: float
    few: int
    mended: int
    most: int


SCALES = {
    # The service is idle while they are measured, and is not when the first of them comes.
    Plant.N_PLUS_ONE: Scale(1.2, 300, 2000, 8000),
    Plant.JSON_ENCODE: Scale(1.5, 500, 2000, 12_000),
}


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of one request; `seconds` as the client saw it."""

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
    response = await client.post("/agent", json=body, headers={"x-request-id": request_id})
    return Outcome(request_id, call.plant, call.text, response.status_code, time.perf_counter() - start)


async def measure_limits(client: httpx.AsyncClient, without: frozenset[Plant]) -> dict[Plant, int]:
    """How many orders and products take as long as they shall on this machine.

    The best of three is taken: noise only ever adds, so the requests come out a little slower, never faster.
    """
    limits = {plant: scale.mended for plant, scale in SCALES.items()}
    for plant in SCALES.keys() - without:
        target, few, _, most = SCALES[plant]
        nothing, something = [await _best_seconds(client, plant, limit) for limit in (0, few)]
        each = max((something - nothing) / few, 1e-6)
        limits[plant] = max(few, min(most, round(target / each)))
    return limits


async def _best_seconds(client: httpx.AsyncClient, plant: Plant, limit: int) -> float:
    call = slow_call(plant, 0, {plant: limit})
    return min([(await send(client, call, "warm-up")).seconds for _ in range(3)])


async def run_plan(client: httpx.AsyncClient, plan: list[Call], on_done: Callable[[Outcome], None]) -> None:
    """Send every call of `plan` when it is due; a call that must be alone holds the others up until it is done."""
    start = time.perf_counter()
    async with asyncio.TaskGroup() as group:
        under_way: set[asyncio.Task[None]] = set()

        async def one(call: Call, request_id: str) -> None:
            on_done(await send(client, call, request_id))

        for number, call in enumerate(plan, start=1):
            await asyncio.sleep(max(0.0, start + call.due - time.perf_counter()))
            if call.alone:
                await asyncio.gather(*under_way)
            task = group.create_task(one(call, f"demo-{number:04}"))
            under_way.add(task)
            task.add_done_callback(under_way.discard)
            if call.alone:
                waited = time.perf_counter()
                await task
                start += time.perf_counter() - waited
