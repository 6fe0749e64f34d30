"""`ObjectStorage`: profiles and rollups in anything that keeps bytes under keys."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator
from datetime import datetime

from profkit_storage.base import (
    ProblemHandler,
    ProfileEntry,
    ProfileQuery,
    ProfileStorage,
    log_problem,
    log_rollup_problem,
)
from profkit_storage.codec import HEADER_SIZE, MAX_SIZE, decode, decode_rollups, encode, encode_rollups
from profkit_storage.errors import CorruptProfile, ProfileNotFound, StorageError
from profkit_storage.keys import (
    LAYOUT,
    ROLLUP_LAYOUT,
    hour_prefix,
    parse_key,
    parse_rollup_key,
    profile_entry,
    rollup_key,
)
from profkit_storage.matching import KeyFilter
from profkit_storage.names import escape_name
from profkit_storage.objects import Hour, ObjectStore, StoredObject
from profkit_storage.profile import Profile, Status
from profkit_storage.rollup import CorruptRollups, RollupSet
from profkit_storage.ulid import ulid_milliseconds

_READ_ATTEMPTS = 3
_Found = tuple[ProfileEntry, int]
"""An entry, and when it was written."""


class ObjectStorage(ProfileStorage):
    """The store in `objects` (see `keys` for what lies where).

    Of one id under two keys (a writer died while replacing it, or two wrote at once) the one that is finished, or
    newer, counts.
    """

    def __init__(self, objects: ObjectStore) -> None:
        self.objects = objects

    @property
    def url(self) -> str:
        return self.objects.url

    def check_writable(self) -> None:
        self.objects.check_writable()

    def close(self) -> None:
        self.objects.close()

    def put(self, profile: Profile) -> ProfileEntry:
        data = encode(profile)
        entry = profile_entry(profile, len(data))
        # Looked up before the new one is there: two writers of one id must not remove each other's.
        earlier = self._find(entry.id, escape_name(profile.service))
        if profile.status is Status.RUNNING:  # come late, from a spool: it replaces no finished one
            finished = [other for other in earlier if other.status is not Status.RUNNING]
            if finished:
                return finished[0]
        self.objects.write(entry.key, data)
        for other in earlier:
            if other.key != entry.key:
                # The new one is safe, and counts before an older one that cannot be removed.
                with contextlib.suppress(StorageError):
                    self.objects.remove(other.key)
        return entry

    def load(self, id: str) -> Profile:
        for _ in range(_READ_ATTEMPTS):
            found = self._find(id)
            if not found:
                break
            data = self._read(found[0])
            if data is not None:
                return _decoded(data, found[0])
        raise ProfileNotFound(f"no profile {id!r} in {self.url}")

    def load_entry(self, entry: ProfileEntry) -> Profile:
        data = self._read(entry) if parse_key(entry.key, entry.size) == entry else None
        return self.load(entry.id) if data is None else _decoded(data, entry)

    def scan(
        self, query: ProfileQuery | None = None, *, on_problem: ProblemHandler = log_problem
    ) -> Iterator[ProfileEntry]:
        wanted = KeyFilter(query)
        hours = self.objects.hours(LAYOUT, wanted, on_problem)
        return self._entries(hours, wanted, on_problem)

    def delete(self, id: str) -> bool:
        # Every object of the id, or what a dead writer left behind it would come to light.
        return self.objects.remove_all(entry.key for entry in self._find(id)) > 0

    def delete_entries(self, entries: Iterable[ProfileEntry]) -> int:
        return self.objects.remove_all(entry.key for entry in entries)

    def delete_rollups(self, until: datetime, *, dry_run: bool = False) -> int:
        wanted = KeyFilter(ProfileQuery(until=until))
        count = 0
        for _, objects in self.objects.hours(ROLLUP_LAYOUT, wanted, lambda _key, _reason: None):
            keys = [
                one.key
                for one in objects
                if (id := parse_rollup_key(one.key)) and wanted.overlaps(ulid_milliseconds(id), 1)
            ]
            count += len(keys) if dry_run else self.objects.remove_all(keys)
        return count

    def put_rollup(self, rollups: RollupSet) -> str:
        data = encode_rollups(rollups)
        key = rollup_key(rollups)
        self.objects.write(key, data)
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
        hours = self.objects.hours(ROLLUP_LAYOUT, wanted, on_problem)
        return self._rollups(hours, wanted, on_problem)

    def _entries(
        self, hours: Iterable[Hour], wanted: KeyFilter, on_problem: ProblemHandler
    ) -> Iterator[ProfileEntry]:
        for _, objects in hours:
            best: dict[str, _Found] = {}
            for found in _profiles(objects, on_problem):
                id = found[0].id
                if id not in best or _rank(best[id]) < _rank(found):
                    best[id] = found
            yield from filter(wanted.matches, (best[id][0] for id in sorted(best)))

    def _rollups(
        self, hours: Iterable[Hour], wanted: KeyFilter, on_problem: ProblemHandler
    ) -> Iterator[RollupSet]:
        for _, objects in hours:
            for id, key in sorted(_rollup_keys(objects, on_problem)):
                if wanted.overlaps(ulid_milliseconds(id), 1) and wanted.takes_service(key):
                    rollups = self._read_rollups(id, key, on_problem)
                    if rollups is not None:
                        yield rollups

    def _read_rollups(self, id: str, key: str, on_problem: ProblemHandler) -> RollupSet | None:
        try:
            data = self.objects.read(key, MAX_SIZE)
            rollups = None if data is None else decode_rollups(data, key)
        except CorruptRollups as error:
            on_problem(key, error.reason)
            return None
        except StorageError as error:
            on_problem(key, str(error))
            return None
        if rollups is not None and rollups.id != id:
            on_problem(key, f"holds other rollups, {rollups.id}")
            return None
        return rollups

    def _find(self, id: str, service: str | None = None) -> list[ProfileEntry]:
        """Return every object of this id, whatever its size, the best first; perhaps only those of a service."""
        hour = hour_prefix(id)
        if hour is None:
            return []
        found = [(parse_key(one.key, one.size), one.modified) for one in self.objects.find(hour, id, service)]
        known = [(entry, modified) for entry, modified in found if entry]
        return [entry for entry, _ in sorted(known, key=_rank, reverse=True)]

    def _read(self, entry: ProfileEntry) -> bytes | None:
        """Return an object's bytes; None if it was replaced or removed since it was listed."""
        if entry.size > MAX_SIZE:
            raise CorruptProfile(entry.key, f"{entry.size} bytes, too long for a profile")
        return self.objects.read(entry.key, MAX_SIZE)


