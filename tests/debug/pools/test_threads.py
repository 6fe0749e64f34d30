"""Pools of threads: executors, and anyio's limiter of the event loop that answers."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import anyio
import anyio.to_thread

from profkit.debug.pools.threads import default_limiter

Figures = Callable[[object], tuple[object, ...]]
One = Callable[[object], dict[str, Any]]
Until = Callable[[Callable[[], bool]], None]


def test_an_executor(released: threading.Event, figures: Figures, one: One, until: Until) -> None:
    with ThreadPoolExecutor(2, thread_name_prefix="crunch") as executor:
        assert figures(executor) == (0, 0, 0, 2, None, 0, 0.0)
        for _ in range(3):
            executor.submit(released.wait, 10)
        until(lambda: figures(executor) == (2, 0, 2, 2, None, 1, 1.0))
        released.set()
        until(lambda: figures(executor) == (0, 2, 2, 2, None, 0, 0.0))
        assert one(executor)["source"] == "private"


def test_a_limiter(released: threading.Event, figures: Figures, one: One, comes: Any) -> None:
    async def main() -> None:
        limiter = anyio.CapacityLimiter(1)
        calls = [
            asyncio.create_task(anyio.to_thread.run_sync(released.wait, 10, limiter=limiter))
            for _ in range(2)
        ]
        await comes(lambda: figures(limiter) == (1, None, None, 1, None, 1, 1.0))
        assert one(limiter)["source"] == "public"
        released.set()
        await asyncio.gather(*calls)
        assert figures(limiter)[0] == 0

    asyncio.run(main())


def test_the_limiter_is_that_of_the_loop_here(figures: Figures) -> None:
    async def main() -> object:
        limiter = anyio.to_thread.current_default_thread_limiter()
        assert default_limiter() is limiter
        assert figures(limiter)[3] == 40
        assert await asyncio.to_thread(default_limiter) is None
        return limiter

    assert asyncio.run(main()) is not asyncio.run(main())
    assert default_limiter() is None


def test_a_limiter_without_limit_and_one_made_before_any_loop(figures: Figures) -> None:
    before = anyio.CapacityLimiter(3)
    assert figures(before) == (0, None, None, 3, None, 0, 0.0)

    async def main() -> None:
        assert figures(anyio.CapacityLimiter(float("inf")))[3] is None

    asyncio.run(main())


def test_to_ask_loads_nothing_more_of_anyio() -> None:
    code = (
        "import asyncio, sys, anyio.to_thread; from profkit.debug.pools.threads import default_limiter\n"
        "async def main(): return default_limiter()\n"
        "before = set(sys.modules); print(asyncio.run(main()), set(sys.modules) - before)"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "None set()"
