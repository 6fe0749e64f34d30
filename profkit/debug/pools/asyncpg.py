"""asyncpg's pools."""

from __future__ import annotations

from collections.abc import Callable
from weakref import ref

from profkit.debug.pools.figures import Figures, Library, attribute, count, items, itself, waiting_tasks


def _read(found: Figures, parts: list[object]) -> None:
    [pool] = parts
    queue = attribute(pool, "_queue")
    size, idle = count(pool, "get_size"), count(pool, "get_idle_size")
    # There is no queue before the pool is opened.
    waiting = 0 if queue is None and hasattr(pool, "_queue") else waiting_tasks(queue)
    found.private = waiting is not None
    found.add(in_use=size - idle, idle=idle, limit=count(pool, "get_max_size"), waiting=waiting)


def _hold(pool: object) -> Callable[[], object | None]:
    """Refer to a pool, which cannot be referred to weakly, by the first of what it keeps connections in."""
    [holder, *_] = items(pool, "_holders")
    held = ref(holder)

    def again() -> object | None:
        return attribute(held(), "_pool")

    return again


LIBRARY = Library({"asyncpg.pool": ("Pool",)}, itself, _read, _hold)
