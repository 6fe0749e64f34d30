"""urllib3's pool managers and pools, and the sessions of requests that have such."""

from __future__ import annotations

from profkit.debug.pools.figures import (
    Figures,
    Library,
    attribute,
    is_a,
    items,
    values,
    waiting_threads,
    whole,
)

_POOL = "urllib3.connectionpool"


def _parts(thing: object) -> list[object]:
    """Return managers, and the pools in them: one for each host."""
    if is_a(thing, _POOL, "HTTPConnectionPool"):
        return [thing]
    managers = _managers(thing) if is_a(thing, "requests.sessions", "Session") else [thing]
    # `pools` itself would make of what is looked at what was used last.
    return [*managers, *(pool for one in managers for pool in values(attribute(one, "pools"), "_container"))]


def _managers(session: object) -> list[object]:
    adapters = values(session, "adapters")
    managers = [attribute(adapter, "poolmanager") for adapter in adapters]
    managers += [proxied for adapter in adapters for proxied in values(adapter, "proxy_manager")]
    return [manager for manager in managers if manager is not None]


def _read(found: Figures, parts: list[object]) -> None:
    """In use is what is out of those kept; of a pool that does not block there may be more, which nobody counts."""
    found.private = True
    pools = [one for one in parts if is_a(one, _POOL, "HTTPConnectionPool")]
    if not pools:  # no host has been asked yet
        found.add(in_use=0, idle=0, waiting=0)
    for pool in pools:
        queue = attribute(pool, "pool")
        kept = items(queue, "queue")
        most = whole(queue, "maxsize") or 0
        found.add(
            in_use=max(0, most - len(kept)),
            idle=sum(attribute(one, "sock") is not None for one in kept),
            limit=most if attribute(pool, "block") is True else None,
            waiting=0 if queue is None else waiting_threads(queue),
        )


LIBRARY = Library(
    {
        "requests.sessions": ("Session",),
        "urllib3.poolmanager": ("PoolManager",),
        _POOL: ("HTTPConnectionPool",),
    },
    _parts,
    _read,
)
