"""What lies in a directory of stored profiles and rollups, hour by hour, without opening a file."""

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
    ROLLUP_LAYOUT,
    hour_prefix,
    is_service,
    parse_date,
    parse_hour,
    parse_key,
    parse_rollup_key,
)
from profkit_storage.matching import KeyFilter
from profkit_storage.profile import Status
from profkit_storage.ulid import ulid_milliseconds

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
        for hour in self._hours(LAYOUT, dates, wanted):
            yield from filter(wanted.matches, self.hour(hour, wanted.service))

    def rollups(self, dates: Iterable[str], wanted: KeyFilter) -> Iterator[str]:
        """Yield the keys of the wanted sets of rollups from these directories of `ROLLUP_LAYOUT`, as `entries` does."""
        for hour in self._hours(ROLLUP_LAYOUT, dates, wanted):
            found: list[tuple[str, str]] = []
            for directory in self._services(hour, wanted.service):
                found.extend(self._rollups(directory))
            for id, key in sorted(found):
                if wanted.overlaps(ulid_milliseconds(id), 1):
                    yield key

    def hour(self, key: str, service: str | None = None) -> list[ProfileEntry]:
        """Return the profiles below an hour's directory in order, of one service if given.

        Of one id under two keys (a writer died while replacing it) the one that is finished, or newer, is returned.
        """
        best: dict[str, _Found] = {}
        for directory in self._services(key, service):
            for found in self._profiles(directory):
                id = found[0].id
                if id not in best or _rank(best[id]) < _rank(found):
                    best[id] = found
        return [best[id][0] for id in sorted(best)]

    def _hours(self, layout: str, dates: Iterable[str], wanted: KeyFilter) -> Iterator[str]:
        for date in dates:
            day = parse_date(date)
            if day is None:
                self.problem(f"{layout}/{date}", "no date=YYYY-MM-DD directory")
            elif wanted.overlaps(day, DAY_MS):
                yield from self._day(f"{layout}/{date}", day, wanted)

    def _day(self, key: str, day: int, wanted: KeyFilter) -> Iterator[str]:
        for name in self._names(key):
            hour = parse_hour(name)
            if hour is None:
                self.problem(f"{key}/{name}", "no hour=HH directory")
            elif wanted.overlaps(day + hour, HOUR_MS):
                yield f"{key}/{name}"

    def _services(self, key: str, service: str | None) -> Iterator[str]:
        for directory in self._names(key):
            if not is_service(directory):
                self.problem(f"{key}/{directory}", "no service=NAME directory")
            elif service is None or directory == f"service={service}":
                yield f"{key}/{directory}"

    def _profiles(self, key: str) -> Iterator[_Found]:
        for path, status in self._files(key):
            entry = parse_key(path, status.st_size)
            reason = _wrong(status, "profile", named=entry is not None)
            if reason:
                self.problem(path, reason)
            elif entry:
                yield entry, status.st_mtime_ns

    def _rollups(self, key: str) -> Iterator[tuple[str, str]]:
        for path, status in self._files(key):
            id = parse_rollup_key(path)
            reason = _wrong(status, "set of rollups", named=id is not None)
            if reason:
                self.problem(path, reason)
            elif id:
                yield id, path

    def _files(self, key: str) -> Iterator[tuple[str, os.stat_result]]:
        for name in self._names(key):
            path = f"{key}/{name}"
            try:
                yield path, os.lstat(self._root / path)
            except FileNotFoundError:
                continue
            except OSError as error:
                self.problem(path, error.strerror or str(error))

    def _names(self, key: str) -> list[str]:
        try:
            if stat.S_ISLNK(os.lstat(self._root / key).st_mode):
                self.problem(key, "a link, not a directory")
                return []
            return visible(self._root / key)
        except FileNotFoundError:
            return []
        except OSError as error:
            self.problem(key, error.strerror or str(error))
            return []

    def problem(self, key: str, reason: str) -> None:
        """Report what does not belong, or cannot be read."""
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


def _wrong(status: os.stat_result, kind: str, *, named: bool) -> str:
    if not stat.S_ISREG(status.st_mode):
        return "not a regular file"
    if not named:
        return f"not named as a {kind} is"
    if status.st_size <= HEADER_SIZE:
        return f"{status.st_size} bytes, too short for a {kind}"
    if status.st_size > MAX_SIZE:
        return f"{status.st_size} bytes, too long for a {kind}"
    return ""


def _rank(found: _Found) -> tuple[bool, int, str]:
    entry, written = found
    return entry.status is not Status.RUNNING, written, entry.key
