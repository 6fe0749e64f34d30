"""`LocalStorage`: profiles and rollups as files below a directory, written by many processes at once."""

from __future__ import annotations

import contextlib
import errno
import os
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

from profkit_storage import files
from profkit_storage.base import (
    ProblemHandler,
    ProfileEntry,
    ProfileQuery,
    ProfileStorage,
    log_problem,
    log_rollup_problem,
)
from profkit_storage.codec import MAX_SIZE, decode, decode_rollups, encode, encode_rollups
from profkit_storage.errors import ConfigurationError, CorruptProfile, ProfileNotFound, StorageError
from profkit_storage.keys import LAYOUT, ROLLUP_LAYOUT, parse_key, parse_rollup_key, profile_entry, rollup_key
from profkit_storage.listing import Listing, find_id, visible
from profkit_storage.matching import KeyFilter
from profkit_storage.profile import Profile
from profkit_storage.rollup import CorruptRollups, RollupSet

_READ_ATTEMPTS = 3
_INCOMING = ".incoming"
_ADVICE = {
    errno.EACCES: "let this process's user write there, or name another directory",
    errno.EPERM: "let this process's user write there, or name another directory",
    errno.EROFS: "name a directory on a file system that can be written",
    errno.ENOSPC: "make room there, or name another directory",
    errno.EDQUOT: "make room there, or name another directory",
}


