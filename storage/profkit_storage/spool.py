"""`Spool`: profiles and rollups that a store could not take, in a directory, until it can."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import hashlib
import os
import secrets
import stat
import tempfile
import time
from collections import Counter
from collections.abc import Generator
from pathlib import Path
from typing import NamedTuple

from profkit_storage import files
from profkit_storage.base import Amount, ProfileStorage
from profkit_storage.codec import MAX_SIZE, decode, decode_rollups, encode, encode_rollups
from profkit_storage.errors import CorruptProfile, StorageError, StoreUnavailable
from profkit_storage.profile import Profile
from profkit_storage.rollup import CorruptRollups, RollupSet

_PROFILE, _ROLLUPS, _DAMAGED = ".pkp", ".pkr", ".damaged"
_LOCK = ".lock"
_INCOMING = ".incoming"
_MOST_REFUSALS = 10
"""Items that a store may refuse before it is left alone for this time: perhaps it takes none."""


class _Waiting(NamedTuple):
    """A file of the spool; its name begins with the time of what is in it."""

    name: str
    size: int
    written: float


class Spool:
    """At most `max_bytes` in `directory`, none older than `max_age` seconds; the oldest go first.

    Any number of processes may use one directory: a file is written whole or not at all, and goes once a store has it.
    `dropped` counts what went before that, by reason: `spool_full`, `spool_expired`, `spool_damaged` (kept as it is,
    under a name that ends in `.damaged`, until it is too old or in the way).
    """

    def __init__(
        self, directory: Path, *, max_bytes: int = 100_000_000, max_age: float = 7 * 86_400.0
    ) -> None:
        self.directory = directory
        self.max_bytes = max_bytes
        self.max_age = max_age
        self.dropped: Counter[str] = Counter()
        self._refused = set[str]()  # names of what a store that took others did not take

    def check_possible(self) -> None:
        """Look whether the directory could be made and written, without making it before it is needed.

        Raises:
            StorageError: it could not.
        """
        try:
            there = next(path for path in (self.directory, *self.directory.parents) if path.exists())
            if not there.is_dir():
                raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
            if not os.access(there, os.W_OK | os.X_OK):
                raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))
        except OSError as error:
            raise self._unwritable(error) from error

    def keep(self, item: Profile | RollupSet) -> int:
        """Put an item aside; return its size in bytes.

        Raises:
            StorageError: it cannot be encoded or written, or is larger than the spool.
        """
        data = encode(item) if isinstance(item, Profile) else encode_rollups(item)
        if len(data) > self.max_bytes:
            raise StorageError(f"{len(data)} bytes, more than the spool may hold ({self.max_bytes})")
        suffix = _PROFILE if isinstance(item, Profile) else _ROLLUPS
        # A name for each time: what replaces another must not be taken for it by who is delivering that.
        path = self.directory / f"{item.id}.{secrets.token_hex(4)}{suffix}"
        self._prepare()
        self._make_room(len(data))
        try:
            files.move_into_place(files.write_temporary(self.directory / _INCOMING, data), path)
        except OSError as error:
            raise self._unwritable(error) from error
        self._replace(item.id, path.name)
        return len(data)

    def deliver(self, storage: ProfileStorage, *, seconds: float = 1.0) -> int:
        """Put what waits into `storage`, the oldest first, for about `seconds`; return how many items it took.

        None while another process delivers. An item that it refuses, while it can be reached, stays and does not keep
        the others: the next time it comes last.

        Raises:
            StorageError: it took none, or the directory is another user's, who may have put anything there.
            StoreUnavailable, or whatever else `storage` raises: it could not take one; that and those after it stay.
        """
        self._check_private()
        delivered = 0
        refusals: list[StorageError] = []
        until = time.monotonic() + seconds
        with self._lock() as locked:
            if not locked:
                return 0
            waiting = self._list()
            self._refused.intersection_update(one.name for one in waiting)
            for one in sorted(waiting, key=lambda one: (one.name in self._refused, one.name)):
                if time.monotonic() >= until or len(refusals) >= _MOST_REFUSALS:
                    break
                try:
                    delivered += self._deliver(one, storage)
                except StoreUnavailable:
                    raise
                except StorageError as error:
                    self._refused.add(one.name)
                    refusals.append(error)
        if refusals and not delivered:
            raise refusals[0]
        return delivered

    def discard(self, id: str) -> bool:
        """Forget the item with this id; False if it does not wait here."""
        removed = [files.remove(self.directory / one.name) for one in self._list() if _id_of(one) == id]
        return any(removed)

    def waiting(self) -> Amount:
        """Count what waits to be delivered."""
        found = self._list()
        return Amount(len(found), sum(one.size for one in found))

    def _deliver(self, waiting: _Waiting, storage: ProfileStorage) -> int:
        path = self.directory / waiting.name
        if self._is_expired(waiting):
            self._drop(waiting, "spool_expired")
            return 0
        try:
            data = files.read_regular(path, MAX_SIZE)
            if data is None:
                return 0
            if waiting.name.endswith(_PROFILE):
                storage.put(decode(data, waiting.name))
            else:
                storage.put_rollup(decode_rollups(data, waiting.name))
        except (CorruptProfile, CorruptRollups):
            self.dropped["spool_damaged"] += 1
            with contextlib.suppress(OSError):
                path.rename(f"{path}{_DAMAGED}")
            return 0
        except OSError as error:
            raise StorageError(
                f"spool {self.directory}: cannot be read: {error.strerror or error}"
            ) from error
        files.remove(path)
        return 1

    def _unwritable(self, error: OSError) -> StorageError:
        return StorageError(f"spool {self.directory}: cannot be written: {error.strerror or error}")

    def _replace(self, id: str, name: str) -> None:
        """Remove earlier states of what has just been written."""
        for one in self._list():
            if _id_of(one) == id and one.name != name:
                files.remove(self.directory / one.name)

    def _is_expired(self, waiting: _Waiting) -> bool:
        return waiting.written < time.time() - self.max_age

    def _drop(self, waiting: _Waiting, reason: str) -> None:
        if files.remove(self.directory / waiting.name) and not waiting.name.endswith(_DAMAGED):
            self.dropped[reason] += 1

    def _make_room(self, size: int) -> None:
        found = self._list(damaged=True)
        left = sum(one.size for one in found) + size
        # Damaged ones first, then the oldest.
        for one in sorted(found, key=lambda one: (not one.name.endswith(_DAMAGED), one.name)):
            expired = self._is_expired(one)
            if expired or left > self.max_bytes:
                self._drop(one, "spool_expired" if expired else "spool_full")
                left -= one.size

    def _list(self, *, damaged: bool = False) -> list[_Waiting]:
        """Return the files that wait, the oldest first."""
        endings = (_PROFILE, _ROLLUPS, _DAMAGED) if damaged else (_PROFILE, _ROLLUPS)
        found: list[_Waiting] = []
        with contextlib.suppress(OSError), os.scandir(self.directory) as entries:
            for entry in entries:
                if entry.name.endswith(endings) and not entry.name.startswith("."):
                    with contextlib.suppress(OSError):
                        status = entry.stat(follow_symlinks=False)
                        if stat.S_ISREG(status.st_mode):
                            found.append(_Waiting(entry.name, status.st_size, status.st_mtime))
        return sorted(found)

    def _prepare(self) -> None:
        """Make the directory, private to this user; refuse one that is another's."""
        try:
            files.make_directories(self.directory)
        except OSError as error:
            raise StorageError(
                f"spool {self.directory}: cannot be made: {error.strerror or error}"
            ) from error
        self._check_private()
        files.remove_stale(self.directory / _INCOMING)

    def _check_private(self) -> None:
        """Refuse a directory that another user may have put something into; one that is missing is none."""
        try:
            status = os.lstat(self.directory)
        except OSError:
            return
        foreign = hasattr(os, "geteuid") and status.st_uid != os.geteuid()
        if not stat.S_ISDIR(status.st_mode) or foreign or status.st_mode & stat.S_IWOTH:
            raise StorageError(
                f"spool {self.directory}: must be a directory of this user that nobody else may write to"
            )

    @contextlib.contextmanager
    def _lock(self) -> Generator[bool, None, None]:
        """Keep other processes from delivering at the same time; the lock ends with the process at the latest."""
        try:
            descriptor = os.open(
                self.directory / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600
            )
        except OSError:
            yield self.directory.is_dir()  # a full disk must not keep it from getting empty
            return
        try:
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError as error:
                yield error.errno not in {errno.EWOULDBLOCK, errno.EACCES}
                return
            yield True
        finally:
            os.close(descriptor)


def _id_of(waiting: _Waiting) -> str:
    return waiting.name.partition(".")[0]


def spool_directory(url: str, below: Path | None = None) -> Path:
    """Return where what the store at `url` cannot take waits: below a directory of this user in the temporary one."""
    user = os.geteuid() if hasattr(os, "geteuid") else os.environ.get("USERNAME", "user")
    below = below or Path(tempfile.gettempdir()) / f"profkit-spool-{user}"
    return below / hashlib.blake2b(url.encode(), digest_size=10).hexdigest()
