"""Pools of threads: anyio's limiters, which decide how many sync routes run at once, and thread pool executors."""

from __future__ import annotations

import sys
import threading
from typing import cast

from profkit.debug.pools.figures import Figures, Library, attribute, count, items, itself, whole
from profkit.sampling.capture import OWN_THREADS

_BACKENDS = {"anyio._backends._asyncio", "anyio._backends._trio"}


def default_limiter() -> object | None:
    """Return the limiter of anyio's worker threads in the event loop that runs here.

    None without loop or anyio, or while anyio has not been used: it would load the rest of itself, for 30 ms. None in
    a loop of profkit's own too: nothing runs in threads for that.
    """
    to_thread = sys.modules.get("anyio.to_thread")
    if not _BACKENDS & sys.modules.keys() or threading.current_thread().name in OWN_THREADS:
        return None
    try:
        return None if to_thread is None else cast("object", to_thread.current_default_thread_limiter())
    except Exception:  # noqa: BLE001 - there is no loop, or one that anyio does not know
        return None


def _read_limiter(found: Figures, parts: list[object]) -> None:
    [limiter] = parts
    borrowed, total = attribute(limiter, "borrowed_tokens"), attribute(limiter, "total_tokens")
    statistics = getattr(limiter, "statistics")()  # noqa: B009 - of an object of any type
    found.add(
        in_use=int(cast("int", borrowed)),
        limit=cast("float", total),
        waiting=whole(statistics, "tasks_waiting"),
    )


def _read_executor(found: Figures, parts: list[object]) -> None:
    """A thread is idle until a call is handed to it; calls that no thread has taken wait."""
    [executor] = parts
    found.private, found.label = True, str(attribute(executor, "_thread_name_prefix") or "")
    threads = len(items(executor, "_threads"))
    idle = min(threads, whole(attribute(executor, "_idle_semaphore"), "_value") or 0)
    found.add(
        in_use=threads - idle,
        idle=idle,
        limit=whole(executor, "_max_workers"),
        waiting=count(attribute(executor, "_work_queue"), "qsize"),
    )


# anyio itself has it only once it has been asked for it.
LIMITERS = Library({"anyio._core._synchronization": ("CapacityLimiter",)}, itself, _read_limiter)
EXECUTORS = Library({"concurrent.futures.thread": ("ThreadPoolExecutor",)}, itself, _read_executor)
