"""Tool: what a delivery costs and when it can come. Planted: two calls one after the other that need not wait."""

from __future__ import annotations

import asyncio
import json

import httpx

import profkit
from shop.messages import Message
from shop.resources import Resources
from shop.settings import Plant


@profkit.profile("tool.delivery", category="agent")
async def plan_delivery(message: Message, resources: Resources) -> bytes:
    """Ask the carrier for a price and a day; what does not fit a parcel goes by freight, which takes its time."""
    size = "freight" if "freight" in message.text else "parcel"
    ask = ask_one_after_the_other if Plant.SERIAL_TOOLS in resources.plants else ask_together
    quote, slot = await ask(resources.carrier, message.customer, {"size": size})
    return json.dumps({"quote": quote.json(), "slot": slot.json()}).encode()


async def ask_one_after_the_other(
    carrier: httpx.AsyncClient, order: int, params: dict[str, str]
) -> tuple[httpx.Response, httpx.Response]:
    """PLANTED (serial_tools): neither answer is needed for the other question."""
    quote = await carrier.get(f"/{order}/quote", params=params)
    slot = await carrier.get(f"/{order}/slot", params=params)
    return quote, slot


async def ask_together(
    carrier: httpx.AsyncClient, order: int, params: dict[str, str]
) -> tuple[httpx.Response, httpx.Response]:
    """Mended: both at once; the slower one is all there is to wait for."""
    return await asyncio.gather(
        carrier.get(f"/{order}/quote", params=params), carrier.get(f"/{order}/slot", params=params)
    )
