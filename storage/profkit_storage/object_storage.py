"""`ObjectStorage`: profiles and rollups in anything that keeps bytes under keys, each by itself or in blocks."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from itertools import chain

from profkit_storage.base import (
    ProblemHandler,
    ProfileEntry,
    ProfileQuery,
    ProfileStorage,
    log_problem,
    log_rollup_problem,
)
from profkit_storage.blocks.catalog import Catalog, InBlock
from profkit_storage.blocks.layout import BLOCK_LAYOUT, PROFILES, ROLLUPS, hours_of_both
from profkit_storage.codec import HEADER_SIZE, MAX_SIZE, decode, decode_rollups, encode, encode_rollups
from profkit_storage.errors import CorruptProfile, ProfileNotFound, StorageError
from profkit_storage.keys import (
    LAYOUT,
    ROLLUP_LAYOUT,
    hour_name,
    hour_prefix,
    parse_key,
    parse_rollup_key,
    profile_entry,
    rollup_key,
)
from profkit_storage.matching import KeyFilter
from profkit_storage.names import escape_name, printable
from profkit_storage.objects import ObjectStore, StoredObject
from profkit_storage.profile import Profile, Status
from profkit_storage.rollup import CorruptRollups, RollupSet
from profkit_storage.ulid import ulid_milliseconds

_READ_ATTEMPTS = 3
_Found = tuple[ProfileEntry, int]
"""An entry, and when it (or what was compacted) was written."""

_Hours = Iterable[tuple[str, list[StoredObject], list[StoredObject]]]
"""Hours, the objects of their own, and those of their blocks."""


class ObjectStorage(ProfileStorage):
    """The store in `objects` (see `keys` for what lies where).

    Of one id under two keys (a writer died while replacing it, two wrote at once, or it has been compacted) the one
    that is finished, is no compacted one, or is newer counts, in this order.
    """

    def __init__(self, objects: ObjectStore) -> None:
        self.objects = objects
        self.blocks = Catalog(objects)

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
            finished = self._finished(entry.id, earlier)
            if finished:
                return finished
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
            if not found or found[0].status is Status.RUNNING:
                inside = self.blocks.find(
                    id
                )  # looked for after the original: that goes when the block is there
                if inside and (not found or inside.entry.status is not Status.RUNNING):
                    with contextlib.suppress(ProfileNotFound):
                        return self.blocks.profile(inside)
                    continue
            if not found:
                break
            data = self._read(found[0])
            if data is not None:
                return _decoded(data, found[0])
        raise ProfileNotFound(f"no profile {id!r} in {self.url}")

    def load_entry(self, entry: ProfileEntry, *, shared: bool = False) -> Profile:
        if entry.key.startswith(BLOCK_LAYOUT):
            inside = self.blocks.find_listed(entry.id, entry.key.split("/")[4].partition("=")[2])
            if inside:
                with contextlib.suppress(ProfileNotFound):  # compacted once more since then
                    return self.blocks.profile(inside, shared=shared)
        data = self._read(entry) if parse_key(entry.key, entry.size) == entry else None
        return self.load(entry.id) if data is None else _decoded(data, entry)

    def scan(
        self, query: ProfileQuery | None = None, *, on_problem: ProblemHandler = log_problem
    ) -> Iterator[ProfileEntry]:
        wanted = KeyFilter(query)
        return self._entries(self.hours(LAYOUT, wanted, on_problem), wanted, on_problem)

    def delete(self, id: str) -> bool:
        # Every object of the id, or what a dead writer left behind it would come to light.
        removed = self.objects.remove_all(entry.key for entry in self._find(id)) > 0
        # Only then marked in blocks: a compaction that could still read the original has announced its block by now.
        return self.blocks.bury(id) or removed

    def delete_entries(self, entries: Iterable[ProfileEntry]) -> int:
        hours: dict[str, list[ProfileEntry]] = {}
        for entry in entries:
            hours.setdefault(hour_name(ulid_milliseconds(entry.id)), []).append(entry)
        count = 0
        for hour, leaving in hours.items():
            ids = {entry.id for entry in leaving}
            # As `delete` does: every object of an id, or an earlier state would come to light.
            try:
                found = [parse_key(one.key, one.size) for one in self.objects.find(f"{LAYOUT}/{hour}", "")]
            except StorageError:  # a directory of another user must not keep the others' profiles
                found = [entry for entry in leaving if entry.key.startswith(LAYOUT)]
            keys = {entry.key: entry.id for entry in found if entry and entry.id in ids}
            count += len(self._let_go(hour, PROFILES, keys, ids))
        return count

    def delete_rollups(self, until: datetime, *, dry_run: bool = False) -> int:
        wanted = KeyFilter(ProfileQuery(until=until))
        count = 0
        for hour, objects, blocks in self.hours(ROLLUP_LAYOUT, wanted, _pass_over):
            keys = {
                key: id
                for id, key in _rollup_keys(objects, _pass_over)
                if wanted.overlaps(ulid_milliseconds(id), 1)
            }
            ids = {
                id
                for id, _ in self.blocks.listed(blocks, ROLLUPS, _pass_over)
                if wanted.overlaps(ulid_milliseconds(id), 1)
            }
            ids.update(keys.values())
            count += len(ids if dry_run else self._let_go(hour, ROLLUPS, keys, ids))
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
        return self._rollups(self.hours(ROLLUP_LAYOUT, wanted, on_problem), wanted, on_problem)

    def hours(self, layout: str, wanted: KeyFilter, on_problem: ProblemHandler) -> _Hours:
        """List the hours that may hold what is wanted, in order: each with the objects of `layout` and of its blocks.

        Raises:
            StorageError: the store cannot be read.
        """
        return hours_of_both(self.objects, self.objects.hours(layout, wanted, on_problem), wanted, on_problem)

    def _entries(
        self, hours: _Hours, wanted: KeyFilter, on_problem: ProblemHandler
    ) -> Iterator[ProfileEntry]:
        for _, objects, blocks in hours:
            best: dict[str, _Found] = {}
            for found in chain(_profiles(objects, on_problem), self.blocks.profiles(blocks, on_problem)):
                id = found[0].id
                if id not in best or rank(*best[id]) < rank(*found):
                    best[id] = found
            yield from filter(wanted.matches, (best[id][0] for id in sorted(best)))

    def _rollups(self, hours: _Hours, wanted: KeyFilter, on_problem: ProblemHandler) -> Iterator[RollupSet]:
        for _, objects, blocks in hours:
            found: dict[str, InBlock | str] = dict(self.blocks.listed(blocks, ROLLUPS, on_problem))
            found.update(_rollup_keys(objects, on_problem))
            for id, place in sorted(found.items(), key=_first):
                key = place if isinstance(place, str) else place.manifest.original_key(place.row)
                if wanted.overlaps(ulid_milliseconds(id), 1) and wanted.takes_service(key):
                    rollups = self._read_rollups(id, place, on_problem)
                    if rollups is not None:
                        yield rollups

    def _read_rollups(self, id: str, place: InBlock | str, on_problem: ProblemHandler) -> RollupSet | None:
        key = place if isinstance(place, str) else place.manifest.key
        try:
            rollups = self._load_rollups(id, place)
        except ProfileNotFound:
            return None
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

    def _load_rollups(self, id: str, place: InBlock | str) -> RollupSet | None:
        if not isinstance(place, str):
            return self.blocks.rollups(place)
        data = self.objects.read(place, MAX_SIZE)
        if data is not None:
            return decode_rollups(data, place)
        inside = self.blocks.find(id, ROLLUPS)  # compacted since it was listed
        return None if inside is None else self.blocks.rollups(inside)

    def _let_go(self, hour: str, kind: str, keys: Mapping[str, str], ids: set[str]) -> set[str]:
        """Remove what has these ids from an hour: its objects, ids by key, and what blocks hold; return those found.

        Blocks are listed last: a compaction that could still read an object has announced its block by then.
        """
        self.objects.remove_all(keys)
        blocks = self.objects.find(f"{BLOCK_LAYOUT}/{hour}", f"{kind}-")
        return {*keys.values(), *self.blocks.let_go(blocks, kind, ids)}

    def _finished(self, id: str, earlier: Iterable[ProfileEntry]) -> ProfileEntry | None:
        """Return what there is of a finished profile already."""
        for entry in earlier:
            if entry.status is not Status.RUNNING:
                return entry
        inside = self.blocks.find(id)
        return inside.entry if inside and inside.entry.status is not Status.RUNNING else None

    def _find(self, id: str, service: str | None = None) -> list[ProfileEntry]:
        """Return every object of this id, whatever its size, the best first; perhaps only those of a service."""
        hour = hour_prefix(id)
        if hour is None:
            return []
        found = [(parse_key(one.key, one.size), one.modified) for one in self.objects.find(hour, id, service)]
        known = [(entry, modified) for entry, modified in found if entry]
        return [entry for entry, _ in sorted(known, key=_ranked, reverse=True)]

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


def _wrong(size: int, kind: str, *, named: bool) -> str:
    if not named:
        return f"not named as a {kind} is"
    if size <= HEADER_SIZE:
        return f"{size} bytes, too short for a {kind}"
    if size > MAX_SIZE:
        return f"{size} bytes, too long for a {kind}"
    return ""


def rank(entry: ProfileEntry, modified: int) -> tuple[bool, bool, int, str]:
    """Return what is the greater, the more an entry counts among those of one id."""
    return entry.status is not Status.RUNNING, entry.key.startswith(LAYOUT), modified, entry.key


def _pass_over(key: str, reason: str) -> None:
    """Say nothing of what does not belong: scans do."""


def _ranked(found: _Found) -> tuple[bool, bool, int, str]:
    return rank(*found)


def _first(item: tuple[str, object]) -> str:
    return item[0]


def _decoded(data: bytes, entry: ProfileEntry) -> Profile:
    profile = decode(data, entry.key)
    if profile.id != entry.id:
        raise CorruptProfile(entry.key, f"holds another profile, {profile.id}")
    return profile
