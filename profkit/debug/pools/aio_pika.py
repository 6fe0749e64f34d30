"""aio-pika's pools of anything, and its connections with their channels."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple
from weakref import ref

from profkit.debug.pools.figures import (
    Figures,
    Library,
    attribute,
    items,
    itself,
    values,
    waiting_tasks,
    whole,
)


class _Inside(NamedTuple):
    """What a pool is made of: it cannot be referred to weakly, but these can."""

    released: object
    made: object
    limit: int | None


def _inside(pool: object) -> _Inside:
    if isinstance(pool, _Inside):
        return pool
    released, made = attribute(pool, "_Pool__items"), attribute(pool, "_Pool__item_set")
    return _Inside(released, made, whole(pool, "_Pool__max_size"))


def _parts(pool: object) -> list[object]:
    inside = _inside(pool)
    return [inside.released, inside]


def _read(found: Figures, parts: list[object]) -> None:
    inside = _inside(parts[1])
    found.kind, found.private = "aio_pika.pool.Pool", True
    # One that is closed holds None, for those who waited.
    idle = sum(one is not None for one in items(inside.released, "_queue"))
    found.add(
        in_use=max(0, len(items(inside, "made")) - idle),
        idle=idle,
        limit=inside.limit,
        waiting=waiting_tasks(inside.released),
    )


def _hold(pool: object) -> Callable[[], object | None]:
    released, made, limit = _inside(pool)
    held = ref(released), ref(made)

    def again() -> object | None:
        queue, everything = held[0](), held[1]()
        return None if queue is None or everything is None else _Inside(queue, everything, limit)

    return again


def _read_connection(found: Figures, parts: list[object]) -> None:
    """Count the open channels of a connection, of those that the broker allows."""
    inner = attribute(attribute(parts[0], "transport"), "connection")  # None while it is not connected
    found.private = True
    opened = sum(one is not None for one in values(inner, "channels"))
    found.add(in_use=opened, limit=whole(attribute(inner, "connection_tune"), "channel_max"))
    found.size = opened


POOLS = Library({"aio_pika.pool": ("Pool",)}, _parts, _read, _hold)
CONNECTIONS = Library({"aio_pika.connection": ("Connection",)}, itself, _read_connection)
