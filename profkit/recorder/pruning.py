"""Lets go of what a local store holds for too long, or has no room for: a disk must never fill with profiles."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Callable
from time import monotonic

from profkit.config import Settings
from profkit.faults import Faults
from profkit.masking import masker
from profkit_storage import LocalStorage, ProfileStorage
from profkit_storage.retention import Pruned, Retention, prune

_FIRST_AFTER = 60.0
_EVERY = 3_600.0
_AT_ONCE = 1.0
"""Seconds that one go may take; there are others until it is done."""
_FREE = 0.05
"""Share of a disk that profiles leave free."""
_STAMP = ".pruned"


class Pruner:
    """Prunes a local store an hour after it did, as long as something is stored; one process of all that write there.

    Stores of other kinds have their own ways (`profkit prune`, a bucket's lifecycle rules).
    """

    def __init__(
        self,
        storage: ProfileStorage | None,
        settings: Settings,
        faults: Faults,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._storage = storage if isinstance(storage, LocalStorage) else None
        self._faults = faults
        self._clock = clock
        self._due: float | None = None
        self._retention: Retention | None = None
        age, size = settings.retain_age or None, settings.retain_bytes or None
        if age is not None or size is not None:
            self._retention = Retention(max_age=age, max_bytes=size)

    def expect(self) -> None:
        """Note that something has been stored."""
        if self._due is None and self._storage is not None and self._retention is not None:
            self._due = self._clock() + _FIRST_AFTER

    def seconds_left(self) -> float | None:
        """Return the seconds until `run` has something to do; None if nothing was stored since."""
        return None if self._due is None else max(0.0, self._due - self._clock())

    def run(self) -> None:
        """Prune for a second, if no other process has done so in the last hour."""
        storage, retention = self._storage, self._retention
        self._due = None
        if storage is None or retention is None or not self._claim(storage):
            return
        try:
            done = prune(storage, retention, seconds=_AT_ONCE, on_problem=_ignore)
            if done.complete:
                done = self._leave_room(storage, done)
            if not done.complete:
                self._due = self._clock()
                self._release(storage)
        except Exception as error:  # noqa: BLE001 - the next one may go better
            self._faults.add("not_pruned", masker.mask_error(error))

    def _leave_room(self, storage: LocalStorage, done: Pruned) -> Pruned:
        disk = shutil.disk_usage(storage.path)
        missing = int(_FREE * disk.total) - disk.free
        if missing <= 0 or not done.kept.size:
            return done
        retention = Retention(max_bytes=max(0, done.kept.size - missing))
        return prune(storage, retention, seconds=_AT_ONCE, on_problem=_ignore)

    @staticmethod
    def _claim(storage: LocalStorage) -> bool:
        """Tell whether it is this process's turn; should two believe so, both may prune."""
        stamp = storage.path / _STAMP
        try:
            if 0 <= time.time() - stamp.stat().st_mtime < _EVERY:
                return False
        except FileNotFoundError:
            pass
        except OSError:
            return False
        try:
            os.close(os.open(stamp, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600))
            os.utime(stamp)
        except OSError:  # on a full disk above all it must be done
            pass
        return True

    @staticmethod
    def _release(storage: LocalStorage) -> None:
        (storage.path / _STAMP).unlink(missing_ok=True)


def _ignore(_key: str, _reason: str) -> None:
    """Say nothing: what is foreign there is not the application's concern."""
