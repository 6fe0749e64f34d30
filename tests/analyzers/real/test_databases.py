"""SQLAlchemy on SQLite and PostgreSQL, sqlite3, aiosqlite, asyncpg and redis."""

from __future__ import annotations

import sqlite3

import aiosqlite
import pytest
import redis
import sqlalchemy
from sqlalchemy.ext.asyncio import async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

pytestmark = pytest.mark.alone  # another test's work would be between the clocks and the looks

COUNT = "with recursive n(x) as (select 1 union all select x + 1 from n where x < {}) select sum(x) from n"
"""A query that computes for a while, in SQLite."""


class Base(DeclarativeBase): ...


class Item(Base):
    __tablename__ = "items"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]


def test_sqlalchemy_on_sqlite(tmp_path, captured, crunch):
    engine = sqlalchemy.create_engine(f"sqlite:///{tmp_path / 'a.db'}")
    Base.metadata.create_all(engine)

    def work(clock):
        with clock("db"), Session(engine) as session:
            session.execute(sqlalchemy.delete(Item))
            session.add_all(Item(id=number, name=f"item {number}") for number in range(2000))
            session.commit()
        crunch(0.1)
        for _ in range(3):
            with clock("db"), Session(engine) as session:
                found = session.scalars(sqlalchemy.select(Item)).all()
            crunch(0.03)
            assert len(found) == 2000
        with clock("db"), engine.connect() as connection:
            connection.execute(sqlalchemy.text(COUNT.format(200_000)))

    case = captured(work)
    engine.dispose()
    case.holds()
    # The driver's cursor is C, of a class that nobody can tell from outside: its caller gives the name.
    assert {blame.owner for blame in case.explanation.seconds() if blame.category == "db"} == {"sqlalchemy"}


def test_sqlalchemy_on_postgresql(postgres, captured, crunch):
    engine = sqlalchemy.create_engine(postgres.replace("postgresql:", "postgresql+psycopg:"))

    def work(clock):
        with clock("db"):
            connection = engine.connect()
        for _ in range(4):
            with clock("db"):
                connection.execute(sqlalchemy.text("select pg_sleep(0.05)")).all()
            crunch(0.03)
        for _ in range(100):
            with clock("db"):
                connection.execute(sqlalchemy.text("select 1")).all()
        with clock("db"):
            connection.close()

    case = captured(work)
    engine.dispose()
    case.holds()
    assert case.seconds(category="db", owner="psycopg") > 0.2


async def _fetch(engine, clock, crunch):
    sessions = async_sessionmaker(engine)
    with clock("db"):
        async with sessions() as session:
            await session.execute(sqlalchemy.text("select 1"))
    crunch(0.05)
    for _ in range(4):
        with clock("db"):
            async with sessions() as session:
                await session.execute(sqlalchemy.text("select pg_sleep(0.05)"))
        crunch(0.02)


def test_sqlalchemys_async_engine_with_asyncpg(postgres, captured, crunch):
    async def work(clock):
        with clock("db"):
            engine = create_async_engine(postgres.replace("postgresql:", "postgresql+asyncpg:"))
        await _fetch(engine, clock, crunch)
        with clock("db"):
            await engine.dispose()

    case = captured(work)
    case.holds()
    assert case.seconds(category="db", owner="asyncpg") > 0.15


def test_sqlite3_by_itself(tmp_path, captured, crunch):
    def work(clock):
        with clock("db"):
            c = sqlite3.connect(tmp_path / "a.db")
            c.execute("drop table if exists t")
            c.execute("create table t (a, b)")
            c.executemany("insert into t values (?, ?)", ((n, "x" * 50) for n in range(60_000)))
            c.commit()
        crunch(0.1)
        with clock("db"):
            q = c.execute(COUNT.format(200_000))
            q.fetchall()
            rows = c.execute("select * from t order by b, a desc").fetchall()
        assert len(rows) == 60_000
        with clock("db"):
            c.close()

    case = captured(work)
    case.holds()
    assert case.seconds(category="db") > 0.1


def test_aiosqlite(tmp_path, captured, crunch):
    async def work(clock):
        with clock("db"):
            connection = await aiosqlite.connect(tmp_path / "a.db")
        for _ in range(3):
            with clock("db"):
                async with connection.execute(COUNT.format(150_000)) as cursor:
                    await cursor.fetchall()
            crunch(0.05)
        with clock("db"):
            await connection.close()

    case = captured(work)
    case.holds()
    assert case.seconds(category="db", owner="aiosqlite") > 0.05


def test_redis_is_a_cache(redis_server, captured, crunch):
    def work(clock):
        with clock("db"):
            client = redis.Redis.from_url(redis_server)
            client.ping()
        for number in range(10):
            with clock("db"):
                for part in range(20):
                    client.set(f"k{number}.{part}", "v" * 1000)
                    client.get(f"k{number}.{part}")
            crunch(0.015)
        with clock("db"):
            client.blpop("nothing", timeout=0.2)
        crunch(0.05)
        with clock("db"):
            client.close()

    case = captured(work)
    case.holds()
    assert case.seconds(category="db", subcategory="cache", owner="redis") > 0.2
