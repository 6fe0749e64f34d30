"""`MemoryStorage`: profiles and rollups in this process's memory, for tests and for trying things out."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from datetime import datetime
from weakref import WeakValueDictionary

from profkit_storage.base import (
    ProblemHandler,
    ProfileEntry,
    ProfileQuery,
    ProfileStorage,
    log_problem,
    log_rollup_problem,
)
from profkit_storage.codec import decode, decode_rollups, encode, encode_rollups
from profkit_storage.errors import ProfileNotFound
from profkit_storage.keys import profile_entry, rollup_key
from profkit_storage.matching import KeyFilter
from profkit_storage.profile import Profile
from profkit_storage.rollup import CorruptRollups, RollupSet
from profkit_storage.ulid import ulid_milliseconds

_by_name: WeakValueDictionary[str, MemoryStorage] = WeakValueDictionary()
_named: dict[str, MemoryStorage] = {}


class MemoryStorage(ProfileStorage):
    """Keeps encoded profiles and rollups, without a bound, while it lives; its address works in this process only."""

    def __init__(self) -> None:
        # One step on one dict at a time, each of them atomic: no lock that a fork could leave held.
        self._stored: dict[str, tuple[ProfileEntry, bytes]] = {}
        self._rollups: dict[tuple[str, str], bytes] = {}
        self._name = secrets.token_hex(8)
        _by_name[self._name] = self

    @classmethod
    def named(cls, name: str) -> MemoryStorage:
        """Return the store of this name, a new one at first; it lives as long as the process."""
        store = _by_name.get(name)
        if store is None:
            store = cls()
            store._name = name
            store = _named.setdefault(name, store)
            _by_name[name] = store
        return store

    @property
    def url(self) -> str:
        return f"memory://{self._name}"

    def put(self, profile: Profile) -> ProfileEntry:
        data = encode(profile)
        entry = profile_entry(profile, len(data))
        self._stored[entry.id] = entry, data
        return entry

    def load(self, id: str) -> Profile:
        stored = self._stored.get(id)
        if stored is None:
            raise ProfileNotFound(f"no profile {id!r} in {self.url}")
        entry, data = stored
        return decode(data, entry.key)

    def scan(
        self,
        query: ProfileQuery | None = None,
        *,
        on_problem: ProblemHandler = log_problem,  # noqa: ARG002 - nothing foreign gets in here
    ) -> Iterator[ProfileEntry]:
        wanted = KeyFilter(query)
        stored = self._stored.copy()
        return (stored[id][0] for id in sorted(stored) if wanted.matches(stored[id][0]))

    def delete(self, id: str) -> bool:
        return self._stored.pop(id, None) is not None

    def put_rollup(self, rollups: RollupSet) -> str:
        data = encode_rollups(rollups)
        key = rollup_key(rollups)
        self._rollups[rollups.id, key] = data
        return key

    def scan_rollups(
        self,
        *,
        since: datetime | None = None,
        until: datetime | None = None,
        service: str | None = None,
        on_problem: ProblemHandler = log_rollup_problem,
    ) -> Iterator[RollupSet]:
        wanted = KeyFilter(ProfileQuery(since=since, until=until, service=service))
        return _rollups(self._rollups.copy(), wanted, on_problem)


def _rollups(
    stored: dict[tuple[str, str], bytes], wanted: KeyFilter, on_problem: ProblemHandler
) -> Iterator[RollupSet]:
    for id, key in sorted(stored):
        if not wanted.overlaps(ulid_milliseconds(id), 1):
            continue
        if wanted.service is not None and f"/service={wanted.service}/" not in key:
            continue
        try:
            yield decode_rollups(stored[id, key], key)
        except CorruptRollups as error:
            on_problem(key, error.reason)
