"""What lies in a directory of stored profiles, hour by hour, without opening a file."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path

from profkit_storage.base import ProblemHandler, ProfileEntry
from profkit_storage.codec import HEADER_SIZE, MAX_SIZE
from profkit_storage.files import find_link
from profkit_storage.keys import (
    DAY_MS,
    HOUR_MS,
    LAYOUT,
    hour_prefix,
    is_service,
    parse_date,
    parse_hour,
    parse_key,
)
from profkit_storage.matching import KeyFilter
from profkit_storage.profile import Status

_Found = tuple[ProfileEntry, int]


class Listing:
    """One look through the store at `root`.

    Names that begin with a dot are passed over. Everything else that does not belong is passed to `on_problem`; what
    vanishes while it is looked at is not there. No link below the root is followed.
    """

    def __init__(self, root: Path, on_problem: ProblemHandler) -> None:
        self._root = root
        self._on_problem = on_problem

    def entries(self, dates: Iterable[str], wanted: KeyFilter) -> Iterator[ProfileEntry]:
        """Yield what is wanted from these directories of `LAYOUT`, in order; one hour is held at a time."""
        for date in dates:
            day = parse_date(date)
            if day is None:
                self._problem(f"{LAYOUT}/{date}", "no date=YYYY-MM-DD directory")
            elif wanted.overlaps(day, DAY_MS):
                yield from self._day(f"{LAYOUT}/{date}", day, wanted)

    def hour(self, key: str, service: str | None = None) -> list[ProfileEntry]:
        """Return the profiles below an hour's directory in order, of one service if given.

        Of one id under two keys (a writer died while replacing it) the one that is finished, or newer, is returned.
        """
        best: dict[str, _Found] = {}
        for directory in self._names(key):
            if not is_service(directory):
                self._problem(f"{key}/{directory}", "no service=NAME directory")
            elif service is None or directory == f"service={service}":
                for found in self._files(f"{key}/{directory}"):
                    id = found[0].id
                    if id not in best or _rank(best[id]) < _rank(found):
                        best[id] = found
        return [best[id][0] for id in sorted(best)]

    def _day(self, key: str, day: int, wanted: KeyFilter) -> Iterator[ProfileEntry]:
        for name in self._names(key):
            hour = parse_hour(name)
            if hour is None:
                self._problem(f"{key}/{name}", "no hour=HH directory")
            elif wanted.overlaps(day + hour, HOUR_MS):
                yield from filter(wanted.matches, self.hour(f"{key}/{name}", wanted.service))

    def _files(self, key: str) -> Iterator[_Found]:
        for name in self._names(key):
            path = f"{key}/{name}"
            try:
                status = os.lstat(self._root / path)
            except FileNotFoundError:
                continue
            except OSError as error:
                self._problem(path, error.strerror or str(error))
                continue
            entry = parse_key(path, status.st_size)
            reason = _wrong(entry, status)
            if reason:
                self._problem(path, reason)
            elif entry:
                yield entry, status.st_mtime_ns

    def _names(self, key: str) -> list[str]:
        try:
            if stat.S_ISLNK(os.lstat(self._root / key).st_mode):
                self._problem(key, "a link, not a directory")
                return []
            return visible(self._root / key)
        except FileNotFoundError:
            return []
        except OSError as error:
            self._problem(key, error.strerror or str(error))
            return []

    def _problem(self, key: str, reason: str) -> None:
        # A foreign name may hold anything; in a log it must stay on its line.
        self._on_problem(key if key.isprintable() else ascii(key)[1:-1], reason)


def visible(directory: Path) -> list[str]:
    """Return the names in a directory in order, but for those that begin with a dot."""
    return sorted(name for name in _names(directory) if not name.startswith("."))


def find_id(root: Path, id: str) -> list[ProfileEntry]:
    """Return every file of this id, whatever its size, the best first; an `OSError` if it cannot be told.

    What lies behind a link below `root` is not in the store.
    """
    prefix = hour_prefix(id)
    if prefix is None or find_link(root, prefix):
        return []
    found: list[_Found] = []
    for directory in filter(is_service, _names_if_any(root / prefix)):
        if (root / prefix / directory).is_symlink():
            continue
        for name in _names_if_any(root / prefix / directory):
            if name.startswith(id):
                found.extend(_found(root, f"{prefix}/{directory}/{name}"))
    return [entry for entry, _ in sorted(found, key=_rank, reverse=True)]


def _names(directory: Path) -> list[str]:
    return os.listdir(directory)  # noqa: PTH208 - a Path for each of many thousand names costs more than the listing


def _names_if_any(directory: Path) -> list[str]:
    try:
        return _names(directory)
    except (FileNotFoundError, NotADirectoryError):
        return []


def _found(root: Path, key: str) -> Iterator[_Found]:
    try:
        status = os.lstat(root / key)
    except FileNotFoundError:
        return
    entry = parse_key(key, status.st_size)
    if entry and stat.S_ISREG(status.st_mode):
        yield entry, status.st_mtime_ns


def _wrong(entry: ProfileEntry | None, status: os.stat_result) -> str:
    if not stat.S_ISREG(status.st_mode):
        return "not a regular file"
    if entry is None:
        return "not named as a profile is"
    if status.st_size <= HEADER_SIZE:
        return f"{status.st_size} bytes, too short for a profile"
    if status.st_size > MAX_SIZE:
        return f"{status.st_size} bytes, too long for a profile"
    return ""


def _rank(found: _Found) -> tuple[bool, int, str]:
    entry, written = found
    return entry.status is not Status.RUNNING, written, entry.key