class LocalStorage(ProfileStorage):
    """The store in a directory (see `keys` for what lies where); what it makes is private to its user.

    Each is written beside the others, brought down to the disk and renamed, so it is there whole or not at all.
    With `create`, the directory is made if it is missing, and tried by writing to it. Without, it must exist, and
    need only be readable.

    Raises:
        ConfigurationError: `path` is empty or names something that is no directory.
        StorageError: it cannot be made or written, or is missing.
    """

    def __init__(self, path: str | os.PathLike[str], *, create: bool = True) -> None:
        self._root = _absolute(path)
        # All in one place, so that what killed writers leave is found without a walk through every hour.
        self._incoming = self._root / LAYOUT / _INCOMING
        self._swept = -files.STALE_SECONDS
        if create:
            self.check_writable()
        elif not self._root.is_dir():
            raise StorageError(f"{self._root}: no such directory")

    @property
    def path(self) -> Path:
        """The directory."""
        return self._root

    @property
    def url(self) -> str:
        return self._root.as_uri()

    def check_writable(self) -> None:
        self._refuse_link(f"{LAYOUT}/{_INCOMING}")
        try:
            files.remove(files.write_temporary(self._incoming, b"profkit tries whether it can write here"))
        except OSError as error:
            raise _storage_error(self._root, "cannot be written", error) from error
        self._sweep()

    def put(self, profile: Profile) -> ProfileEntry:
        data = encode(profile)
        entry = profile_entry(profile, len(data))
        self._prepare(entry.key)
        # Looked up before the new one is there: two writers of one id must not remove each other's.
        earlier = self._find(entry.id)
        self._write(entry.key, data, LAYOUT)
        for other in earlier:
            if other.key != entry.key:
                # The new one is safe, and counts before an older one that cannot be removed.
                with contextlib.suppress(OSError):
                    self._remove(other)
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
        listing = Listing(self._root, on_problem)
        return listing.entries(self._dates(LAYOUT), wanted)

    def delete(self, id: str) -> bool:
        removed = False
        # Every file of the id, or what a dead writer left behind it would come to light.
        for entry in self._find(id):
            try:
                removed |= self._remove(entry)
            except OSError as error:
                raise _storage_error(self._root / entry.key, "cannot be removed", error) from error
        return removed

    def put_rollup(self, rollups: RollupSet) -> str:
        data = encode_rollups(rollups)
        key = rollup_key(rollups)
        self._prepare(key)
        self._write(key, data, ROLLUP_LAYOUT)
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
        listing = Listing(self._root, on_problem)
        return self._rollups(listing, listing.rollups(self._dates(ROLLUP_LAYOUT), wanted))

    def _rollups(self, listing: Listing, keys: Iterator[str]) -> Iterator[RollupSet]:
        for key in keys:
            try:
                linked = files.find_link(self._root, key)
                data = None if linked else files.read_regular(self._root / key, MAX_SIZE)
                rollups = None if data is None else decode_rollups(data, key)
            except OSError as error:
                listing.problem(key, error.strerror or str(error))
            except CorruptRollups as error:
                listing.problem(key, error.reason)
            else:
                if rollups is None:  # removed since it was listed
                    continue
                if rollups.id == parse_rollup_key(key):
                    yield rollups
                else:
                    listing.problem(key, f"holds other rollups, {rollups.id}")

    def _prepare(self, key: str) -> None:
        """Make ready to write what will have this key."""
        self._refuse_link(f"{LAYOUT}/{_INCOMING}")
        self._refuse_link(key.rpartition("/")[0])
        self._sweep()

    def _write(self, key: str, data: bytes, layout: str) -> None:
        path = self._root / key
        try:
            files.move_into_place(files.write_temporary(self._incoming, data), path)
        except OSError as error:
            files.remove_empty(path.parent, self._root / layout)
            raise _storage_error(path, "cannot be written", error) from error

    def _dates(self, layout: str) -> list[str]:
        """Return the names of the directories below `rollups/v1` or `profiles/v1`, none where there is neither."""
        try:
            link = files.find_link(self._root, layout)
            if link:
                raise StorageError(f"{link}: is a link, not a directory, and is not followed")
            return visible(self._root / layout)
        except FileNotFoundError:
            if not self._root.is_dir():
                raise StorageError(f"{self._root}: no such directory") from None
            return []
        except OSError as error:
            raise _storage_error(self._root, "cannot be read", error) from error

    def _find(self, id: str) -> list[ProfileEntry]:
        try:
            return find_id(self._root, id)
        except OSError as error:
            raise _storage_error(self._root, "cannot be read", error) from error

    def _read(self, entry: ProfileEntry) -> bytes | None:
        """Return a file's bytes; None if it was replaced or removed since it was listed."""
        if entry.size > MAX_SIZE:
            raise CorruptProfile(entry.key, f"{entry.size} bytes, too long for a profile")
        try:
            if files.find_link(self._root, entry.key):
                return None
            return files.read_regular(self._root / entry.key, MAX_SIZE)
        except OSError as error:
            raise _storage_error(self._root / entry.key, "cannot be read", error) from error

    def _refuse_link(self, key: str) -> None:
        """Refuse to write where a link would lead out of the store; its root may be one."""
        try:
            link = files.find_link(self._root, key)
        except OSError as error:
            raise _storage_error(self._root, "cannot be written", error) from error
        if link:
            raise StorageError(
                f"{link}: is a link, not a directory: put a directory there, or name another store"
            )

    def _remove(self, entry: ProfileEntry) -> bool:
        path = self._root / entry.key
        try:
            path.unlink()
        except FileNotFoundError:
            return False
        files.remove_empty(path.parent, self._root / LAYOUT)
        return True

    def _sweep(self) -> None:
        now = time.monotonic()
        if now - self._swept >= files.STALE_SECONDS:
            self._swept = now
            files.remove_stale(self._incoming)


def _absolute(path: str | os.PathLike[str]) -> Path:
    text = os.fspath(path)
    if not text or "\0" in text:
        raise ConfigurationError(f"storage directory {text!r}: must be the path of a directory")
    root = Path(text)
    try:
        root = root.absolute()
        foreign = root.exists() and not root.is_dir()
    except OSError as error:
        raise _storage_error(root, "cannot be looked at", error) from error
    if foreign:
        raise ConfigurationError(f"storage directory {text!r}: is no directory")
    return root


def _storage_error(path: Path, what: str, error: OSError) -> StorageError:
    advice = "" if what == "cannot be read" else _ADVICE.get(error.errno or 0, "")
    return StorageError(f"{path}: {what}: {error.strerror or error}{advice and f': {advice}'}")


def _decoded(data: bytes, entry: ProfileEntry) -> Profile:
    profile = decode(data, entry.key)
    if profile.id != entry.id:
        raise CorruptProfile(entry.key, f"holds another profile, {profile.id}")
    return profile
