"""What runs while the showcase is looked at: threads, tasks and operations in every state that can be shown."""

from __future__ import annotations

import asyncio
import queue
import socket
import threading
import time
from collections.abc import Callable, Coroutine
from typing import Any

from profkit import PerformanceProfiler
from tests.debug.showcase.hostile import LONG, NAMES, SCRIPT
from tests.debug.showcase.pools import FOREVER
from tests.debug.showcase.scene import SECRETS, Scene

Work = Coroutine[Any, Any, None]


def start_threads(profiler: PerformanceProfiler, scene: Scene) -> None:
    """Start threads that wait for a lock, a queue, a socket, a while; one that computes; some in an operation."""
    taken, never = threading.Lock(), threading.Event()
    taken.acquire()
    ends = socket.socketpair()
    jobs: queue.Queue[int] = queue.Queue()
    waits: dict[str, Callable[[], object]] = {
        "lock-waiter": taken.acquire,
        "queue-reader": jobs.get,
        "socket-reader": lambda: ends[0].recv(1),
        "sleeper": lambda: time.sleep(FOREVER),
        "cruncher": crunch,
        "importer": lambda: inside(profiler, never),
        **dict.fromkeys(NAMES, never.wait),
        **{f"idle {number}": never.wait for number in range(scene.threads)},
    }
    if scene.name_length:
        waits[scene.name] = never.wait
    for name, wait in waits.items():
        threading.Thread(target=wait, name=name, daemon=True).start()


def crunch() -> None:
    """Compute a tenth of the time: what looks at the page has to get a turn too."""
    while True:
        until = time.perf_counter() + 0.005
        while time.perf_counter() < until:
            sum(range(100))
        time.sleep(0.045)


def inside(profiler: PerformanceProfiler, never: threading.Event) -> None:
    """Wait in an operation of a thread."""
    with profiler.operation("import.catalogue", category="etl", threshold=0.5, file=SCRIPT):
        never.wait()


def tasks(scene: Scene) -> dict[str, Work]:
    """Return what tasks do, by their names."""
    lock, closed, jobs = asyncio.Lock(), asyncio.Semaphore(0), asyncio.Queue[int]()
    never = asyncio.Event()
    found: dict[str, Work] = {
        "lock-holder": hold(lock),
        **{f"lock-waiter-{number}": hold(lock) for number in range(4)},
        **{f"worker-{number:02}": consume(jobs) for number in range(12)},
        **{f"semaphore-{number}": enter(closed) for number in range(3)},
        "ticker": tick(),
        "gatherer": gather(never),
        "in-a-thread": in_a_thread(),
        "deep": deep(40, never),
        **{name: wait(never) for name in NAMES},
        **{f"idle-{number}": wait(never) for number in range(scene.tasks)},
    }
    if scene.name_length:
        found[scene.name] = wait(never)
    return found


def operations(profiler: PerformanceProfiler, scene: Scene) -> list[Work]:
    """Return operations that stay in flight: some that will not be slow for long, some that are already."""
    names = [("checkout", "agent"), ("llm.chat", "llm"), ("orders.read", "db"), ("encode", "serialization")]
    names += [(name, SCRIPT) for name in NAMES[:6]]
    if scene.name_length:
        names.append((scene.name, scene.name))
    found = [
        fly(profiler, name, category, 3600.0 if index % 3 == 0 else 0.2)
        for index, (name, category) in enumerate(names)
    ]
    found += [fly(profiler, f"spare.{number % 50}", "agent", 3600.0) for number in range(scene.operations)]
    return found


async def fly(profiler: PerformanceProfiler, name: str, category: str, threshold: float) -> None:
    async with profiler.operation(name, category=category, threshold=threshold) as one:
        one.tag(**{SCRIPT: SCRIPT, "password": SECRETS[1], "note": LONG})
        await deep(3, asyncio.Event())


async def hold(lock: asyncio.Lock) -> None:
    async with lock:
        await asyncio.sleep(FOREVER)


async def consume(jobs: asyncio.Queue[int]) -> None:
    while True:
        await jobs.get()


async def enter(semaphore: asyncio.Semaphore) -> None:
    async with semaphore:
        pass


async def tick() -> None:
    while True:  # noqa: ASYNC110 - it waits for nothing
        await asyncio.sleep(0.25)


async def gather(never: asyncio.Event) -> None:
    await asyncio.gather(*(wait(never) for _ in range(5)))


async def in_a_thread() -> None:
    await asyncio.to_thread(time.sleep, FOREVER)


async def deep(levels: int, never: asyncio.Event) -> None:
    if levels:
        await deep(levels - 1, never)
    else:
        await never.wait()


async def wait(never: asyncio.Event) -> None:
    await never.wait()
