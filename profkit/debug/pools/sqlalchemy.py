"""SQLAlchemy's engines, sync and async, and their pools."""

from __future__ import annotations

from profkit.debug.pools.figures import (
    Figures,
    Library,
    attribute,
    count,
    is_a,
    items,
    waiting_tasks,
    waiting_threads,
    whole,
)
from profkit.masking.values import type_name

_POOLS = "sqlalchemy.pool"


def _parts(thing: object) -> list[object]:
    if is_a(thing, "sqlalchemy.ext.asyncio", "AsyncEngine"):
        thing = attribute(thing, "sync_engine")
    if is_a(thing, "sqlalchemy.engine", "Engine"):
        thing = attribute(thing, "pool")
    return [thing] if is_a(thing, _POOLS, "Pool") else []


def _read(found: Figures, parts: list[object]) -> None:
    [pool] = parts
    found.kind = type_name(type(pool))
    if is_a(pool, _POOLS, "QueuePool"):
        _queue_pool(found, pool)
    elif is_a(pool, _POOLS, "StaticPool"):
        found.limit = 1
    elif is_a(pool, _POOLS, "AssertionPool"):
        out = attribute(pool, "_checked_out")
        found.private = True
        found.add(in_use=None if out is None else int(bool(out)), limit=1)
    elif is_a(pool, _POOLS, "SingletonThreadPool") and attribute(pool, "_all_conns") is not None:
        found.size, found.private = len(items(pool, "_all_conns")), True


def _queue_pool(found: Figures, pool: object) -> None:
    base, extra = count(pool, "size"), whole(pool, "_max_overflow")
    found.private = extra is not None
    found.add(
        in_use=count(pool, "checkedout"),
        idle=count(pool, "checkedin"),
        limit=base + extra if extra is not None and extra >= 0 and base else None,
        waiting=_waiting(attribute(pool, "_pool")),
    )
    found.overflow = max(0, count(pool, "overflow"))  # minus the size in a pool not used yet


def _waiting(queue: object) -> int | None:
    threads = waiting_threads(queue)
    if threads is not None:
        return threads
    return waiting_tasks(getattr(queue, "__dict__", {}).get("_queue"))


LIBRARY = Library(
    {"sqlalchemy.ext.asyncio": ("AsyncEngine",), "sqlalchemy.engine": ("Engine",), _POOLS: ("Pool",)},
    _parts,
    _read,
)
