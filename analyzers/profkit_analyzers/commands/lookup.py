"""From what a user types to one profile."""

from __future__ import annotations

import itertools
from datetime import UTC, datetime, timedelta

from profkit_storage import Profile, ProfileNotFound, ProfileQuery, ProfileStorage, open_storage
from profkit_storage.ulid import LENGTH, is_ulid, ulid_milliseconds

_SHORTEST = 6
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MARGIN = timedelta(seconds=1)
_LATEST_MS = 253_370_764_800_000
"""The year 9999: what a `datetime` can hold, and the margin."""


def load_profile(id: str, store: str) -> Profile:
    """Return the profile with this id, or with the one id that begins with it (6 letters or more, in either case).

    Raises:
        ProfileNotFound: there is none, or several; the message names those.
        CorruptProfile: it is damaged.
    """
    with open_storage(store, create=False) as storage:
        return find_profile(id, store, storage)


def find_profile(id: str, store: str, storage: ProfileStorage) -> Profile:
    """Do so in a store that is open; `store` is what the user calls it."""
    wanted = id.strip().upper()
    return storage.load(wanted if is_ulid(wanted) else _completed(wanted, store, storage))


def is_prefix(text: str) -> bool:
    """Tell whether `text` could be an id, or the beginning of one that is long enough to look for."""
    wanted = text.strip().upper()
    first, last = wanted.ljust(LENGTH, "0"), wanted.ljust(LENGTH, "Z")
    return len(wanted) >= _SHORTEST and is_ulid(first) and is_ulid(last)


def _completed(prefix: str, store: str, storage: ProfileStorage) -> str:
    if not is_prefix(prefix):
        raise ProfileNotFound(
            f"no profile {prefix!r} in {store}: an id has {LENGTH} letters and digits; its first {_SHORTEST} or more do"
        )
    first, last = prefix.ljust(LENGTH, "0"), prefix.ljust(LENGTH, "Z")
    query = ProfileQuery(since=_time(first) - _MARGIN, until=_time(last) + _MARGIN)
    around = storage.scan(query, on_problem=_pass_over)
    matching = (entry.id for entry in around if entry.id.startswith(prefix))
    found = list(itertools.islice(matching, 4))
    if not found:
        raise ProfileNotFound(f"no profile {prefix!r} in {store}")
    if len(found) > 1:
        more = " and more" if len(found) > 3 else ""
        raise ProfileNotFound(f"id {prefix!r} is not unique in {store}: {', '.join(found[:3])}{more}")
    return found[0]


def _pass_over(_key: str, _reason: str) -> None:
    """Say nothing: who asks for one profile did not ask about others."""


def _time(ulid: str) -> datetime:
    """Return the time inside an id, where `datetime` can hold it."""
    return _EPOCH + timedelta(milliseconds=min(ulid_milliseconds(ulid), _LATEST_MS))
