"""The newest profiles of a store, found without reading through all of it."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from time import monotonic

from profkit_storage import ProfileEntry, ProfileQuery, ProfileStorage

SPAN = timedelta(days=7)
"""How far back is looked unless `since` says otherwise."""

_FIRST_WINDOW = timedelta(hours=1)
_AHEAD = timedelta(minutes=5)  # other machines' clocks


@dataclass(slots=True)
class Newest:
    """Entries, newest first. Nothing before `searched_since` was looked at; `problems` counts what is no profile."""

    searched_since: datetime
    entries: list[ProfileEntry] = field(default_factory=list[ProfileEntry])
    problems: int = 0
    more: bool = False


def newest(storage: ProfileStorage, query: ProfileQuery, limit: int, seconds: float = 4.0) -> Newest:
    """Return the `limit` newest profiles that match: from the end backwards, in windows each twice as long.

    Gives up after about `seconds`, with what it has.
    """
    until = query.until or datetime.now(UTC) + _AHEAD
    earliest = query.since or until - SPAN
    found = Newest(until)
    give_up = monotonic() + seconds
    window = _FIRST_WINDOW

    def problem(_key: str, _reason: str) -> None:
        found.problems += 1

    while found.searched_since > earliest and len(found.entries) < limit and monotonic() < give_up:
        since = max(earliest, found.searched_since - window)
        part = replace(query, since=since, until=found.searched_since)
        last: deque[ProfileEntry] = deque(maxlen=limit - len(found.entries) + 1)
        for entry in storage.scan(part, on_problem=problem):
            last.append(entry)
            if monotonic() > give_up:
                break
        found.entries += reversed(last)
        found.searched_since = since
        window *= 2
    found.more = len(found.entries) > limit or found.searched_since > earliest
    del found.entries[limit:]
    return found
