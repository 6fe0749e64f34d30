"""Operations whose parts are known by the clock: what share does each peer give them?"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable

import orjson

from benchmarks.peers.adapters.base import Peer
from benchmarks.peers.rows.base import How, Row, run, spin


class Bursts(Row):
    """2 to 4 ms of CPU, then a blocking call of 4 to 10 ms, over and over: what database and LLM code is made of."""

    title = "bursts of 2-4 ms CPU among blocking calls, 3 s: three functions"
    how = How.SHARES
    runs = 3
    names = ("read_rows", "build_page", "check_token")

    def measure(self, peer: Peer) -> dict[str, float]:
        clock: dict[str, float] = {}

        def handle_bursts() -> None:
            clock["all"] = _clocked(lambda: clock.update(burst()))

        run(peer, handle_bursts)
        return {name: clock[name] / clock["all"] for name in self.names}


class Gather(Row):
    """Two awaits at once, and a task of somebody else's in the same loop."""

    title = "gather(db 0.3 s, llm 0.8 s) beside a task that burns 30 % of the loop: llm, db, own, foreign"
    how = How.SHARES
    runs = 3
    names = ("ask_llm", "query_db", "own_work", "burn_elsewhere")

    def measure(self, peer: Peer) -> dict[str, float]:
        clock: dict[str, float] = {}

        async def handle_gather() -> None:
            started = time.perf_counter()
            clock["own"] = own_work()
            clock["db"], clock["llm"] = await asyncio.gather(query_db(), ask_llm())
            clock["all"] = time.perf_counter() - started

        async def main() -> None:
            neighbour = asyncio.create_task(burn_elsewhere())
            await peer.wrap_async(handle_gather)()
            neighbour.cancel()

        asyncio.run(main())
        both = clock["db"] / 2  # while both are waited for, half of the time is each one's
        seconds = (clock["llm"] - both, both, clock["own"], 0.0)
        return {name: spent / clock["all"] for name, spent in zip(self.names, seconds, strict=True)}


class KnownParts(Row):
    """Python, Python, a sleep, and a C library that holds the interpreter's lock."""

    title = "2 s of CPU, CPU, sleep and orjson: four functions"
    how = How.SHARES
    runs = 3
    names = ("first_spin", "second_spin", "pause", "serialize")

    def measure(self, peer: Peer) -> dict[str, float]:
        clock: dict[str, float] = {}

        def handle_parts() -> None:
            for part in (first_spin, second_spin, pause, serialize):
                clock[part.__name__] = _clocked(part)

        run(peer, handle_parts)
        return {name: clock[name] / sum(clock.values()) for name in self.names}


def burst() -> dict[str, float]:
    """Run for about three seconds; return the seconds of each of three functions."""
    choices = random.Random(5)
    counts = ((read_rows, 200), (build_page, 80), (check_token, 20))
    turns = [function for function, count in counts for _ in range(count)]
    choices.shuffle(turns)
    seconds = dict.fromkeys(Bursts.names, 0.0)
    for turn in turns:
        seconds[turn.__name__] += turn(choices.uniform(0.002, 0.004))
        wait_for_answer(choices.uniform(0.004, 0.010))
    return seconds


def read_rows(seconds: float) -> float:
    """Take 20 % of the time."""
    return spin(seconds)


def build_page(seconds: float) -> float:
    """Take 8 % of the time."""
    return spin(seconds)


def check_token(seconds: float) -> float:
    """Take 2 % of the time."""
    return spin(seconds)


def wait_for_answer(seconds: float) -> None:
    """Block, with the interpreter's lock let go."""
    time.sleep(seconds)


async def ask_llm() -> float:
    """Wait; return for how long."""
    started = time.perf_counter()
    await asyncio.sleep(0.8)
    return time.perf_counter() - started


async def query_db() -> float:
    """Wait; return for how long."""
    started = time.perf_counter()
    await asyncio.sleep(0.3)
    return time.perf_counter() - started


def own_work() -> float:
    """Compute in the operation itself."""
    return spin(0.1)


async def burn_elsewhere() -> None:
    """Hold the loop for 30 % of the time; no part of the operation."""
    while True:
        spin(0.015)
        await asyncio.sleep(0.035)


def first_spin() -> None:
    """Half a second in Python."""
    spin(0.5)


def second_spin() -> None:
    """Seven tenths of a second in Python."""
    spin(0.7)


def pause() -> None:
    """Four tenths of a second asleep."""
    time.sleep(0.4)


def serialize() -> None:
    """Four tenths of a second in C, about 20 ms at a time."""
    data = [{"id": number, "name": f"row {number}", "price": number / 7} for number in range(100_000)]
    until = time.perf_counter() + 0.4
    while time.perf_counter() < until:
        orjson.dumps(data)


def _clocked(function: Callable[[], object]) -> float:
    started = time.perf_counter()
    function()
    return time.perf_counter() - started
