"""The newest or slowest profiles of a store, found without reading through all of it."""

from __future__ import annotations

import heapq
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from itertools import chain
from time import monotonic
from typing import Final, Literal

from profkit.debug.request_search import RequestSearch
from profkit_storage import ProfileEntry, ProfileQuery, ProfileStorage

Order = Literal["newest", "slowest"]
ORDERS: Final[tuple[Order, ...]] = ("newest", "slowest")
SPAN = timedelta(days=7)
"""How far back is looked unless `since` says otherwise."""

_FIRST_WINDOW = timedelta(hours=1)
_AHEAD = timedelta(minutes=5)  # other machines' clocks
_BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)  # no profile is older, and there is room to reckon below it
_FRACTION = 4
_LEAST = 0.02


@dataclass(slots=True)
class Found:
    """Entries in the order asked for. Everything since `searched_since` was looked at, nothing before.

    `partial`: time ran out before there were enough. `problems` counts what is no profile.
    """

    searched_since: datetime
    entries: list[ProfileEntry] = field(default_factory=list[ProfileEntry])
    problems: int = 0
    more: bool = False
    partial: bool = False


def find(
    storage: ProfileStorage,
    query: ProfileQuery,
    limit: int,
    seconds: float = 4.0,
    *,
    order: Order = "newest",
    request: RequestSearch | None = None,
) -> Found:
    """Return the `limit` newest or slowest profiles that match: from the end backwards, in windows each twice as long.

    A store lists the oldest of a window first. So each has half of the `seconds` left, and one that is not read to its
    end within them is left out and tried again, shorter. What is found is without gaps, whenever time runs out.
    """
    until = max(query.until or datetime.now(UTC) + _AHEAD, _BEGINNING)
    earliest = max(query.since or max(until, _BEGINNING + SPAN) - SPAN, _BEGINNING)
    found = Found(until)
    give_up = monotonic() + seconds
    window = _FIRST_WINDOW
    while found.searched_since > earliest and (order == "slowest" or len(found.entries) < limit):
        left = give_up - monotonic()
        if left < _LEAST:
            found.partial = True
            break
        room = found.searched_since - earliest
        since = found.searched_since - min(window, room)
        part = _Part(storage, replace(query, since=since, until=found.searched_since), monotonic() + left / 2)
        try:
            entries = part.entries() if request is None else request.among(storage, part.entries())
            found.entries = _best(found.entries, entries, limit + 1, order)
        except _OutOfTime:
            window = min(window, room) / _FRACTION
            continue
        found.problems += part.problems
        found.searched_since = since
        window *= 2
    found.more = len(found.entries) > limit or found.searched_since > earliest
    del found.entries[limit:]
    return found


class _OutOfTime(Exception):
    """A window cannot be read to its end in the time there is."""


class _Part:
    """One window; `problems` counts what is no profile in it."""

    def __init__(self, storage: ProfileStorage, query: ProfileQuery, give_up: float) -> None:
        self._storage = storage
        self._query = query
        self._give_up = give_up
        self.problems = 0

    def entries(self) -> Iterator[ProfileEntry]:
        for entry in self._storage.scan(self._query, on_problem=self._count):
            yield entry
            if monotonic() > self._give_up:
                raise _OutOfTime

    def _count(self, _key: str, _reason: str) -> None:
        self.problems += 1


def _best(
    known: list[ProfileEntry], older: Iterator[ProfileEntry], count: int, order: Order
) -> list[ProfileEntry]:
    """Return the best of those `known` and the `older` ones."""
    if order == "slowest":
        return heapq.nlargest(count, chain(known, older), key=lambda one: one.wall)
    return [*known, *reversed(deque(older, maxlen=count - len(known)))]
