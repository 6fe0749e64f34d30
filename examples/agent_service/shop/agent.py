"""The agent: a small model chooses a tool, the tool answers."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import profkit
from shop.messages import Message
from shop.resources import Resources
from shop.tools import answers, catalogue, delivery, orders

Tool = Callable[[Message, Resources], Awaitable[bytes]]

TOOLS: dict[str, Tool] = {
    "orders": orders.order_history,
    "answer": answers.answer,
    "plan": answers.plan,
    "delivery": delivery.plan_delivery,
    "catalogue": catalogue.export_catalogue,
}


@profkit.profile("agent.route", category="agent")
async def route(message: Message, resources: Resources) -> bytes:
    """Answer one message with the tool that the small model chose; returns JSON."""
    name = await answers.choose_tool(message.text, list(TOOLS), resources)
    tool = TOOLS.get(name, answers.answer)
    return await tool(message, resources)
