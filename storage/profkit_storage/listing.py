"""What lies in a directory of objects, hour by hour, without opening a file."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Iterator
from pathlib import Path

from profkit_storage.base import ProblemHandler
from profkit_storage.files import find_link
from profkit_storage.keys import DAY_MS, HOUR_MS, is_service, parse_date, parse_hour
from profkit_storage.matching import KeyFilter
from profkit_storage.names import printable
from profkit_storage.objects import Hour, StoredObject

_LOOKS = 5
"""How often a directory is listed where files vanish: what is gone may have been replaced by one not listed yet."""


class Listing:
    """One look through what lies below `layout` in the directory `root`.

    Names that begin with a dot are passed over. Everything else that does not belong is passed to `on_problem`; what
    vanishes while it is looked at is not there. No link below the root is followed.
    """

    def __init__(self, root: Path, layout: str, on_problem: ProblemHandler) -> None:
        self._root = root
        self._layout = layout
        self._on_problem = on_problem

    def hours(self, dates: Iterable[str], wanted: KeyFilter) -> Iterator[Hour]:
        """Yield the hours of these directories, with the objects of the wanted service."""
        for date in dates:
            day = parse_date(date)
            if day is None:
                self._problem(f"{self._layout}/{date}", "no date=YYYY-MM-DD directory")
            elif wanted.overlaps(day, DAY_MS):
                for hour in self._day(date, day, wanted):
                    yield hour, list(self._objects(f"{self._layout}/{hour}", wanted.service))

    def _day(self, date: str, day: int, wanted: KeyFilter) -> Iterator[str]:
        for name in self._names(f"{self._layout}/{date}"):
            hour = parse_hour(name)
            if hour is None:
                self._problem(f"{self._layout}/{date}/{name}", "no hour=HH directory")
            elif wanted.overlaps(day + hour, HOUR_MS):
                yield f"{date}/{name}"

    def _objects(self, hour: str, service: str | None) -> Iterator[StoredObject]:
        for directory in self._names(hour):
            if not is_service(directory):
                self._problem(f"{hour}/{directory}", "no service=NAME directory")
            elif service is None or directory == f"service={service}":
                yield from self._files(f"{hour}/{directory}")

    def _files(self, key: str) -> Iterator[StoredObject]:
        seen = set[str]()
        for _ in range(_LOOKS):
            gone = False
            for name in self._names(key):
                if name in seen:
                    continue
                path = f"{key}/{name}"
                try:
                    status = os.lstat(self._root / path)
                except FileNotFoundError:
                    gone = True
                    continue
                except OSError as error:
                    self._problem(path, error.strerror or str(error))
                else:
                    if stat.S_ISREG(status.st_mode):
                        yield StoredObject(path, status.st_size, status.st_mtime_ns)
                    else:
                        self._problem(path, "not a regular file")
                seen.add(name)
            if not gone:
                return

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
        self._on_problem(printable(key), reason)


def visible(directory: Path) -> list[str]:
    """Return the names in a directory in order, but for those that begin with a dot."""
    return sorted(name for name in _names(directory) if not name.startswith("."))


def find_name(root: Path, hour: str, beginning: str) -> list[StoredObject]:
    """Return every regular file of an hour whose name begins so; an `OSError` if it cannot be told.

    What lies behind a link below `root` is not in the store.
    """
    found: list[StoredObject] = []
    for _ in range(_LOOKS):
        found, gone = _find_name(root, hour, beginning)
        if not gone:
            break
    return found


def _find_name(root: Path, hour: str, beginning: str) -> tuple[list[StoredObject], bool]:
    """Look once; tell whether something was gone when it was looked at."""
    found: list[StoredObject] = []
    gone = False
    for key in () if find_link(root, hour) else _keys(root, hour, beginning):
        try:
            status = os.lstat(root / key)
        except FileNotFoundError:
            gone = True
            continue
        if stat.S_ISREG(status.st_mode):
            found.append(StoredObject(key, status.st_size, status.st_mtime_ns))
    return found, gone


def _keys(root: Path, hour: str, beginning: str) -> Iterator[str]:
    for directory in filter(is_service, _names_if_any(root / hour)):
        if not (root / hour / directory).is_symlink():
            for name in _names_if_any(root / hour / directory):
                if name.startswith(beginning):
                    yield f"{hour}/{directory}/{name}"


def _names(directory: Path) -> list[str]:
    return os.listdir(directory)  # noqa: PTH208 - a Path for each of many thousand names costs more than the listing


def _names_if_any(directory: Path) -> list[str]:
    try:
        return _names(directory)
    except (FileNotFoundError, NotADirectoryError):
        return []
