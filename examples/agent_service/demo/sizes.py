"""How much the slow requests must ask for, to be slow on this machine too."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import NamedTuple

from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine

from shop.database import PRODUCTS, WHOLESALER, WHOLESALER_ORDERS
from shop.settings import Plant
from shop.tools.catalogue import encode_with_stdlib_json, read_catalogue
from shop.tools.orders import read_orders_one_by_one


class Scale(NamedTuple):
    """The CPU seconds a request shall take, how many orders or products to measure by, and how many there are."""

    seconds: float
    few: int
    most: int


SCALES = {
    Plant.N_PLUS_ONE: Scale(
        1.3, 300, WHOLESALER_ORDERS
    ),  # it waits for its thread besides, and for its neighbours
    Plant.JSON_ENCODE: Scale(1.4, 200, PRODUCTS),
}


async def measure_sizes(database: Path) -> dict[Plant, int]:
    """Return how many orders or products take as long as they shall.

    CPU seconds are measured, which a busy machine hardly changes; the first run of two only fills caches.
    """
    engine = create_async_engine(f"sqlite+aiosqlite:///{database}")
    async with AsyncSession(engine) as session:
        products = await read_catalogue(session, SCALES[Plant.JSON_ENCODE].few)

        async def read_orders() -> None:
            await read_orders_one_by_one(session, WHOLESALER, SCALES[Plant.N_PLUS_ONE].few)

        async def encode() -> None:
            encode_with_stdlib_json(products)

        spent = {Plant.N_PLUS_ONE: await _cpu(read_orders), Plant.JSON_ENCODE: await _cpu(encode)}
    await engine.dispose()
    return {plant: _size(SCALES[plant], seconds) for plant, seconds in spent.items()}


async def _cpu(work: Callable[[], Awaitable[None]]) -> float:
    await work()
    start = time.process_time()
    await work()
    return time.process_time() - start


def _size(scale: Scale, seconds: float) -> int:
    return max(scale.few, min(scale.most, round(scale.few * scale.seconds / max(seconds, 1e-6))))
