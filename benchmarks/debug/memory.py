"""What `/debug/memory` and its jobs cost, by `python -m benchmarks.debug.memory [OBJECTS ...]`.

How long an answer takes and for how long the event loop stands still meanwhile, with so many objects of the
application's that the garbage collector tracks: made in order, and scattered in memory as they are after days. Beside
it, what the answer itself says it cost, and how long the loop stands still in a second without being asked.
"""

from __future__ import annotations

import argparse
import asyncio
import gc
import platform
import random
import statistics
import time
from collections.abc import Awaitable, Callable
from typing import Any, NamedTuple

import httpx

from benchmarks.debug.stalls import Stalls
from profkit.debug import DiagnosticEndpoints, Token, TokenAuth
from profkit.debug.memory.census import listing, recent_census

TOKEN = "benchmark-0123456789abcdef"
OBJECTS = (2_000_000,)
LOOKS = 7
ALLOCATED = 100_000
JOBS = (
    "trace?seconds=2",
    "trace?seconds=2&frames=5",
    "growth?seconds=1",
    "growth?seconds=1&collect=true",
    f"backrefs?type={__name__}.Row",
    "backrefs?type=no.Such&objects=5000000&seconds=60",
    "gc",
)


class Row:
    """One small object of the application's."""

    def __init__(self, number: int) -> None:
        self.number = number


class Asked(NamedTuple):
    """The answer, the seconds it took, and the loop's longest stall meanwhile."""

    document: dict[str, Any]
    seconds: float
    stall: float


def rows(count: int, *, scattered: bool) -> list[Row]:
    """Make the application's objects; scattered ones are made in the holes that others left."""
    made = [Row(number) for number in range(count)]
    if scattered:
        for _ in range(2):
            random.Random(1).shuffle(made)
            del made[count // 2 :]
            made += [Row(number) for number in range(count - count // 2)]
    return made


async def watched(work: Callable[[], Awaitable[dict[str, Any]]]) -> Asked:
    """Do it while the loop is looked at every millisecond."""
    async with Stalls() as stalls:
        began = time.perf_counter()
        document = await work()
        seconds = time.perf_counter() - began
    return Asked(document, seconds, stalls.longest)


async def measure(label: str) -> None:
    """Ask, and print a line for each way of asking."""
    app = DiagnosticEndpoints(auth=TokenAuth(bench=Token(TOKEN, "read+memory")))
    headers = {"authorization": f"Bearer {TOKEN}"}
    client = httpx.AsyncClient(
        transport=httpx.ASGITransport(app), base_url="http://bench", headers=headers, timeout=120
    )

    async def ask(method: str, path: str) -> dict[str, Any]:
        answer = await client.request(method, path)
        document: dict[str, Any] = answer.json()
        return document

    async def pause() -> dict[str, Any]:
        await asyncio.sleep(1)
        return {}

    async with client:
        await client.get("/")  # what is done once in a process
        idle = await watched(pause)
        looks: list[Asked] = []
        for _ in range(LOOKS):
            recent_census.forget()
            looks.append(await watched(lambda: ask("GET", "/memory")))
        print_line(label, "a second unasked", [idle])
        print_line(label, "GET", looks)
        for job in JOBS:
            allocating = asyncio.create_task(allocate())
            print_line(label, f"POST {job}", [await watched(lambda: ask("POST", f"/memory/{job}"))])  # noqa: B023 - at once
            allocating.cancel()
        print_line(label, "GET, after growth", [await watched(lambda: ask("GET", "/memory"))])


async def allocate() -> None:
    """Be an application that keeps a little more all the time: 50,000 lists a second."""
    kept: list[list[int]] = []
    while len(kept) < ALLOCATED:
        kept += [[number] for number in range(100)]
        await asyncio.sleep(0.002)
    await asyncio.sleep(3600)


def print_line(label: str, what: str, asked: list[Asked]) -> None:
    """Print medians, and the longest stall of all."""
    last = asked[-1].document
    told = last.get("stall_seconds", last.get("types", {}).get("stall_seconds"))
    words = [
        last.get("error", {}).get("message"),
        last.get("types", {}).get("skipped"),
        f"looked at {last['looked_at']:,}, found {last['found']:,}, ended: {last['ended']}"
        if "found" in last
        else None,
        last.get("ended"),
    ]
    detail = next((word for word in words if word), "")
    figures = (
        f"{1000 * statistics.median(one.seconds for one in asked):,.0f}",
        f"{1000 * max(one.stall for one in asked):.1f}",
        "-" if told is None else f"{1000 * told:.1f}",
    )
    print(f"| {label} | {what} | {' | '.join(figures)} | {detail} |", flush=True)


def main() -> None:
    """Print a table, in milliseconds."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.debug.memory")
    parser.add_argument(
        "objects", nargs="*", type=int, default=OBJECTS, help="tracked objects, in so many parts"
    )
    print(
        f"CPython {platform.python_version()}, milliseconds; must be: 50 a stall of GET at 2,000,000 objects\n"
    )
    print("| objects | asked | took | longest stall of the loop | told | what came |")
    print("|---|---|---|---|---|---|")
    for count in parser.parse_args().objects:
        for scattered in (False, True):
            listing.forget()
            kept = rows(count, scattered=scattered)
            gc.collect()  # one that is due for what was made just now would be measured too
            asyncio.run(measure(f"{count:,}{', scattered' if scattered else ''}"))
            del kept


if __name__ == "__main__":
    main()
