"""Slow operations that really run when the showcase starts, each for some tenths of a second, and are captured."""

from __future__ import annotations

import asyncio
import gc
import json
import time
from collections.abc import Callable, Coroutine
from typing import Any

import httpx
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from profkit import PerformanceProfiler
from tests.debug.showcase.hostile import NAMES, SCRIPT
from tests.debug.showcase.scene import SECRETS

SLOW = 0.05
"""From so many seconds on an operation of the showcase is slow."""
COUNT = """
with recursive n(i) as (select 1 union all select i + 1 from n where i < 20000)
select sum(i % 7) from n
"""


class Recorded:
    """Operations of an application: agents, databases, models, encoders, requests of its own server."""

    def __init__(self, profiler: PerformanceProfiler, engine: AsyncEngine, port: int) -> None:
        self._profiler = profiler
        self._engine = engine
        self._port = port

    async def run(self) -> None:
        """Run all of them: some forty profiles, in about two seconds."""
        kinds: list[tuple[str, str, Callable[[], Coroutine[Any, Any, None]]]] = [
            ("agent.plan", "agent", self._plan),
            ("orders.read", "db", self._query),
            ("llm.chat", "llm", self._wait),
            ("catalogue.encode", "serialization", self._encode),
            ("carrier.ask", "http", self._ask),
            ("report.crunch", "", self._crunch),
            ("cache.fill", "etl", self._branches),
            ("basket.collect", "agent", self._collect),
        ]
        for _ in range(2):
            await asyncio.gather(*(self._one(*kind) for kind in kinds))
        await asyncio.gather(*(self._one(name, SCRIPT, self._wait) for name in NAMES))
        await self._requests()
        await asyncio.gather(self._fails(), self._is_cancelled(), self._one("loop.hog", "", self._hog))

    async def _one(self, name: str, category: str, work: Callable[[], Coroutine[Any, Any, None]]) -> None:
        tags = {"tenant": "acme", "attempt": 2, "cached": False, SCRIPT: SCRIPT, "api_key": SECRETS[2]}
        async with self._profiler.operation(name, category=category, **tags):
            await work()

    async def _plan(self) -> None:
        async with self._profiler.operation("llm.chat", category="llm", threshold=10.0, model="m-large"):
            await asyncio.sleep(0.06)
        async with self._profiler.operation("orders.read", category="db", threshold=10.0):
            await self._query()
        await self._encode()

    async def _query(self) -> None:
        async with self._engine.connect() as connection:
            await connection.execute(text(COUNT))

    async def _wait(self) -> None:
        await asyncio.sleep(0.08)

    async def _encode(self) -> None:
        rows = [{"sku": number, "name": f"chair {number}", "price": number / 3} for number in range(4_000)]
        json.loads(json.dumps(rows, indent=1))

    async def _ask(self) -> None:
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{self._port}", trust_env=False) as client:
            await asyncio.gather(*(client.get("/carrier/rates") for _ in range(3)))

    async def _crunch(self) -> None:
        await asyncio.to_thread(burn, 0.08)

    async def _branches(self) -> None:
        async with asyncio.TaskGroup() as group:
            for number in range(4):
                group.create_task(asyncio.sleep(0.03 * number), name=f"fill-{number}")
            group.create_task(self._encode(), name=SCRIPT)

    async def _collect(self) -> None:
        rings = [[] for _ in range(30_000)]
        for ring in rings:
            ring.append(ring)
        rings.clear()
        await asyncio.sleep(0.03)
        gc.collect()

    async def _hog(self) -> None:
        burn(0.15)
        await asyncio.sleep(0.01)

    async def _fails(self) -> None:
        try:
            async with self._profiler.operation("payment.book", category="http"):
                await asyncio.sleep(0.06)
                raise RuntimeError(SCRIPT)  # noqa: TRY301 - it is the operation that fails
        except RuntimeError:
            pass

    async def _is_cancelled(self) -> None:
        task = asyncio.create_task(self._one("stock.watch", "db", lambda: asyncio.sleep(60)))
        await asyncio.sleep(0.08)
        task.cancel()
        await asyncio.wait([task])

    async def _requests(self) -> None:
        """Ask the application itself: paths and headers as an attacker sends them."""
        ways = [
            "/slow",
            "/orders/%3Cscript%20data-hostile%3E",
            "/orders/%E2%80%AEevil",
            "/orders/" + "x" * 500,
        ]
        headers = {
            "user-agent": SCRIPT,
            "x-request-id": "req-<b data-hostile>",
            "traceparent": "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
        }
        async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{self._port}", trust_env=False) as client:
            await asyncio.gather(*(client.get(way, headers=headers) for way in ways))
            await client.get("/slow", headers={"x-request-id": "slow-request-1"})


def burn(seconds: float) -> None:
    """Compute."""
    until = time.perf_counter() + seconds
    while time.perf_counter() < until:
        sum(number * number for number in range(1_000))
