"""Which keys of a bucket to list for a query, and for one id."""

from __future__ import annotations

import os.path
from functools import lru_cache

from profkit_storage.keys import HOUR_MS, MAX_MS, hour_name, is_service, parse_date, parse_hour
from profkit_storage.matching import KeyFilter
from profkit_storage.s3.listing import Onward

_HOUR_LENGTH = len("date=YYYY-MM-DD/hour=HH")
_AFTER_SLASH = "0"
"""The character that follows the slash: `service=S0` comes after all of `service=S/`, and before what is next."""


class HourSearch:
    """Where below `layout` the hours lie that a query may take.

    Those of one service are reached by leaps, from hour to hour, where a page is full of others.
    """

    def __init__(self, layout: str, wanted: KeyFilter) -> None:
        since, until = wanted.since, wanted.until
        self._root = f"{layout}/"
        self._first = "" if since is None or since <= 0 else hour_name(min(since, MAX_MS - 1))
        self._last = "" if until is None or until >= MAX_MS else hour_name(max(until, 1) - 1)
        self._service = "" if wanted.service is None else f"service={wanted.service}/"
        beyond = (since is not None and since >= MAX_MS) or (until is not None and until <= 0)
        self.is_empty = beyond or bool(self._last and self._first > self._last)
        """Whether there cannot be any."""

    @property
    def prefix(self) -> str:
        """What all their keys begin with."""
        if self._first and self._first == self._last:
            return f"{self._root}{self._first}/{self._service}"
        return self._root + os.path.commonprefix([self._first, self._last])  # noqa: RUF071 - of characters, as S3 has it

    @property
    def after(self) -> str:
        """The key after which they begin."""
        return f"{self._root}{self._first}/{self._service}" if self._first else ""

    def is_over(self, key: str) -> bool:
        """Tell whether this key, and so each after it, lies behind the last hour."""
        return bool(self._last) and key[len(self._root) :][:_HOUR_LENGTH] > self._last

    def onward(self, key: str) -> str | None:
        """Return where to go on after a page that ends with this key; None if there is no more."""
        if self.is_over(key):
            return None
        hour = key[len(self._root) :][:_HOUR_LENGTH]
        start = hour_start(hour)
        if not self._service or start is None:
            return key
        service = f"{self._root}{hour}/{self._service}"
        if key <= service or key.startswith(service):
            return max(key, service)
        return self._next_hour(start + HOUR_MS)

    def _next_hour(self, start: int) -> str | None:
        if start >= MAX_MS:
            return None
        key = f"{self._root}{hour_name(start)}/{self._service}"
        return None if self.is_over(key) else key


def onward_to(id: str, hour: str) -> Onward:
    """Return how to go on in search of an id, in any service of an hour (with its layout)."""

    def onward(key: str) -> str:
        service, slash, _ = key[len(hour) + 1 :].partition("/")
        wanted = f"{hour}/{service}/{id}"
        if not slash or key.startswith(wanted):
            return key
        return wanted if key < wanted else f"{hour}/{service}{_AFTER_SLASH}"

    return onward


@lru_cache(maxsize=256)
def hour_start(hour: str) -> int | None:
    """Return the milliseconds at which a `date=YYYY-MM-DD/hour=HH` begins; None for anything else."""
    directory, _, name = hour.partition("/")
    day, hours = parse_date(directory), parse_hour(name)
    return None if day is None or hours is None else day + hours


@lru_cache(maxsize=256)
def place(directory: str) -> tuple[str, int] | None:
    """Return the hour of `date=YYYY-MM-DD/hour=HH/service=S`, and its start; None for anything else."""
    hour, _, service = directory.rpartition("/")
    start = hour_start(hour)
    return (hour, start) if start is not None and is_service(service) else None
