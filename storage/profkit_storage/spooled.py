"""`SpooledStorage`: a store that takes everything, also while the store behind it takes nothing."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime
from time import monotonic
from typing import TypeVar

from profkit_storage.base import (
    ProblemHandler,
    ProfileEntry,
    ProfileQuery,
    ProfileStorage,
    log_problem,
    log_rollup_problem,
)
from profkit_storage.errors import StorageError, StoreUnavailable
from profkit_storage.keys import profile_entry
from profkit_storage.profile import Profile
from profkit_storage.rollup import RollupSet
from profkit_storage.spool import Spool

FIRST_PAUSE, LONGEST_PAUSE = 2.0, 60.0
"""Seconds for which a store that has failed is left alone: twice as long each time, and up to a fifth more or less."""
R = TypeVar("R")
_LOOK_AGAIN = 60.0
"""Seconds after which a store that works is asked to take what other processes may have put aside."""


class SpooledStorage(ProfileStorage):
    """Puts into `storage`, and what that cannot take into `spool`, from where `deliver` takes it later.

    After a failure the store is not asked for some time: one that hangs would hold up every put. `on_failure` is called
    with each error. `delivered` counts what the store has taken from the spool.
    """

    def __init__(
        self,
        storage: ProfileStorage,
        spool: Spool,
        *,
        on_failure: Callable[[BaseException], object] = lambda _: None,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self.storage = storage
        self.spool = spool
        self.delivered = 0
        self._on_failure = on_failure
        self._clock = clock
        self._failures = self._refusals = 0
        self._stopped = False
        self._retry_at: float | None = clock()  # a process before this one may have left something
        self._looked_at = clock()

    @property
    def url(self) -> str:
        return self.storage.url

    def put(self, profile: Profile) -> ProfileEntry:
        return self._put(
            lambda: self.storage.put(profile), lambda: profile_entry(profile, self.spool.keep(profile))
        )

    def put_rollup(self, rollups: RollupSet) -> str | None:
        def aside() -> None:
            self.spool.keep(rollups)

        return self._put(lambda: self.storage.put_rollup(rollups), aside)

    def ask_again(self) -> None:
        """Do not wait any longer before the store is asked again."""
        self._retry_at = self._clock()

    def stop_asking(self) -> None:
        """Leave the store out from now on: there is no time to wait for it."""
        self._stopped = True

    def seconds_left(self) -> float | None:
        """Return the seconds until `deliver` may have something to do; None if nothing waits."""
        return None if self._retry_at is None else max(0.0, self._retry_at - self._clock())

    def deliver(self, seconds: float = 1.0) -> None:
        """Ask the store again, for about `seconds`, to take what waits; call it when `seconds_left` is 0."""
        try:
            self.delivered += self.spool.deliver(self.storage, seconds=seconds)
        except BaseException as error:  # noqa: BLE001 - as above
            if self._failures or not isinstance(error, StorageError) or isinstance(error, StoreUnavailable):
                self._failed(error)
            else:
                self._refused(error)
            return
        self._failures = self._refusals = 0
        # What another process is delivering is its own to finish.
        self._retry_at = self._clock() + FIRST_PAUSE if self.spool.waiting().profiles else None

    def load(self, id: str) -> Profile:
        return self.storage.load(id)

    def load_entry(self, entry: ProfileEntry, *, shared: bool = False) -> Profile:
        return self.storage.load_entry(entry, shared=shared)

    def load_many(
        self,
        entries: Iterable[ProfileEntry],
        *,
        on_problem: ProblemHandler = log_problem,
        workers: int | None = None,
        shared: bool = False,
    ) -> Iterator[tuple[ProfileEntry, Profile]]:
        return self.storage.load_many(entries, on_problem=on_problem, workers=workers, shared=shared)

    def scan(
        self, query: ProfileQuery | None = None, *, on_problem: ProblemHandler = log_problem
    ) -> Iterator[ProfileEntry]:
        return self.storage.scan(query, on_problem=on_problem)

    def delete(self, id: str) -> bool:
        waited = self.spool.discard(id)
        return self.storage.delete(id) or waited

    def delete_entries(self, entries: Iterable[ProfileEntry]) -> int:
        return self.storage.delete_entries(entries)

    def delete_rollups(self, until: datetime, *, dry_run: bool = False) -> int:
        return self.storage.delete_rollups(until, dry_run=dry_run)

    def scan_rollups(
        self,
        *,
        since: datetime | None = None,
        until: datetime | None = None,
        service: str | None = None,
        on_problem: ProblemHandler = log_rollup_problem,
    ) -> Iterator[RollupSet]:
        return self.storage.scan_rollups(since=since, until=until, service=service, on_problem=on_problem)

    def check_writable(self) -> None:
        self.storage.check_writable()

    def close(self) -> None:
        self.storage.close()

    def _may_ask(self) -> bool:
        """Tell whether the store may be asked."""
        if self._stopped:
            return False
        return not self._failures or self._retry_at is None or self._clock() >= self._retry_at

    def _worked(self) -> None:
        now = self._clock()
        if self._failures or now - self._looked_at >= _LOOK_AGAIN:
            self._retry_at = now
            self._looked_at = now
        self._failures = 0

    def _failed(self, error: BaseException) -> None:
        self._pause(self._failures)
        self._failures += 1
        self._on_failure(error)

    def _refused(self, error: StorageError) -> None:
        """Leave for a while what a store that works does not take: what is put meanwhile, it may take."""
        self._pause(self._refusals)
        self._refusals += 1
        self._on_failure(error)

    def _pause(self, times: int) -> None:
        pause = min(FIRST_PAUSE * 2 ** min(times, 10), LONGEST_PAUSE)
        self._retry_at = self._clock() + pause * random.uniform(0.8, 1.2)  # noqa: S311 - no secret

    def _put(self, store: Callable[[], R], aside: Callable[[], R]) -> R:
        """Have the store or the spool take an item: first the store, unless it is to be left alone."""
        refused: StorageError | None = None
        if not self._may_ask():
            try:
                return aside()
            except StorageError as error:
                if self._stopped:
                    raise
                refused = error
        try:
            result = store()
        except BaseException as error:
            self._failed(error)
            try:
                if refused is None:
                    return aside()
            except StorageError as spooled:
                refused = spooled
            raise StorageError(f"{error}; and {refused}") from error
        self._worked()
        return result
