"""N+1 queries and calls: captured from SQLAlchemy, sqlite3 and child operations, and what only looks like them."""

from __future__ import annotations

import asyncio
import itertools
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
from sqlalchemy import Engine, ForeignKey, create_engine, insert, select
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column, relationship, selectinload

ROWS = 1500
SECONDS = 1.5
"""For which a loop goes on: ten queries have to be seen, of which a fast machine does a thousand in half a second."""


class Base(DeclarativeBase):
    pass


class Customer(Base):
    __tablename__ = "customer"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]


class Order(Base):
    __tablename__ = "orders"
    id: Mapped[int] = mapped_column(primary_key=True)
    customer_id: Mapped[int] = mapped_column(ForeignKey("customer.id"))
    customer: Mapped[Customer] = relationship()


@pytest.fixture(scope="module")
def database(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("db") / "shop.db"
    engine = create_engine(f"sqlite:///{path}")
    Base.metadata.create_all(engine)
    with Session(engine) as session:
        session.execute(insert(Customer), [{"id": n, "name": f"c{n}"} for n in range(1, ROWS + 1)])
        session.execute(insert(Order), [{"id": n, "customer_id": n} for n in range(1, ROWS + 1)])
        session.commit()
    engine.dispose()
    return path


@pytest.fixture(scope="module")
def engine(database) -> Iterator[Engine]:
    engine = create_engine(f"sqlite:///{database}")
    with Session(engine) as session:  # what SQLAlchemy compiles once
        session.scalars(select(Order).limit(2)).all()
    yield engine
    engine.dispose()


def test_lazy_loading_in_a_loop(watch, engine, facts):
    @watch("orders.list")
    def list_orders() -> int:
        total, until = 0, time.perf_counter() + SECONDS
        while time.perf_counter() < until:
            with Session(engine) as session:
                for order in session.scalars(select(Order)):
                    total += len(order.customer.name)
        return total

    list_orders()
    found = watch.one("n_plus_one_query")
    assert found.place.startswith(f"{__name__}.test_lazy_loading_in_a_loop.<locals>.list_orders (line ")
    (profile,) = watch.captured()
    assert 0.5 * profile.wall < found.seconds < profile.wall
    assert facts(found)["the most in one operation"] >= 10
    assert found.exemplars == (profile.id,)


def test_eager_loading_of_as_much_is_silent(watch, engine):
    @watch("orders.eager")
    def list_orders() -> int:
        total = 0
        for _ in range(3):
            with Session(engine) as session:
                found = session.scalars(select(Order).options(selectinload(Order.customer)))
                total += sum(len(order.customer.name) for order in found)
        return total

    list_orders()
    assert "n_plus_one_query" not in watch.patterns("orders.eager")


def test_a_query_in_a_loop_without_an_orm(watch, database, facts):
    @watch("customers.find")
    def find_customers(connection: sqlite3.Connection) -> int:
        found, until = 0, time.perf_counter() + SECONDS
        numbers = itertools.cycle(range(1, ROWS))
        while time.perf_counter() < until:
            rows = connection.execute(
                "SELECT * FROM customer WHERE name = ?", (f"c{next(numbers)}",)
            ).fetchall()
            found += sum(len(str(row)) + len(sorted(str(row))) for row in rows * 40)
        return found

    with closing(sqlite3.connect(database)) as connection:
        find_customers(connection)
    found = watch.one("n_plus_one_query")
    assert "find_customers (line " in found.place
    assert "at least" in " ".join(facts(found))


def test_one_query_whose_rows_come_in_many_fetches_is_silent(watch, database):
    @watch("customers.all")
    def read_all(connection: sqlite3.Connection) -> int:
        total = 0
        cursor = connection.execute("SELECT a.name, b.name FROM customer a, customer b LIMIT 300000")
        while rows := cursor.fetchmany(2000):
            total += sum(len(str(row)) for row in rows)
        return total

    with closing(sqlite3.connect(database)) as connection:
        read_all(connection)
    assert watch.patterns("customers.all") == set()


def test_many_rows_in_one_call_are_silent(watch, tmp_path):
    @watch("customers.add")
    def add(connection: sqlite3.Connection) -> None:
        for start in range(0, 200_000, 10_000):
            rows = [(number, f"c{number}" * 3) for number in range(start, start + 10_000)]
            connection.executemany("INSERT INTO customer VALUES (?, ?)", rows)

    with closing(sqlite3.connect(tmp_path / "new.db")) as connection:
        connection.execute("CREATE TABLE customer (id, name)")
        add(connection)
    assert watch.patterns("customers.add") == set()


def test_child_operations_one_after_the_other_are_counted(watch, facts):
    @watch("report")
    def report(calls: int) -> None:
        for _ in range(calls):
            with watch.profiler.operation("orders.of", category="db"):
                time.sleep(0.015)

    report(14)
    found = watch.one("n_plus_one_query")
    assert found.place == "orders.of"
    assert facts(found)["queries one by one in an operation"] == 14
    assert found.seconds == pytest.approx(13 * 0.015, rel=0.5)


def test_child_operations_side_by_side_and_a_few_are_silent(watch):
    async def order() -> None:
        async with watch.profiler.operation("orders.of", category="db"):
            await asyncio.sleep(0.2)

    @watch("fan-out")
    async def fan_out() -> None:
        await asyncio.gather(*(order() for _ in range(14)))

    @watch("few")
    async def few() -> None:
        for _ in range(9):
            async with watch.profiler.operation("orders.of", category="db"):
                await asyncio.sleep(0.02)

    asyncio.run(fan_out())
    asyncio.run(few())
    assert watch.patterns("fan-out", "few") == set()


def test_calls_of_a_service_are_a_pattern_of_their_own_and_a_models_are_none(watch):
    @watch("prices")
    def prices(category: str) -> None:
        for _ in range(12):
            with watch.profiler.operation("price", category=category):
                time.sleep(0.012)

    prices("http")
    found = watch.one("n_plus_one_call")
    assert (found.operation, found.place) == ("prices", "price")
    watch.profiles.clear()
    prices("llm")  # an agent's turns: each needs the one before it
    assert watch.patterns("prices") == set()
