"""The contract of every store, and what a listing tells without opening a profile."""

from __future__ import annotations

import abc
import contextlib
import logging
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from functools import partial
from itertools import groupby
from types import TracebackType
from typing import ClassVar, Self

from profkit_storage.errors import (
    ConfigurationError,
    CorruptProfile,
    ProfileNotFound,
    StorageError,
    StoreUnavailable,
)
from profkit_storage.loading import in_order
from profkit_storage.profile import Profile, Status, Trigger
from profkit_storage.rollup import RollupSet

logger = logging.getLogger("profkit")

MAX_WORKERS = 64
"""Threads with which `load_many` may read."""

ProblemHandler = Callable[[str, str], None]
"""Called with (key, reason) for what lies in a store and is no readable profile, or no readable set of rollups."""


def log_problem(key: str, reason: str) -> None:
    """Report a problem on the `profkit` logger; what a scan does unless it is given another handler."""
    logger.warning("not a profile: %s: %s", key, reason)


def log_rollup_problem(key: str, reason: str) -> None:
    """Do so for what is no set of rollups; what `scan_rollups` does unless it is given another handler."""
    logger.warning("not a set of rollups: %s: %s", key, reason)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProfileEntry:
    """What a profile's key alone says. `operation` and `service` are cut where their name is over 80 bytes long.

    `start_ns` is UTC nanoseconds since the epoch, exact to the millisecond; `wall` is seconds, exact to the
    millisecond; `size` is bytes as stored, in a block its part of them.
    """

    id: str
    operation: str
    category: str
    service: str
    start_ns: int
    wall: float
    status: Status
    trigger: Trigger
    key: str
    size: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ProfileQuery:
    """Which profiles: None means any. `since` is inclusive, `until` exclusive, both by the operation's start.

    A datetime without a zone is taken as UTC. `min_duration` is seconds.
    """

    since: datetime | None = None
    until: datetime | None = None
    service: str | None = None
    operation: str | None = None
    category: str | None = None
    min_duration: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Partition:
    """A part of what a query takes, for work in batches: what `scan(query)` gives, `profiles` of them in `size` bytes.

    Partitions have no profile in common, and follow each other in time: each is an hour, or less where the query is.
    """

    query: ProfileQuery
    profiles: int
    size: int


@dataclass(slots=True)
class Amount:
    """How many profiles, in how many bytes."""

    profiles: int = 0
    size: int = 0

    def add(self, entry: ProfileEntry) -> None:
        """Count one more."""
        self.profiles += 1
        self.size += entry.size


@dataclass(frozen=True, slots=True, kw_only=True)
class StoreStats:
    """What is in a store, from keys alone: by date (UTC), the first day first, and by category.

    `problems` are what is no profile, with the reason.
    """

    total: Amount
    days: dict[date, Amount]
    categories: dict[str, Amount]
    problems: dict[str, str]


