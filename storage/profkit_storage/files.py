"""What is done with files: written whole or not at all, in directories that many make and clear."""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import stat
import time
from pathlib import Path

STALE_SECONDS = 3600.0
"""Age at which the temporary file of a writer that was killed may go."""

_ATTEMPTS = 50
_NO_FILE = {errno.ENOENT, errno.ELOOP, errno.EMLINK, errno.ENOTDIR}
_NO_DIRECTORY_SYNC = {errno.EINVAL, errno.ENOTSUP, errno.EBADF}


def write_temporary(directory: Path, data: bytes) -> Path:
    """Write `data` to a new private file in `directory`, down to the disk, and return it; leave nothing on failure."""
    path = directory / f"{os.getpid()}-{secrets.token_hex(8)}"
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_CLOEXEC", 0)
    for _ in range(_ATTEMPTS):
        make_directories(directory)
        try:
            descriptor = os.open(path, flags, 0o600)
            break
        except FileNotFoundError:
            continue  # somebody cleared the directory away in between
    else:
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(directory))
    try:
        try:
            view = memoryview(data)
            while view:
                view = view[os.write(descriptor, view) :]
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
    except BaseException:
        remove(path)
        raise
    return path


def move_into_place(temporary: Path, path: Path) -> None:
    """Rename `temporary` to `path`, making its directory; the temporary file is gone afterwards in any case.

    If it fails, `path` is as it was, or holds the new file where there was one before.
    """
    replaced = os.path.lexists(path)
    try:
        _replace(temporary, path)
    except BaseException:
        remove(temporary)
        raise
    try:
        sync_directory(path.parent)
    except OSError:
        # The earlier file is gone by now: removing the new one would lose the profile altogether.
        if not replaced:
            remove(path)
        raise


def _replace(temporary: Path, path: Path) -> None:
    for _ in range(_ATTEMPTS):
        make_directories(path.parent)
        try:
            temporary.replace(path)
        except FileNotFoundError:
            if not temporary.exists():
                raise
            continue  # somebody cleared the directory away in between
        return
    raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(path.parent))


def make_directories(directory: Path) -> None:
    """Make a private directory and what is missing above it.

    Others may clear it away at once: whoever goes on to use it must be ready to call this again.
    """
    if directory.is_dir():
        return
    for path in reversed([directory, *directory.parents]):
        if path.exists():
            continue
        try:
            path.mkdir(mode=0o700)
        except (FileExistsError, FileNotFoundError):
            continue  # another was faster, to make it or to clear away what is above
        sync_directory(path.parent)


def find_link(root: Path, key: str) -> Path | None:
    """Return the first link on the way from `root`, which may be one itself, down to `key`; None if there is none."""
    path = os.fspath(root)
    for name in key.split("/"):
        path = os.path.join(path, name)  # noqa: PTH118 - half of the time of Paths, for each part of each key
        try:
            if stat.S_ISLNK(os.lstat(path).st_mode):
                return Path(path)
        except (FileNotFoundError, NotADirectoryError):
            return None
    return None


def read_regular(path: Path, limit: int, *, own: bool = False) -> bytes | None:
    """Return a file's bytes, at most `limit` + 1; None if there is no regular file at `path` itself.

    With `own`, None also for one that is another user's, or that others may write.
    """
    flags = (
        os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    )
    try:
        descriptor = os.open(path, flags)
    except OSError as error:
        if error.errno in _NO_FILE:
            return None
        raise
    with os.fdopen(descriptor, "rb") as file:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode) or (own and not _is_own(status)):
            return None
        return file.read(min(status.st_size, limit) + 1)


def _is_own(status: os.stat_result) -> bool:
    if not hasattr(os, "geteuid"):  # Windows: a directory's rights decide there
        return True
    return status.st_uid == os.geteuid() and not status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)


def sync_directory(directory: Path) -> None:
    """Bring a directory's names down to the disk, where the file system can; one that is gone has none."""
    try:
        descriptor = os.open(directory, os.O_RDONLY)
    except FileNotFoundError:
        return
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in _NO_DIRECTORY_SYNC:
            raise
    finally:
        os.close(descriptor)


def remove(path: Path) -> bool:
    """Remove a file; False if it could not be, or was not there."""
    try:
        path.unlink()
    except OSError:
        return False
    return True


def remove_empty(directory: Path, above: Path) -> None:
    """Remove `directory` and what is above it, below `above`, as far as it is empty."""
    while directory != above:
        try:
            directory.rmdir()
        except FileNotFoundError:
            pass
        except OSError:
            return
        directory = directory.parent


def remove_stale(directory: Path) -> None:
    """Remove the temporary files in `directory` whose writers must have died."""
    oldest = time.time() - STALE_SECONDS
    with contextlib.suppress(OSError), os.scandir(directory) as entries:
        for entry in entries:
            with contextlib.suppress(OSError):
                if entry.stat(follow_symlinks=False).st_mtime < oldest:
                    Path(entry.path).unlink()
