"""SQLAlchemy's pools on SQLite; on PostgreSQL they are in test_postgres.py."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy
from sqlalchemy.ext.asyncio import create_async_engine

Figures = Callable[[object], tuple[object, ...]]
One = Callable[[object], dict[str, Any]]
Until = Callable[[Callable[[], bool]], None]


@pytest.fixture
def database(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'a.db'}"


def test_a_queue_pool_in_each_state(database: str, figures: Figures, one: One, until: Until) -> None:
    engine = sqlalchemy.create_engine(database, pool_size=2, max_overflow=1)
    assert figures(engine) == (0, 0, 0, 3, 0, 0, 0.0)
    connections = [engine.connect() for _ in range(3)]
    assert figures(engine) == (3, 0, 3, 3, 1, 0, 1.0)
    waiting = threading.Thread(target=lambda: engine.connect().close())
    waiting.start()
    until(lambda: figures(engine)[5] == 1)
    for connection in connections:
        connection.close()
    waiting.join()
    assert figures(engine) == (0, 2, 2, 3, 0, 0, 0.0)
    assert figures(engine.pool) == figures(engine)
    assert one(engine)["kind"] == "sqlalchemy.pool.impl.QueuePool"
    assert one(engine)["source"] == "private"
    engine.dispose()
    assert figures(engine) == (0, 0, 0, 3, 0, 0, 0.0)


def test_a_queue_pool_without_limit(database: str, figures: Figures) -> None:
    engine = sqlalchemy.create_engine(database, pool_size=1, max_overflow=-1)
    with engine.connect(), engine.connect():
        assert figures(engine) == (2, 0, 2, None, 1, 0, None)
    engine.dispose()


def test_an_async_engine(tmp_path: Path, figures: Figures, one: One, comes: Any) -> None:
    async def main() -> None:
        engine = create_async_engine(f"sqlite+aiosqlite:///{tmp_path / 'a.db'}", pool_size=1, max_overflow=0)
        assert figures(engine)[:5] == (0, 0, 0, 1, 0)
        connection = await engine.connect()
        waiting = asyncio.create_task(engine.connect().start())
        await comes(lambda: figures(engine)[5] == 1)
        assert figures(engine) == (1, 0, 1, 1, 0, 1, 1.0)
        await connection.close()
        await (await waiting).close()
        assert figures(engine) == (0, 1, 1, 1, 0, 0, 0.0)
        assert one(engine)["kind"] == "sqlalchemy.pool.impl.AsyncAdaptedQueuePool"
        await engine.dispose()

    asyncio.run(main())


@pytest.mark.parametrize(
    ("pool", "limit"),
    [(sqlalchemy.NullPool, None), (sqlalchemy.StaticPool, 1), (sqlalchemy.AssertionPool, 1)],
)
def test_pools_that_hardly_tell_anything(
    database: str, pool: type[sqlalchemy.Pool], limit: int | None, one: One
) -> None:
    engine = sqlalchemy.create_engine(database, poolclass=pool)
    with engine.connect():
        found = one(engine)
    assert (found["supported"], found["limit"], found["error"]) == (True, limit, None)
    assert found["in_use"] == (1 if pool is sqlalchemy.AssertionPool else None)
    engine.dispose()


def test_a_thread_pool_of_sqlite_in_memory(figures: Figures) -> None:
    engine = sqlalchemy.create_engine("sqlite://", poolclass=sqlalchemy.SingletonThreadPool)
    with engine.connect():
        assert figures(engine)[:4] == (None, None, 1, None)
    engine.dispose()
