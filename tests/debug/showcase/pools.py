"""Pools in each state that a page may have to show: unused, busy, full with others waiting, broken, slow to tell."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine
from contextlib import AsyncExitStack
from pathlib import Path

import httpx
import redis
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from tests.debug.showcase.hostile import FRAME, SCRIPT
from tests.debug.showcase.scene import SECRETS, Scene

FOREVER = 36_000.0


class BrokenClient(redis.Redis):
    """One whose pool cannot be had."""

    def __init__(self) -> None:
        pass  # it has no pool

    def __del__(self) -> None:
        pass

    @property
    def connection_pool(self) -> object:
        raise RuntimeError(f"the pool of {SCRIPT} has broken")


class SlowClient(BrokenClient):
    """One whose pool takes its time."""

    @property
    def connection_pool(self) -> object:
        time.sleep(3)
        return None


class Pools:
    """All of them, by name, and the tasks that fill them."""

    def __init__(self, directory: Path, scene: Scene) -> None:
        self.full = create_async_engine(
            f"sqlite+aiosqlite:///{directory}/full.db", pool_size=3, max_overflow=1, pool_timeout=FOREVER
        )
        self.half = create_async_engine(
            f"sqlite+aiosqlite:///{directory}/half.db", pool_size=8, max_overflow=2
        )
        self.llm = httpx.AsyncClient(
            limits=httpx.Limits(max_connections=4, max_keepalive_connections=2), timeout=None, trust_env=False
        )
        self.named: dict[str, object] = {
            "orders": self.full,
            "reports": self.half,
            "llm": self.llm,
            "cache": redis.Redis(host="cache.internal", password=SECRETS[3], max_connections=50),
            "broken": BrokenClient(),
            "slow": SlowClient(),
            SCRIPT: httpx.AsyncClient(trust_env=False),
            FRAME: object(),
        }
        self.named |= {f"spare {number}": redis.Redis(max_connections=5) for number in range(scene.pools)}
        if scene.name_length:
            self.named[scene.name] = httpx.Client(trust_env=False)

    def users(self, port: int) -> list[Coroutine[object, object, None]]:
        """Return what uses them until it is cancelled: seven of four connections, three of eight, six of four."""
        return [
            *(hold(self.full) for _ in range(7)),
            *(hold(self.half) for _ in range(3)),
            *(self._ask(port) for _ in range(6)),
        ]

    async def _ask(self, port: int) -> None:
        await self.llm.get(f"http://127.0.0.1:{port}/never")


async def hold(engine: AsyncEngine) -> None:
    """Take a connection and keep it."""
    async with AsyncExitStack() as stack:
        connection = await stack.enter_async_context(engine.connect())
        await connection.execute(text("select 1"))
        await asyncio.sleep(FOREVER)
