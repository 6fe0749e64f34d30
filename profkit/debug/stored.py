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
_BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)  # no profile is older, and there is room to reckon below it
_FRACTION = 4
_LEAST = 0.02


@dataclass(slots=True)
class Newest:
    """Entries, newest first. Everything since `searched_since` was looked at, nothing before.

    `partial`: time ran out before there were enough. `problems` counts what is no profile.
    """

    searched_since: datetime
    entries: list[ProfileEntry] = field(default_factory=list[ProfileEntry])
    problems: int = 0
    more: bool = False
    partial: bool = False


def newest(storage: ProfileStorage, query: ProfileQuery, limit: int, seconds: float = 4.0) -> Newest:
    """Return the `limit` newest profiles that match: from the end backwards, in windows each twice as long.

    A store lists the oldest of a window first. So each has half of the `seconds` left, and one that is not read to its
    end within them is left out and tried again, shorter. What is found is without gaps, whenever time runs out.
    """
    until = max(query.until or datetime.now(UTC) + _AHEAD, _BEGINNING)
    earliest = max(query.since or max(until, _BEGINNING + SPAN) - SPAN, _BEGINNING)
    found = Newest(until)
    give_up = monotonic() + seconds
    window = _FIRST_WINDOW
    while found.searched_since > earliest and len(found.entries) < limit:
        left = give_up - monotonic()
        if left < _LEAST:
            found.partial = True
            break
        room = found.searched_since - earliest
        since = found.searched_since - min(window, room)
        part = replace(query, since=since, until=found.searched_since)
        if _read(storage, part, found, limit, monotonic() + left / 2):
            found.searched_since = since
            window *= 2
        else:
            window = min(window, room) / _FRACTION
    found.more = len(found.entries) > limit or found.searched_since > earliest
    del found.entries[limit:]
    return found


def _read(storage: ProfileStorage, part: ProfileQuery, found: Newest, limit: int, give_up: float) -> bool:
    """Add the newest of one window to what is found; add nothing and return False if there is no time for all of it."""
    problems: list[str] = []
    last: deque[ProfileEntry] = deque(maxlen=limit - len(found.entries) + 1)
    for entry in storage.scan(part, on_problem=lambda key, _: problems.append(key)):
        last.append(entry)
        if monotonic() > give_up:
            return False
    found.entries += reversed(last)
    found.problems += len(problems)
    return True
