"""Every library whose pools are known."""

from __future__ import annotations

from collections.abc import Iterator

from profkit.debug.pools import (
    aio_pika,
    aiohttp,
    asyncpg,
    httpx,
    psycopg,
    pymongo,
    redis,
    sqlalchemy,
    threads,
    urllib3,
)
from profkit.debug.pools.figures import Library

LIBRARIES: tuple[Library, ...] = (
    sqlalchemy.LIBRARY,
    asyncpg.LIBRARY,
    psycopg.LIBRARY,
    redis.LIBRARY,
    httpx.LIBRARY,
    aiohttp.LIBRARY,
    urllib3.LIBRARY,
    pymongo.LIBRARY,
    aio_pika.POOLS,
    aio_pika.CONNECTIONS,
    threads.LIMITERS,
    threads.EXECUTORS,
)


def library_of(pool: object) -> Library | None:
    """Return the library that a pool is of, by its type and not by what it says it is."""
    kind = type(pool)
    return next((one for one in LIBRARIES if issubclass(kind, one.loaded())), None)


def pool_classes() -> Iterator[tuple[type, Library]]:
    """Yield every class of pools that is loaded, derived ones too; those with a pool inside first."""
    for library in LIBRARIES:
        for base in library.loaded():
            yield from ((one, library) for one in derived(base))


def derived(base: type) -> list[type]:
    """Return a class and all that are derived from it."""
    found = {id(base): base}
    waiting = [base]
    while waiting:
        below: list[type] = type.__subclasses__(waiting.pop())
        for one in below:
            if id(one) not in found:
                found[id(one)] = one
                waiting.append(one)
    return list(found.values())
