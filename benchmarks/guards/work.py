"""What is measured: work of several kinds, each plain Python that a reader could have written."""

from __future__ import annotations

import asyncio
import time
from functools import cache
from typing import cast

import orjson


def nothing() -> None:
    """Do nothing."""


async def nothing_awaited() -> None:
    """Do nothing, as a coroutine."""


def fib(n: int) -> int:
    """Call functions, many of them."""
    return n if n < 2 else fib(n - 1) + fib(n - 2)


def spin(seconds: float) -> float:
    """Compute until `seconds` have passed; return how many have."""
    started = time.perf_counter()
    while (passed := time.perf_counter() - started) < seconds:
        fib(5)
    return passed


def fib_27() -> None:
    """About a tenth of a second of calls."""
    for _ in range(3):
        fib(27)


async def await_20_000_times() -> None:
    """Hand over to the event loop, and be called again at once."""
    for _ in range(20_000):
        await asyncio.sleep(0)


def document(rows: int) -> object:
    """Return a JSON document of about 120 bytes a row."""
    return {"rows": [_order(number) for number in range(rows)]}


def _order(number: int) -> object:
    lines = [{"sku": f"sku-{number % 97}", "price": number / 7, "count": number % 5}]
    return {"id": number, "name": f"order {number}", "open": number % 3 == 0, "lines": lines}


@cache
def tree() -> object:
    """Return 1 MB of JSON, decoded."""
    return document(8_500)


@cache
def encoded() -> bytes:
    """Return 1 MB of JSON."""
    return orjson.dumps(tree())


def walk_tree() -> None:
    """Visit every value of a JSON document a few times."""
    for _ in range(4):
        leaves(tree())


def leaves(node: object) -> int:
    """Count what is neither a list nor an object."""
    if isinstance(node, dict):
        return sum(leaves(value) for value in cast("dict[str, object]", node).values())
    if isinstance(node, list):
        return sum(leaves(value) for value in cast("list[object]", node))
    return 1


def encode_and_decode() -> None:
    """Have C code hold the GIL for some milliseconds at a time."""
    for _ in range(8):
        orjson.dumps(tree())
        orjson.loads(encoded())


def descend(levels: int, seconds: float) -> None:
    """Work at some depth for a while: compute, compute some levels deeper, wait."""
    if levels:
        descend(levels - 1, seconds)
        return
    until = time.perf_counter() + seconds
    while time.perf_counter() < until:
        fib(15)
        ",".join(str(fib(5)) for _ in range(200))
        time.sleep(0.003)
