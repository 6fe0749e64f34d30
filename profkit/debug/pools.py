"""What each connection pool is doing: SQLAlchemy engines and pools, httpx clients, in one shape.

Neither library is imported: a pool of a library that the application has not loaded cannot have been given.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from typing import cast

from profkit.masking import Masker
from profkit.masking import masker as default_masker
from profkit.masking.values import type_name

MAX_POOLS = 100
_HTTPX = ("httpx", "httpx2")


@dataclass
class _Pool:
    """One pool. Counts are connections, `None` where the library does not tell.

    `size` is how many are open now (`in_use` + `idle`), `limit` how many may be (`None`: no limit, or unknown),
    `overflow` how many of SQLAlchemy's are beyond its pool's size, `waiting` how many callers wait for one,
    `saturation` is `in_use / limit`. `source` is "private" where a figure comes from a private attribute, which
    another version of the library may not have. `error` is set, and the rest unknown, where the pool itself raised.
    """

    name: str
    kind: str
    supported: bool = True
    in_use: int | None = None
    idle: int | None = None
    size: int | None = None
    limit: int | None = None
    overflow: int | None = None
    waiting: int | None = None
    saturation: float | None = None
    source: str = "public"
    error: str | None = None


def pool_report(pools: Mapping[str, object], *, masker: Masker = default_masker) -> list[dict[str, object]]:
    """The state of each of `pools` (at most 100), by name; `_Pool`'s fields are the keys. Never raises."""
    return [asdict(_one(name, pool, masker)) for name, pool in list(pools.items())[:MAX_POOLS]]


def _one(name: str, pool: object, masker: Masker) -> _Pool:
    found = _Pool(masker.mask_text(str(name)), type_name(type(pool)))
    try:
        found.supported = _sqlalchemy(found, pool) or _httpx(found, pool)
        if found.in_use is not None and found.limit:
            found.saturation = round(min(1.0, found.in_use / found.limit), 4)
    except Exception as error:  # noqa: BLE001 - one broken pool must not hide the others
        return _Pool(found.name, found.kind, error=masker.mask_error(error))
    return found


def _classes(module: str, *names: str) -> tuple[type, ...]:
    """Those of `names` that `module` has, if the application has loaded it."""
    loaded = sys.modules.get(module)
    found = [getattr(loaded, name, None) for name in names]
    return tuple(item for item in found if isinstance(item, type))


def _sqlalchemy(found: _Pool, pool: object) -> bool:
    if isinstance(pool, _classes("sqlalchemy.ext.asyncio", "AsyncEngine")):
        pool = _attribute(pool, "sync_engine")
    if isinstance(pool, _classes("sqlalchemy.engine", "Engine")):
        pool = _attribute(pool, "pool")
    if not isinstance(pool, _classes("sqlalchemy.pool", "Pool")):
        return False
    found.kind = type_name(type(pool))
    if isinstance(pool, _classes("sqlalchemy.pool", "QueuePool")):
        _queue_pool(found, pool)
    elif isinstance(pool, _classes("sqlalchemy.pool", "StaticPool")):
        found.limit = 1
    elif isinstance(pool, _classes("sqlalchemy.pool", "AssertionPool")):
        out = getattr(pool, "_checked_out", None)
        found.in_use, found.limit, found.source = None if out is None else int(out), 1, "private"
    elif isinstance(pool, _classes("sqlalchemy.pool", "SingletonThreadPool")):
        opened = getattr(pool, "_all_conns", None)
        found.size, found.source = None if opened is None else len(opened), "private"
    return True


def _queue_pool(found: _Pool, pool: object) -> None:
    base = _count(pool, "size")
    found.in_use, found.idle = _count(pool, "checkedout"), _count(pool, "checkedin")
    found.size = found.in_use + found.idle
    found.overflow = max(0, _count(pool, "overflow"))  # minus the size in a pool not used yet
    extra = getattr(pool, "_max_overflow", None)
    if isinstance(extra, int):
        found.limit, found.source = (base + extra if extra >= 0 and base else None), "private"
    found.waiting = _queue_waiters(getattr(pool, "_pool", None))
    if found.waiting is not None:
        found.source = "private"


def _queue_waiters(queue: object) -> int | None:
    """Callers that wait for a connection: threads on the queue's condition, or futures of asyncio's queue."""
    waiters = getattr(getattr(queue, "not_empty", None), "_waiters", None)
    if waiters is not None:
        return len(cast("list[object]", list(waiters)))
    inner = getattr(queue, "__dict__", {}).get("_queue")  # made on first use: asking must not make it
    waiters = getattr(inner, "_getters", None)
    if waiters is None:
        return None
    return sum(not waiter.done() for waiter in list(waiters))


def _httpx(found: _Pool, client: object) -> bool:
    if type(client).__module__.partition(".")[0] == "openai":
        client = getattr(client, "_client", client)
    kinds = tuple(kind for library in _HTTPX for kind in _classes(library, "Client", "AsyncClient"))
    if not isinstance(client, kinds):
        return False
    mounts = cast("Mapping[object, object]", getattr(client, "_mounts", {}))
    transports = [getattr(client, "_transport", None), *list(mounts.values())]
    pools = [
        pool for pool in (getattr(transport, "_pool", None) for transport in transports) if pool is not None
    ]
    found.source = "private"
    if not pools:  # a mock, an ASGI application, the user's own transport
        return False
    _connections(found, pools)
    return True


def _connections(found: _Pool, pools: list[object]) -> None:
    """Sums over a client's pools: its own, and one for each proxy or mounted transport."""
    opened = [one for pool in pools for one in _items(pool, "connections") if not _is(one, "is_closed")]
    found.idle = sum(_is(one, "is_idle") for one in opened)
    found.size = len(opened)
    found.in_use = found.size - found.idle
    limits = [getattr(pool, "_max_connections", None) for pool in pools]
    known = [limit for limit in limits if isinstance(limit, int) and limit < sys.maxsize]
    found.limit = sum(known) if len(known) == len(pools) else None
    if all(hasattr(pool, "_requests") for pool in pools):
        found.waiting = sum(_is(one, "is_queued") for pool in pools for one in _items(pool, "_requests"))


def _attribute(owner: object, name: str) -> object:
    return cast("object", getattr(owner, name))


def _count(pool: object, method: str) -> int:
    return int(getattr(pool, method)())


def _items(pool: object, name: str) -> list[object]:
    return list(cast("Iterable[object]", getattr(pool, name)))


def _is(thing: object, method: str) -> bool:
    return bool(getattr(thing, method)())
