"""aiohttp's client sessions and connectors."""

from __future__ import annotations

from collections.abc import Iterable
from typing import cast

from profkit.debug.pools.figures import Figures, Library, attribute, is_a, items, pending, values, whole


def _parts(thing: object) -> list[object]:
    if is_a(thing, "aiohttp.client", "ClientSession"):
        connector = attribute(thing, "connector")
        return [thing] if connector is None else [connector]  # it is closed
    return [thing]


def _read(found: Figures, parts: list[object]) -> None:
    """Connections being made are in use already; those of one host may wait for its own limit."""
    [connector] = parts
    found.private = True
    idle = [one for queue in values(connector, "_conns") for one in _copy(queue)]
    waiting = [one for queue in values(connector, "_waiters") for one in _copy(queue)]
    found.add(
        in_use=len(items(connector, "_acquired")),
        idle=len(idle),
        limit=whole(connector, "limit"),
        waiting=pending(waiting),
    )


def _copy(queue: object) -> list[object]:
    return list(cast("Iterable[object]", queue))


LIBRARY = Library(
    {"aiohttp.client": ("ClientSession",), "aiohttp.connector": ("BaseConnector",)}, _parts, _read
)