class ProfileStorage(abc.ABC):
    """A place where profiles are kept. Every method may be called from any thread."""

    parallel_loads: ClassVar[int] = 1
    """How many threads `load_many` reads with: more than one where a load is mostly waiting."""

    @property
    @abc.abstractmethod
    def url(self) -> str:
        """The address `open_storage` takes to open the same store; never with a secret in it."""

    @abc.abstractmethod
    def put(self, profile: Profile) -> ProfileEntry:
        """Store `profile`; it is found by `scan` and `load` once this returns. Putting an id again replaces it.

        Raises:
            StorageError: it could not be stored, and nothing of it was left behind.
        """

    @abc.abstractmethod
    def load(self, id: str) -> Profile:
        """Return the profile with this id.

        Raises:
            ProfileNotFound: there is none.
            CorruptProfile: what is stored is damaged.
        """

    def load_entry(self, entry: ProfileEntry, *, shared: bool = False) -> Profile:  # noqa: ARG002 - by blocks
        """Do as `load(entry.id)` does, for an entry from this store's `scan`: a store need not look for it again.

        A `shared` profile may have the frames and nodes of all those it is stored with, as the same objects: its
        samples tell which are its own. It takes a third of the time, for what only follows samples' stacks.
        """
        return self.load(entry.id)

    def load_many(
        self,
        entries: Iterable[ProfileEntry],
        *,
        on_problem: ProblemHandler = log_problem,
        workers: int | None = None,
        shared: bool = False,
    ) -> Iterator[tuple[ProfileEntry, Profile]]:
        """Yield entries from this store's `scan`, each with its profile, in their order: for work in batches.

        `shared` ones are as `load_entry` has them.

        What is damaged, gone since it was listed, or cannot be read is passed to `on_problem` by its key, in the
        caller's thread, and left out; a damaged file of a block once for each profile in it. `workers` threads read
        ahead, a little; as many as suit the store unless given.

        Raises:
            ConfigurationError: `workers` is not a whole number from 1 to `MAX_WORKERS`.
            StoreUnavailable: the store cannot be reached any more.
        """
        count = self.parallel_loads if workers is None else workers
        if type(count) is not int or not 1 <= count <= MAX_WORKERS:
            raise ConfigurationError(f"workers {workers!r}: must be a whole number from 1 to {MAX_WORKERS}")
        return _loaded(in_order(partial(self._attempt, shared=shared), entries, count), on_problem)

    def _attempt(self, entry: ProfileEntry, *, shared: bool) -> _Attempt:
        try:
            # A store of somebody else's may not know of it.
            return entry, self.load_entry(entry, shared=True) if shared else self.load_entry(entry)
        except StoreUnavailable:
            raise
        except StorageError as error:
            return entry, error

    @abc.abstractmethod
    def scan(
        self, query: ProfileQuery | None = None, *, on_problem: ProblemHandler = log_problem
    ) -> Iterator[ProfileEntry]:
        """Yield what matches in order of start (then id), from keys alone, without opening a profile.

        What is no profile is passed to `on_problem` by name and left where it is.
        """

    @abc.abstractmethod
    def delete(self, id: str) -> bool:
        """Remove the profile with this id; False if there was none."""

    def delete_entries(self, entries: Iterable[ProfileEntry]) -> int:
        """Remove what a `scan` has listed, all at once where the store can; return how many there were.

        Raises:
            StorageError: something cannot be removed.
        """
        return sum(self.delete(entry.id) for entry in entries)

    def delete_rollups(self, until: datetime, *, dry_run: bool = False) -> int:  # noqa: ARG002 - for stores that keep them
        """Remove the sets of rollups whose window began before `until`; return how many there were.

        Raises:
            StorageError: something cannot be removed.
        """
        return 0

    def partitions(
        self, query: ProfileQuery | None = None, *, on_problem: ProblemHandler = log_problem
    ) -> Iterator[Partition]:
        """Yield the parts of what matches, hour by hour: workers may scan one each. Problems as in `scan`."""
        query = query or ProfileQuery()
        for hour, entries in groupby(self.scan(query, on_problem=on_problem), key=_hour_of):
            amount = Amount()
            for entry in entries:
                amount.add(entry)
            part = replace(
                query,
                since=max(hour, _aware(query.since) or hour),
                until=min(hour + _HOUR, _aware(query.until) or hour + _HOUR),
            )
            yield Partition(query=part, profiles=amount.profiles, size=amount.size)

    def stats(
        self, query: ProfileQuery | None = None, *, each: Callable[[ProfileEntry], object] | None = None
    ) -> StoreStats:
        """Count what matches, by day and category; it takes a scan, whose entries `each` is called with."""
        stats = StoreStats(total=Amount(), days={}, categories={}, problems={})
        for entry in self.scan(query, on_problem=stats.problems.__setitem__):
            if each is not None:
                each(entry)
            stats.total.add(entry)
            stats.days.setdefault(_hour_of(entry).date(), Amount()).add(entry)
            stats.categories.setdefault(entry.category, Amount()).add(entry)
        return stats

    def put_rollup(self, rollups: RollupSet) -> str | None:  # noqa: ARG002 - for stores that keep them
        """Store a set of rollups and return its key; None from a store that keeps none. `scan_rollups` finds it.

        Raises:
            StorageError: it could not be stored, and nothing of it was left behind.
        """
        return None

    def scan_rollups(
        self,
        *,
        since: datetime | None = None,  # noqa: ARG002 - as above
        until: datetime | None = None,  # noqa: ARG002
        service: str | None = None,  # noqa: ARG002
        on_problem: ProblemHandler = log_rollup_problem,  # noqa: ARG002
    ) -> Iterator[RollupSet]:
        """Yield the sets whose window began in [since, until), read one by one, in order of that (then id).

        None means any; times and service are as in a `ProfileQuery`. What is no set of rollups, or a damaged one, is
        passed to `on_problem` by name and left where it is.

        Raises:
            ConfigurationError: `since` is after `until`.
            StorageError: the store cannot be read.
        """
        return iter(())

    def check_writable(self) -> None:
        """Find out early whether `put` can work; a store that always can does nothing.

        Raises:
            StorageError: it cannot be written.
        """

    def close(self) -> None:
        """Let go of what the store holds open. Using it afterwards is allowed to fail."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_HOUR = timedelta(hours=1)


_Attempt = tuple[ProfileEntry, Profile | StorageError]


def _loaded(
    attempts: Generator[_Attempt], on_problem: ProblemHandler
) -> Iterator[tuple[ProfileEntry, Profile]]:
    with contextlib.closing(attempts):
        for entry, found in attempts:
            if isinstance(found, Profile):
                yield entry, found
            else:
                on_problem(*_problem(entry, found))


def _problem(entry: ProfileEntry, error: StorageError) -> tuple[str, str]:
    """Return the key of what is wrong, which of a profile in a block is one of the block's files, and the reason."""
    if isinstance(error, CorruptProfile):
        return error.key, error.reason
    return entry.key, "gone since it was listed" if isinstance(error, ProfileNotFound) else str(error)


def _hour_of(entry: ProfileEntry) -> datetime:
    return _EPOCH + entry.start_ns // 3_600_000_000_000 * _HOUR


def _aware(moment: datetime | None) -> datetime | None:
    return moment.replace(tzinfo=UTC) if moment is not None and moment.tzinfo is None else moment
