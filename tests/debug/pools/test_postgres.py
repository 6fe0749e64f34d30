"""Pools of asyncpg and psycopg on a real PostgreSQL, some of them exhausted."""

from __future__ import annotations

import asyncio
import gc
import threading
import weakref
from collections.abc import Callable
from typing import Any

import asyncpg
import psycopg_pool
import pytest
import sqlalchemy
from sqlalchemy.ext.asyncio import create_async_engine

from profkit.debug.pools import asyncpg as asyncpg_pools

Figures = Callable[[object], tuple[object, ...]]
One = Callable[[object], dict[str, Any]]
Until = Callable[[Callable[[], bool]], None]


@pytest.mark.parametrize("driver", ["psycopg", "asyncpg"])
def test_an_async_engine(driver: str, postgres: str, figures: Figures, comes: Any) -> None:
    async def main() -> None:
        url = postgres.replace("postgresql:", f"postgresql+{driver}:")
        engine = create_async_engine(url, pool_size=1, max_overflow=1)
        connections = [await engine.connect() for _ in range(2)]
        assert (await connections[0].execute(sqlalchemy.text("select 41 + 1"))).scalar() == 42
        waiting = asyncio.create_task(engine.connect().start())
        await comes(lambda: figures(engine)[5] == 1)
        assert figures(engine) == (2, 0, 2, 2, 1, 1, 1.0)
        for connection in connections:
            await connection.close()
        await (await waiting).close()
        assert figures(engine)[:3] == (0, 1, 1)
        await engine.dispose()

    asyncio.run(main())


def test_a_sync_engine(postgres: str, figures: Figures, until: Until) -> None:
    url = postgres.replace("postgresql:", "postgresql+psycopg:")
    engine = sqlalchemy.create_engine(url, pool_size=1, max_overflow=0)
    with engine.connect() as connection:
        connection.execute(sqlalchemy.text("select 1"))
        waiting = threading.Thread(target=lambda: engine.connect().close())
        waiting.start()
        until(lambda: figures(engine) == (1, 0, 1, 1, 0, 1, 1.0))
    waiting.join()
    assert figures(engine) == (0, 1, 1, 1, 0, 0, 0.0)
    engine.dispose()


def test_asyncpg(postgres: str, figures: Figures, one: One, comes: Any) -> None:
    async def main() -> None:
        unopened = asyncpg.create_pool(postgres, min_size=1, max_size=2)
        assert figures(unopened) == (0, 0, 0, 2, None, 0, 0.0)
        async with unopened as pool:
            assert figures(pool) == (0, 1, 1, 2, None, 0, 0.0)
            held = [await pool.acquire() for _ in range(2)]
            assert await held[0].fetchval("select 41 + 1") == 42
            waiting = [asyncio.ensure_future(pool.acquire()) for _ in range(3)]
            await comes(lambda: figures(pool) == (2, 0, 2, 2, None, 3, 1.0))
            waiting.pop().cancel()
            await comes(lambda: figures(pool)[5] == 2)
            for connection in held:
                await pool.release(connection)
            for task in waiting:
                await pool.release(await task)
            assert figures(pool) == (0, 2, 2, 2, None, 0, 0.0)
            report = one(pool)
            assert (report["kind"], report["source"]) == ("asyncpg.pool.Pool", "private")
        assert figures(pool)[:3] == (0, 0, 0)

    asyncio.run(main())


def test_asyncpgs_pool_is_held_without_keeping_it(postgres: str) -> None:
    async def main() -> None:
        pool = await asyncpg.create_pool(postgres, min_size=1, max_size=1)
        again = asyncpg_pools.LIBRARY.hold(pool)
        holder = weakref.ref(pool._holders[0])
        assert again() is pool
        await pool.close()
        del pool
        gc.collect()
        assert holder() is None
        assert again() is None

    asyncio.run(main())


def test_psycopg_pool(postgres: str, figures: Figures, one: One, until: Until) -> None:
    pool = psycopg_pool.ConnectionPool(postgres, min_size=1, max_size=2, open=False, timeout=5, name="orders")
    assert figures(pool) == (0, 0, 0, 2, None, 0, 0.0)
    with pool:
        pool.wait()
        assert figures(pool) == (0, 1, 1, 2, None, 0, 0.0)
        held = [pool.getconn() for _ in range(2)]
        waiting = threading.Thread(target=lambda: pool.putconn(pool.getconn()))
        waiting.start()
        until(lambda: figures(pool) == (2, 0, 2, 2, None, 1, 1.0))
        assert one(pool)["timeouts"] == 0
        with pytest.raises(psycopg_pool.PoolTimeout):
            pool.getconn(timeout=0.05)
        assert one(pool)["timeouts"] == 1
        for connection in held:
            pool.putconn(connection)
        waiting.join()
        until(lambda: figures(pool) == (0, 2, 2, 2, None, 0, 0.0))
        report = one(pool)
        assert (report["kind"], report["source"]) == ("psycopg_pool.pool.ConnectionPool", "public")
    assert figures(pool)[:3] == (0, 0, 0)


def test_an_async_psycopg_pool(postgres: str, figures: Figures, comes: Any) -> None:
    async def main() -> None:
        async with psycopg_pool.AsyncConnectionPool(postgres, min_size=1, max_size=1, open=False) as pool:
            await pool.wait()
            held = await pool.getconn()
            waiting = asyncio.create_task(pool.getconn())
            await comes(lambda: figures(pool) == (1, 0, 1, 1, None, 1, 1.0))
            await pool.putconn(held)
            await pool.putconn(await waiting)
            await comes(lambda: figures(pool) == (0, 1, 1, 1, None, 0, 0.0))

    asyncio.run(main())


def test_a_psycopg_pool_that_keeps_nothing(postgres: str, figures: Figures) -> None:
    with psycopg_pool.NullConnectionPool(postgres, open=True) as pool, pool.connection():
        assert figures(pool) == (1, 0, 1, None, None, 0, None)
