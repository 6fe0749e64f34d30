"""What `/debug/connections` costs, by `python -m benchmarks.debug.connections [OBJECTS ...]`.

How long an answer takes and for how long the event loop stands still meanwhile: with 12 pools of as many kinds, 200
sockets, and so many objects that the garbage collector tracks. Beside it, how long the loop stands still in the same
time without being asked.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import gc
import platform
import socket
import statistics
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import NamedTuple

import aio_pika
import aiohttp
import asyncpg
import httpx
import psycopg_pool
import pymongo
import redis
import redis.asyncio
import requests
import sqlalchemy
from sqlalchemy.ext.asyncio import create_async_engine

from benchmarks.debug.stalls import Stalls
from profkit.debug import DiagnosticEndpoints, Token, TokenAuth

TOKEN = "benchmark-0123456789abcdef"
OBJECTS = (300_000, 2_000_000)
SOCKETS = 200
ANSWERS = 20
WIDTH = 100
URL = "postgresql://me:secret@127.0.0.1:1/shop"


class Asked(NamedTuple):
    """Seconds that answers took, and the loop's longest stall meanwhile."""

    answers: list[float]
    stall: float


@contextlib.asynccontextmanager
async def pools() -> AsyncIterator[dict[str, object]]:
    """One pool of each kind, some with connections; nothing here needs a server."""
    engine = sqlalchemy.create_engine(
        "sqlite:///file:bench?mode=memory&uri=true", poolclass=sqlalchemy.QueuePool
    )
    everything: dict[str, object] = {
        "sqlalchemy": engine,
        "sqlalchemy async": create_async_engine(URL.replace("postgresql:", "postgresql+asyncpg:")),
        "asyncpg": asyncpg.create_pool(URL),
        "psycopg": psycopg_pool.ConnectionPool(URL, open=False),
        "redis": redis.Redis(),
        "redis asyncio": redis.asyncio.Redis(),
        "httpx": httpx.AsyncClient(verify=False),
        "requests": requests.Session(),
        "pymongo": pymongo.MongoClient(connect=False),
        "aio-pika": aio_pika.pool.Pool(aio_pika.connect_robust, max_size=3),
        "threads": ThreadPoolExecutor(2),
    }
    async with aiohttp.ClientSession() as session:
        with contextlib.ExitStack() as held:
            for _ in range(4):
                held.enter_context(engine.connect())
            yield {**everything, "aiohttp": session}


@contextlib.contextmanager
def sockets(count: int) -> Iterator[None]:
    """Open so many, half of them connected to the other half."""
    with contextlib.ExitStack() as opened, socket.create_server(("127.0.0.1", 0), backlog=count) as server:
        for _ in range(count // 2):
            opened.enter_context(socket.create_connection(server.getsockname()))
            opened.enter_context(server.accept()[0])
        yield


def objects(count: int) -> list[list[list[list[int]]]]:
    """Make objects until the collector tracks so many: the application's data, all of which a search would meet."""
    missing = max(0, count - len(gc.get_objects()))
    return [[[[n] for n in range(WIDTH)] for _ in range(WIDTH)] for _ in range(missing // WIDTH**2)]


async def watched(work: Callable[[], Awaitable[list[float]]]) -> Asked:
    """Do it while the loop is looked at every millisecond."""
    async with Stalls() as stalls:
        answers = await work()
    return Asked(answers, stalls.longest)


async def measure(given: dict[str, object]) -> tuple[Asked, Asked, Asked]:
    """Return what the first answer, which searches, and some later ones cost; and a pause of the same length."""
    app = DiagnosticEndpoints(auth=TokenAuth(bench=Token(TOKEN, "read")), pools=given)
    headers = {"authorization": f"Bearer {TOKEN}"}
    client = httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://bench", headers=headers)

    async def ask(times: int) -> list[float]:
        took: list[float] = []
        for _ in range(times):
            before = time.perf_counter()
            answer = await client.get("/connections")
            took.append(time.perf_counter() - before)
            if answer.status_code != 200 or any(one["error"] for one in answer.json()["pools"]):
                raise RuntimeError(answer.text)
            await asyncio.sleep(0.02)
        return took

    async def pause() -> list[float]:
        await asyncio.sleep(ANSWERS * 0.05)
        return []

    async with client:
        await client.get("/")  # what is done once in a process
        return await watched(lambda: ask(1)), await watched(lambda: ask(ANSWERS)), await watched(pause)


def row(count: int) -> None:
    """Measure with so many objects, and print it."""
    kept = objects(count)
    gc.collect()  # one that is due for what was made just now would be measured too

    async def main() -> tuple[Asked, Asked, Asked]:
        async with pools() as given:
            return await measure(given)

    with sockets(SOCKETS):
        first, later, idle = asyncio.run(main())
    del kept
    milliseconds = [f"{1000 * one:.1f}" for one in (
        statistics.median(later.answers), max(later.answers), later.stall, first.answers[0], first.stall, idle.stall
    )]  # fmt: skip
    print(f"| {count:,} | {' | '.join(milliseconds)} |", flush=True)


def main() -> None:
    """Print a table, in milliseconds."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.debug.connections")
    parser.add_argument(
        "objects", nargs="*", type=int, default=OBJECTS, help="tracked objects, in so many rows"
    )
    print(f"CPython {platform.python_version()}, milliseconds; must be: 50 an answer, 10 a stall\n")
    print(
        "| objects | answer, median | slowest | stall | first answer, with the search | stall | stall unasked |"
    )
    print("|---|---|---|---|---|---|---|")
    for count in parser.parse_args().objects:
        row(count)


if __name__ == "__main__":
    main()
