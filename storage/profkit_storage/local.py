"""`LocalStorage`: profiles and rollups as files below a directory, written by many processes at once."""

from __future__ import annotations

import errno
import os
import time
from collections.abc import Iterator
from pathlib import Path

from profkit_storage import files
from profkit_storage.base import ProblemHandler
from profkit_storage.errors import ConfigurationError, StorageError
from profkit_storage.keys import LAYOUT
from profkit_storage.listing import Listing, find_name, visible
from profkit_storage.matching import KeyFilter
from profkit_storage.object_storage import ObjectStorage
from profkit_storage.objects import Hour, ObjectStore, StoredObject

_INCOMING = ".incoming"
_ADVICE = {
    errno.EACCES: "let this process's user write there, or name another directory",
    errno.EPERM: "let this process's user write there, or name another directory",
    errno.EROFS: "name a directory on a file system that can be written",
    errno.ENOSPC: "make room there, or name another directory",
    errno.EDQUOT: "make room there, or name another directory",
}


class LocalStorage(ObjectStorage):
    """The store in a directory; what it makes is private to its user.

    Each file is written beside the others, brought down to the disk and renamed, so it is there whole or not at all.
    With `create`, the directory is made if it is missing, and tried by writing to it. Without, it must exist, and
    need only be readable.

    Raises:
        ConfigurationError: `path` is empty or names something that is no directory.
        StorageError: it cannot be made or written, or is missing.
    """

    def __init__(self, path: str | os.PathLike[str], *, create: bool = True) -> None:
        root = _absolute(path)
        super().__init__(LocalObjects(root))
        self.path = root
        """The directory."""
        if create:
            self.check_writable()
        elif not root.is_dir():
            raise StorageError(f"{root}: no such directory")


class LocalObjects(ObjectStore):
    """Files below the directory `root`. No link below it is followed; it may be one itself."""

    def __init__(self, root: Path) -> None:
        self._root = root
        # All in one place, so that what killed writers leave is found without a walk through every hour.
        self._incoming = root / LAYOUT / _INCOMING
        self._swept = -files.STALE_SECONDS

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

    def hours(self, layout: str, wanted: KeyFilter, on_problem: ProblemHandler) -> Iterator[Hour]:
        return Listing(self._root, layout, on_problem).hours(self._dates(layout), wanted)

    def find(
        self,
        hour: str,
        id: str,
        service: str | None = None,  # noqa: ARG002 - to look at all of them costs little here
    ) -> list[StoredObject]:
        try:
            return find_name(self._root, hour, id)
        except OSError as error:
            raise _storage_error(self._root, "cannot be read", error) from error

    def read(self, key: str, limit: int) -> bytes | None:
        try:
            linked = files.find_link(self._root, key)
            return None if linked else files.read_regular(self._root / key, limit)
        except OSError as error:
            raise _storage_error(self._root / key, "cannot be read", error) from error

    def write(self, key: str, data: bytes) -> None:
        self._refuse_link(f"{LAYOUT}/{_INCOMING}")
        self._refuse_link(key.rpartition("/")[0])
        self._sweep()
        path = self._root / key
        try:
            files.move_into_place(files.write_temporary(self._incoming, data), path)
        except OSError as error:
            self._clear_away(key)
            raise _storage_error(path, "cannot be written", error) from error

    def remove(self, key: str) -> bool:
        path = self._root / key
        try:
            path.unlink()
        except FileNotFoundError:
            return False
        except OSError as error:
            raise _storage_error(path, "cannot be removed", error) from error
        self._clear_away(key)
        return True

    def _clear_away(self, key: str) -> None:
        """Remove the directories of an object that is not there any more, as far as they are empty."""
        layout = "/".join(key.split("/", 2)[:2])
        files.remove_empty((self._root / key).parent, self._root / layout)

    def _dates(self, layout: str) -> list[str]:
        """Return the names of the directories below a layout, none where there is no such layout."""
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

    def _refuse_link(self, key: str) -> None:
        """Refuse to write where a link would lead out of the store."""
        try:
            link = files.find_link(self._root, key)
        except OSError as error:
            raise _storage_error(self._root, "cannot be written", error) from error
        if link:
            raise StorageError(
                f"{link}: is a link, not a directory: put a directory there, or name another store"
            )

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
