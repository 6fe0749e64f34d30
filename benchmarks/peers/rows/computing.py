"""What an operation costs that computes: CPU of the whole process."""

from __future__ import annotations

import asyncio
from typing import cast

import orjson

from benchmarks.peers.adapters.base import Peer
from benchmarks.peers.rows.base import Row, cpu_seconds, fib, run


class Fib(Row):
    """Calls of a Python function, and nothing else."""

    title = "fib(27) in an operation, CPU"
    turns = 6

    def measure(self, peer: Peer) -> dict[str, float]:
        return {"value": cpu_seconds(lambda: run(peer, fib_27))}


class TreeWalk(Row):
    """A JSON document walked in Python."""

    title = "JSON tree walked in Python, CPU"
    turns = 6

    def __init__(self) -> None:
        self._tree = document(8_000)

    def measure(self, peer: Peer) -> dict[str, float]:
        def walk_tree() -> None:
            for _ in range(2):
                walk(self._tree)

        return {"value": cpu_seconds(lambda: run(peer, walk_tree))}


class Awaits(Row):
    """One coroutine that hands over to the event loop very often."""

    title = "20,000 awaits in an operation, CPU"
    turns = 6

    def measure(self, peer: Peer) -> dict[str, float]:
        async def main() -> None:
            await peer.wrap_async(await_often)()

        return {"value": cpu_seconds(lambda: asyncio.run(main()))}


class Orjson(Row):
    """A C library that holds the interpreter's lock for some milliseconds at a time."""

    title = "orjson of 1 MB in an operation, CPU"
    turns = 6

    def __init__(self) -> None:
        self._document = document(8_500)
        self._encoded = orjson.dumps(self._document)

    def measure(self, peer: Peer) -> dict[str, float]:
        def encode_and_decode() -> None:
            for _ in range(4):
                orjson.dumps(self._document)
                orjson.loads(self._encoded)

        return {"value": cpu_seconds(lambda: run(peer, encode_and_decode))}


def fib_27() -> None:
    """About a tenth of a second of calls."""
    fib(27)


async def await_often() -> None:
    """Await 20,000 times."""
    for _ in range(20_000):
        await asyncio.sleep(0)


def document(rows: int) -> object:
    """Return a JSON document of about 120 bytes a row."""
    return {
        "rows": [
            {
                "id": row,
                "name": f"row {row}",
                "tags": ["new", "sale", str(row)],
                "size": {"w": row / 7, "h": 2},
            }
            for row in range(rows)
        ]
    }


def walk(node: object) -> int:
    """Count the leaves of a JSON document."""
    if isinstance(node, dict):
        return sum(walk(value) for value in cast("dict[str, object]", node).values())
    if isinstance(node, list):
        return sum(walk(value) for value in cast("list[object]", node))
    return 1
