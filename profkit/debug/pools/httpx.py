"""httpx's clients, also inside OpenAI's."""

from __future__ import annotations

from profkit.debug.pools.figures import Figures, Library, attribute, holds, is_a, items, values, whole

_LIBRARIES = ("httpx", "httpx2")


def _parts(client: object) -> list[object]:
    if is_a(client, "openai", "OpenAI", "AsyncOpenAI"):
        client = attribute(client, "_client")
    if not any(is_a(client, library, "Client", "AsyncClient") for library in _LIBRARIES):
        return []
    transports = [attribute(client, "_transport"), *values(client, "_mounts")]
    pools = [attribute(transport, "_pool") for transport in transports]
    return [pool for pool in pools if pool is not None]  # a mock, an ASGI application has none


def _read(found: Figures, parts: list[object]) -> None:
    """One pool is the client's own; others are for proxies and what is mounted."""
    found.private = True
    for pool in parts:
        opened = [one for one in items(pool, "connections") if not holds(one, "is_closed")]
        idle = sum(holds(one, "is_idle") for one in opened)
        requests = items(pool, "_requests") if hasattr(pool, "_requests") else None
        found.add(
            in_use=len(opened) - idle,
            idle=idle,
            limit=whole(pool, "_max_connections"),
            waiting=None if requests is None else sum(holds(one, "is_queued") for one in requests),
        )


LIBRARY = Library(
    {"openai": ("OpenAI", "AsyncOpenAI"), **dict.fromkeys(_LIBRARIES, ("Client", "AsyncClient"))},
    _parts,
    _read,
)
