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
from profkit.debug.pools.figures import Library, bases_of

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
    kinds = {id(base) for base in bases_of(type(pool))}
    return next((one for one in LIBRARIES if any(id(kind) in kinds for kind in one.loaded())), None)


def pool_classes() -> Iterator[tuple[type, Library]]:
    """Yield every class of pools that is loaded, derived ones too; those with a pool inside first."""
    for library in LIBRARIES:
        for base in library.loaded():
            yield from ((one, library) for one in derived(base))


def derived(base: type) -> list[type]:
    """Return a class and all that are derived from it."""
    found: dict[int, type] = {id(base): base}
    waiting: list[type] = [base]
    while waiting:
        subclasses: list[type] = type.__subclasses__(waiting.pop())
        new = [kind for kind in subclasses if id(kind) not in found]
        found.update((id(kind), kind) for kind in new)
        waiting += new
    return list(found.values())
