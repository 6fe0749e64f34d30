"""pymongo's clients, sync and async: a pool for each server."""

from __future__ import annotations

from profkit.debug.pools.figures import Figures, Library, attribute, items, itself, values, whole


def _read(found: Figures, parts: list[object]) -> None:
    [client] = parts
    found.private = True
    servers = values(attribute(client, "_topology"), "_servers")
    pools = [pool for server in servers if (pool := attribute(server, "pool")) is not None]
    if not pools:  # no server has been asked yet
        found.add(in_use=0, idle=0, waiting=0)
    for pool in pools:
        in_use, callers = whole(pool, "active_sockets"), whole(pool, "operation_count")
        limit = attribute(pool, "max_pool_size")
        found.add(
            in_use=in_use,
            idle=len(items(pool, "conns")),
            limit=limit if isinstance(limit, int | float) else None,
            waiting=None if in_use is None or callers is None else max(0, callers - in_use),
        )


LIBRARY = Library(
    {
        "pymongo.synchronous.mongo_client": ("MongoClient",),
        "pymongo.asynchronous.mongo_client": ("AsyncMongoClient",),
    },
    itself,
    _read,
)
