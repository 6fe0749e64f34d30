"""psycopg_pool's pools, sync and async, those that keep no connection too."""

from __future__ import annotations

from collections.abc import Mapping
from typing import cast

from profkit.debug.pools.figures import Figures, Library, attribute, itself


def _read(found: Figures, parts: list[object]) -> None:
    [pool] = parts
    found.label = str(attribute(pool, "name") or "")
    stats = cast("Mapping[str, int]", getattr(pool, "get_stats")())  # noqa: B009 - of an object of any type
    # One that is not open counts those that it is going to have.
    closed = attribute(pool, "closed") is True
    size, idle = (0, 0) if closed else (stats.get("pool_size", 0), stats.get("pool_available", 0))
    found.add(
        in_use=max(0, size - idle),
        idle=idle,
        limit=stats.get("pool_max"),
        waiting=stats.get("requests_waiting", 0),
    )
    found.timeouts = stats.get("requests_errors", 0)


LIBRARY = Library({"psycopg_pool.base": ("BasePool",)}, itself, _read)
