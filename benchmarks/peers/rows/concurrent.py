"""What operations cost that overlap, and what they cost others."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable, Generator
from contextlib import contextmanager

from benchmarks.peers.adapters.base import Peer
from benchmarks.peers.rows.base import How, Row, cpu_seconds, fib, run

_OVERLAPPING = 200
_SUSPENDED = 1_000


class InnocentThread(Row):
    """What is no operation should cost nothing more."""

    title = "fib(27) on an undecorated thread beside a waiting operation, wall"
    turns = 6

    def measure(self, peer: Peer) -> dict[str, float]:
        with _beside(peer):
            return {"value": _wall(lambda: fib(27))}


class FourThreads(Row):
    """Threads that fight for the interpreter's lock suffer most from a sampler that wants it too."""

    title = "4 CPU-bound threads beside a waiting operation, wall"
    turns = 6

    def measure(self, peer: Peer) -> dict[str, float]:
        def compute() -> None:
            threads = [threading.Thread(target=fib, args=(24,)) for _ in range(4)]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()

        with _beside(peer):
            return {"value": _wall(compute)}


class Overlapping(Row):
    """Many operations in one event loop, awake in turns."""

    title = "200 overlapping operations that each await 100 times, CPU"

    def measure(self, peer: Peer) -> dict[str, float]:
        async def main() -> None:
            await asyncio.gather(*(peer.wrap_async(await_a_while)() for _ in range(_OVERLAPPING)))

        return {"value": cpu_seconds(lambda: asyncio.run(main()))}


class Suspended(Row):
    """Many operations that wait, all the time."""

    title = "1,000 suspended operations, extra % of a core"
    how = How.EXTRA
    runs = 5
    form = "{:.1f}"
    bare = "{:.1f} %"

    def measure(self, peer: Peer) -> dict[str, float]:
        async def main() -> float:
            stop = asyncio.Event()

            async def wait_until_stopped() -> None:
                await stop.wait()

            tasks = [asyncio.create_task(_await(peer, wait_until_stopped)) for _ in range(_SUSPENDED)]
            await asyncio.sleep(0.3)
            wall, cpu = time.perf_counter(), time.process_time()
            await asyncio.sleep(1)
            share = (time.process_time() - cpu) / (time.perf_counter() - wall)
            stop.set()
            await asyncio.gather(*tasks)
            return share * 100

        return {"value": asyncio.run(main())}


async def await_a_while() -> None:
    """Await 100 times, about a second in all."""
    for step in range(100):
        await asyncio.sleep(0.008 + step % 5 / 1000)


async def _await(peer: Peer, function: Callable[[], Awaitable[None]]) -> None:
    await peer.wrap_async(function)()


@contextmanager
def _beside(peer: Peer) -> Generator[None]:
    """Have another thread in an operation that waits."""
    started, stop = threading.Event(), threading.Event()

    def wait() -> None:
        started.set()
        stop.wait()

    thread = threading.Thread(target=run, args=(peer, wait))
    thread.start()
    if not started.wait(10):
        raise RuntimeError("the operation did not begin")
    try:
        yield
    finally:
        stop.set()
        thread.join()


def _wall(function: Callable[[], object]) -> float:
    started = time.perf_counter()
    function()
    return time.perf_counter() - started
