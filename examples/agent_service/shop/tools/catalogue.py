"""Tool: export the catalogue with its embeddings. Planted: the standard json module encodes it on the event loop."""

from __future__ import annotations

import asyncio
import json
from array import array

import orjson
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

import profkit
from shop.database import Product
from shop.messages import Message
from shop.resources import Resources
from shop.settings import Plant

Export = list[dict[str, object]]


@profkit.profile("tool.catalogue", category="serialization")
async def export_catalogue(message: Message, resources: Resources) -> bytes:
    """Write the first `message.limit` products, each with the floats of its embedding, to a file."""
    async with resources.sessions() as session:
        export = await read_catalogue(session, message.limit)
    encode = encode_with_stdlib_json if Plant.JSON_ENCODE in resources.plants else encode_with_orjson
    content = encode(export)
    await asyncio.to_thread(resources.catalogue.write_bytes, content)
    return orjson.dumps({"products": len(export), "bytes": len(content)})


async def read_catalogue(session: AsyncSession, limit: int) -> Export:
    """The products as plain values."""
    columns = select(Product.id, Product.title, Product.embedding).order_by(Product.id).limit(limit)
    return [
        {"id": id, "title": title, "embedding": array("f", embedding).tolist()}
        for id, title, embedding in await session.execute(columns)
    ]


def encode_with_stdlib_json(export: Export) -> bytes:
    """PLANTED (json_encode): `indent` takes json's C encoder away, and every other request waits for this one call."""
    return json.dumps(export, indent=2).encode()


def encode_with_orjson(export: Export) -> bytes:
    """Mended: the same text, some thirty times faster."""
    return orjson.dumps(export, option=orjson.OPT_INDENT_2)
