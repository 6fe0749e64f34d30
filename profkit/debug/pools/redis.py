"""redis-py's clients and pools, sync and asyncio, of one server or of a cluster."""

from __future__ import annotations

from collections.abc import Iterable
from typing import cast

from profkit.debug.pools.figures import (
    Figures,
    Library,
    attribute,
    is_a,
    items,
    pending,
    values,
    waiting_threads,
    whole,
)


def _parts(thing: object) -> list[object]:
    if is_a(thing, "redis.cluster", "RedisCluster"):
        nodes = values(attribute(thing, "nodes_manager"), "nodes_cache")
        thing_pools = [attribute(attribute(node, "redis_connection"), "connection_pool") for node in nodes]
        return [pool for pool in thing_pools if pool is not None]
    if is_a(thing, "redis.connection", "ConnectionPool"):
        return [thing]
    if is_a(thing, "redis.asyncio.connection", "ConnectionPool"):
        return [thing]
    pool = attribute(thing, "connection_pool")
    return [] if pool is None else [pool]


def _read(found: Figures, parts: list[object]) -> None:
    for pool in parts:
        idle, in_use = _counts(found, pool)
        found.add(
            in_use=in_use, idle=idle, limit=whole(pool, "max_connections"), waiting=_waiting(found, pool)
        )


def _counts(found: Figures, pool: object) -> tuple[int, int]:
    """Return how many connections are idle and in use."""
    public = attribute(pool, "get_connection_count")
    if callable(public):
        [(idle, _), (in_use, _)] = cast("Iterable[tuple[int, object]]", public())
        return idle, in_use
    found.private = True
    queue = attribute(pool, "pool")
    if queue is None:
        return len(items(pool, "_available_connections")), len(items(pool, "_in_use_connections"))
    idle = sum(one is not None for one in items(queue, "queue"))
    return idle, len(items(pool, "_connections")) - idle


def _waiting(found: Figures, pool: object) -> int | None:
    """Nobody waits for a pool that raises when it is exhausted."""
    queue, condition = attribute(pool, "pool"), attribute(pool, "_condition")
    if queue is not None:
        found.private = True
        return waiting_threads(queue)
    if condition is not None:
        found.private = True
        return pending(items(condition, "_waiters"))
    return 0


LIBRARY = Library(
    {
        "redis.cluster": ("RedisCluster",),
        "redis.client": ("Redis",),
        "redis.asyncio.client": ("Redis",),
        "redis.connection": ("ConnectionPool",),
        "redis.asyncio.connection": ("ConnectionPool",),
    },
    _parts,
    _read,
)