def _profiles(objects: Iterable[StoredObject], on_problem: ProblemHandler) -> Iterator[_Found]:
    for one in objects:
        entry = parse_key(one.key, one.size)
        reason = _wrong(one.size, "profile", named=entry is not None)
        if reason:
            on_problem(printable(one.key), reason)
        elif entry:
            yield entry, one.modified


def _rollup_keys(objects: Iterable[StoredObject], on_problem: ProblemHandler) -> Iterator[tuple[str, str]]:
    for one in objects:
        id = parse_rollup_key(one.key)
        reason = _wrong(one.size, "set of rollups", named=id is not None)
        if reason:
            on_problem(printable(one.key), reason)
        elif id:
            yield id, one.key


def printable(key: str) -> str:
    """Return a key as it may be logged: a foreign name may hold anything, and must stay on its line."""
    return key if key.isprintable() else ascii(key)[1:-1]


def _wrong(size: int, kind: str, *, named: bool) -> str:
    if not named:
        return f"not named as a {kind} is"
    if size <= HEADER_SIZE:
        return f"{size} bytes, too short for a {kind}"
    if size > MAX_SIZE:
        return f"{size} bytes, too long for a {kind}"
    return ""


def _rank(found: _Found) -> tuple[bool, int, str]:
    entry, modified = found
    return entry.status is not Status.RUNNING, modified, entry.key


def _decoded(data: bytes, entry: ProfileEntry) -> Profile:
    profile = decode(data, entry.key)
    if profile.id != entry.id:
        raise CorruptProfile(entry.key, f"holds another profile, {profile.id}")
    return profile
