"""redis-py's pools on a real Redis, some of them exhausted."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import pytest
import redis
import redis.asyncio

Figures = Callable[[object], tuple[object, ...]]
One = Callable[[object], dict[str, Any]]
Until = Callable[[Callable[[], bool]], None]


def test_a_client(redis_server: str, figures: Figures, one: One) -> None:
    with redis.Redis.from_url(redis_server, max_connections=2) as client:
        assert figures(client) == (0, 0, 0, 2, None, 0, 0.0)
        assert client.ping()
        assert figures(client) == figures(client.connection_pool) == (0, 1, 1, 2, None, 0, 0.0)
        held = [client.connection_pool.get_connection() for _ in range(2)]
        assert figures(client) == (2, 0, 2, 2, None, 0, 1.0)
        with pytest.raises(redis.ConnectionError):
            client.ping()
        for connection in held:
            client.connection_pool.release(connection)
        assert one(client)["source"] == "public"
        assert one(client)["kind"] == "redis.client.Redis"


def test_a_pool_that_blocks(redis_server: str, figures: Figures, one: One, until: Until) -> None:
    pool = redis.BlockingConnectionPool.from_url(redis_server, max_connections=1, timeout=10)
    client = redis.Redis(connection_pool=pool)
    held = pool.get_connection()
    calls = [threading.Thread(target=client.ping) for _ in range(2)]
    for call in calls:
        call.start()
    until(lambda: figures(pool) == (1, 0, 1, 1, None, 2, 1.0))
    assert one(pool)["source"] == "private"
    pool.release(held)
    for call in calls:
        call.join()
    assert figures(client) == (0, 1, 1, 1, None, 0, 0.0)
    pool.disconnect()


def test_an_asyncio_client(redis_server: str, figures: Figures) -> None:
    async def main() -> None:
        async with redis.asyncio.Redis.from_url(redis_server, max_connections=1) as client:
            assert await client.ping()
            assert figures(client) == (0, 1, 1, 1, None, 0, 0.0)
            held = await client.connection_pool.get_connection()
            assert figures(client) == (1, 0, 1, 1, None, 0, 1.0)
            await client.connection_pool.release(held)

    asyncio.run(main())


def test_an_asyncio_pool_that_blocks(redis_server: str, figures: Figures, comes: Any) -> None:
    async def main() -> None:
        pool = redis.asyncio.BlockingConnectionPool.from_url(redis_server, max_connections=1, timeout=10)
        client = redis.asyncio.Redis(connection_pool=pool)
        held = await pool.get_connection()
        call = asyncio.create_task(client.ping())
        await comes(lambda: figures(pool) == (1, 0, 1, 1, None, 1, 1.0))
        await pool.release(held)
        assert await call
        assert figures(client) == (0, 1, 1, 1, None, 0, 0.0)
        await client.aclose()
        await pool.aclose()

    asyncio.run(main())
