"""The shop's tables, and their contents: 104,000 rows."""

from __future__ import annotations

import random
from array import array
from collections.abc import Iterator
from pathlib import Path

from sqlalchemy import ForeignKey, create_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

WHOLESALER = 1
WHOLESALER_ORDERS = 8_000
CUSTOMERS = 1_500
ORDERS_EACH = 10
LINES_EACH = 3
PRODUCTS = 12_000
DIMENSIONS = 512


class Base(DeclarativeBase):
    """The root of the tables."""


class Product(Base):
    """An article of the catalogue; `embedding` holds 512 32-bit floats for the semantic search."""

    __tablename__ = "products"
    id: Mapped[int] = mapped_column(primary_key=True)
    title: Mapped[str]
    cents: Mapped[int]
    embedding: Mapped[bytes]


class Order(Base):
    """An order of one customer."""

    __tablename__ = "orders"
    id: Mapped[int] = mapped_column(primary_key=True)
    customer_id: Mapped[int] = mapped_column(index=True)
    placed: Mapped[str]


class OrderLine(Base):
    """One article of an order."""

    __tablename__ = "order_lines"
    id: Mapped[int] = mapped_column(primary_key=True)
    order_id: Mapped[int] = mapped_column(ForeignKey("orders.id"), index=True)
    product_id: Mapped[int] = mapped_column(ForeignKey("products.id"))
    quantity: Mapped[int]


def create_database(path: Path) -> int:
    """Create and fill the SQLite file; returns its number of rows. The same rows every time."""
    engine = create_engine(f"sqlite:///{path}")
    orders = list(_orders())
    products, lines = list(_products()), list(_lines(len(orders)))
    with engine.begin() as connection:
        Base.metadata.create_all(connection)
        connection.exec_driver_sql("INSERT INTO products VALUES (?, ?, ?, ?)", products)
        connection.exec_driver_sql("INSERT INTO orders VALUES (?, ?, ?)", orders)
        connection.exec_driver_sql("INSERT INTO order_lines VALUES (?, ?, ?, ?)", lines)
    engine.dispose()
    return len(orders) + len(products) + len(lines)


def _orders() -> Iterator[tuple[object, ...]]:
    owners = [WHOLESALER] * WHOLESALER_ORDERS
    owners += [customer for customer in range(2, CUSTOMERS + 2) for _ in range(ORDERS_EACH)]
    for number, customer in enumerate(owners, start=1):
        yield number, customer, f"2026-{number % 12 + 1:02}-{number % 28 + 1:02}"


def _products() -> Iterator[tuple[object, ...]]:
    rng = random.Random(20)
    vectors = [
        array("f", [rng.randint(-64, 64) / 64 for _ in range(DIMENSIONS)]).tobytes() for _ in range(100)
    ]
    for number in range(1, PRODUCTS + 1):
        yield number, f"Chair No. {number}", 4900 + number, vectors[number % len(vectors)]


def _lines(orders: int) -> Iterator[tuple[object, ...]]:
    for number in range(orders * LINES_EACH):
        yield number + 1, number // LINES_EACH + 1, number % PRODUCTS + 1, number % 5 + 1
