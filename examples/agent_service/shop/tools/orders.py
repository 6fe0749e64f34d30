"""Tool: a customer's orders. Planted: one query for the orders, then one more for each of them."""

from __future__ import annotations

from collections import defaultdict

import orjson
from sqlalchemy import Select, select
from sqlalchemy.ext.asyncio import AsyncSession

import profkit
from shop.database import Order, OrderLine
from shop.messages import Message
from shop.resources import Resources
from shop.settings import Plant

History = list[dict[str, object]]


@profkit.profile("tool.orders", category="db")
async def order_history(message: Message, resources: Resources) -> bytes:
    """The last `message.limit` orders of the customer, each with its lines."""
    read = read_orders_one_by_one if Plant.N_PLUS_ONE in resources.plants else read_orders_in_two_queries
    async with resources.sessions() as session:
        history = await read(session, message.customer, message.limit)
    return orjson.dumps(history)


async def read_orders_one_by_one(session: AsyncSession, customer: int, limit: int) -> History:
    """PLANTED (n_plus_one): nobody notices with ten orders; the wholesaler has thousands."""
    history: History = []
    for order in await session.scalars(_orders_of(customer, limit)):
        lines = await session.scalars(select(OrderLine).where(OrderLine.order_id == order.id))
        history.append(_as_dict(order, list(lines)))
    return history


async def read_orders_in_two_queries(session: AsyncSession, customer: int, limit: int) -> History:
    """Mended: all the lines come with one query."""
    orders = list(await session.scalars(_orders_of(customer, limit)))
    chosen = select(Order.id).where(Order.customer_id == customer).order_by(Order.id.desc()).limit(limit)
    by_order = defaultdict[int, list[OrderLine]](list)
    for line in await session.scalars(select(OrderLine).where(OrderLine.order_id.in_(chosen))):
        by_order[line.order_id].append(line)
    return [_as_dict(order, by_order[order.id]) for order in orders]


def _orders_of(customer: int, limit: int) -> Select[Order]:
    return select(Order).where(Order.customer_id == customer).order_by(Order.id.desc()).limit(limit)


def _as_dict(order: Order, lines: list[OrderLine]) -> dict[str, object]:
    items = [{"product": line.product_id, "quantity": line.quantity} for line in lines]
    return {"order": order.id, "placed": order.placed, "lines": items}
