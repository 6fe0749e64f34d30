"""What of a store is let go: the oldest first, by age, bytes and count."""

from __future__ import annotations

import heapq
import math
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import groupby

from profkit_storage.base import (
    Amount,
    ProblemHandler,
    ProfileEntry,
    ProfileQuery,
    ProfileStorage,
    log_problem,
)
from profkit_storage.errors import ConfigurationError
from profkit_storage.profile import Status, Trigger

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_HOUR_NS = 3_600_000_000_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Retention:
    """What is kept: nothing older than `max_age` seconds, at most `max_bytes` and `max_count` profiles; None: any.

    The `keep_slowest` slowest are kept in any case. With `category`, only profiles of that category are counted and
    let go. Where bytes or count are too many, the oldest go first, and last of all those that are all there is of what
    they show: of operations that were `running`, and those taken by hand.

    Raises:
        ConfigurationError: nothing is limited, or a limit is negative.
    """

    max_age: float | None = None
    max_bytes: int | None = None
    max_count: int | None = None
    keep_slowest: int = 0
    category: str | None = None

    def __post_init__(self) -> None:
        limits = {"max_age": self.max_age, "max_bytes": self.max_bytes, "max_count": self.max_count}
        if all(limit is None for limit in limits.values()):
            raise ConfigurationError(f"a retention limits nothing: give any of {', '.join(limits)}")
        for name, limit in {**limits, "keep_slowest": self.keep_slowest}.items():
            if limit is not None and not 0 <= limit < math.inf:
                raise ConfigurationError(f"{name}={limit!r} is not allowed: give a number from 0")


@dataclass(slots=True)
class Pruned:
    """What was let go and what was kept; `rollups` counts sets of them. Not `complete`: there was no time for all."""

    removed: Amount = field(default_factory=Amount)
    kept: Amount = field(default_factory=Amount)
    rollups: int = 0
    complete: bool = True


def prune(
    storage: ProfileStorage,
    retention: Retention,
    *,
    dry_run: bool = False,
    seconds: float = math.inf,
    now: float | None = None,
    on_problem: ProblemHandler = log_problem,
) -> Pruned:
    """Remove from `storage` what `retention` does not keep, an hour at a time, for about `seconds`.

    `now` is seconds since the epoch. Others may read, write and prune meanwhile: each profile is removed once. Rollups
    go by age only, and only where profiles of all categories do. With `dry_run` nothing is removed.

    Raises:
        StorageError: the store cannot be read, or something cannot be removed.
    """
    return _Pruning(
        storage, retention, dry_run=dry_run, seconds=seconds, now=now, on_problem=on_problem
    ).run()


class _Pruning:
    """One run: a scan that finds out how much is too much, and one or two more that remove it."""

    def __init__(
        self,
        storage: ProfileStorage,
        retention: Retention,
        *,
        dry_run: bool,
        seconds: float,
        now: float | None,
        on_problem: ProblemHandler,
    ) -> None:
        self._storage = storage
        self._retention = retention
        self._dry_run = dry_run
        self._until = time.monotonic() + seconds
        self._on_problem = on_problem
        self._oldest_ns = -1
        if retention.max_age is not None:
            self._oldest_ns = int(((time.time() if now is None else now) - retention.max_age) * 1e9)
        self._slowest: set[str] = set()
        self._pruned = Pruned()
        # What is still there by hour, as far as this run knows, and how much others have removed meanwhile.
        self._there: dict[int, Amount] = {}
        self._gone = Amount()

    def run(self) -> Pruned:
        excess = self._survey()
        removed, kept = self._pruned.removed, self._pruned.kept
        self._remove(excess, lambda entry, expired, beyond: expired or (beyond and not _is_precious(entry)))
        if self._exceeds(excess):
            self._remove(
                excess, lambda entry, expired, beyond: beyond and not expired and _is_precious(entry)
            )
        if self._retention.category is None and self._pruned.complete:
            self._pruned.rollups = self._remove_rollups()
        kept.profiles -= removed.profiles + self._gone.profiles
        kept.size -= removed.size + self._gone.size
        return self._pruned

    def _survey(self) -> Amount:
        """Count all there is; return how many profiles and bytes are too many, and note the slowest."""
        slowest: list[tuple[float, str]] = []
        for entry in self._scan(self._on_problem):
            self._pruned.kept.add(entry)
            self._there.setdefault(_hour_of(entry), Amount()).add(entry)
            if self._retention.keep_slowest:
                heapq.heappush(slowest, (entry.wall, entry.id))
                if len(slowest) > self._retention.keep_slowest:
                    heapq.heappop(slowest)
        self._slowest = {id for _, id in slowest}
        found, wanted = self._pruned.kept, self._retention
        return Amount(
            0 if wanted.max_count is None else max(0, found.profiles - wanted.max_count),
            0 if wanted.max_bytes is None else max(0, found.size - wanted.max_bytes),
        )

    def _remove(self, excess: Amount, goes: Callable[[ProfileEntry, bool, bool], bool]) -> None:
        """Remove what `goes`, given an entry, whether it is too old, and whether there still are too many."""
        removed = self._pruned.removed
        hours = deque(sorted(self._there))
        for hour, found in groupby(self._scan(_ignore), key=_hour_of):
            entries = list(found)
            # Another prune at the same time takes the same oldest ones: what it took must not be made up for.
            self._miss(hours, hour, entries)
            if hour * _HOUR_NS >= self._oldest_ns and not self._exceeds(excess):
                return
            leaving: list[ProfileEntry] = []
            for entry in entries:
                expired = entry.start_ns < self._oldest_ns
                if entry.id not in self._slowest and goes(entry, expired, self._exceeds(excess)):
                    removed.add(entry)
                    leaving.append(entry)
            _take(self._there[hour], leaving)
            if leaving and not self._dry_run:
                self._storage.delete_entries(leaving)
            if time.monotonic() >= self._until:
                self._pruned.complete = False
                return

    def _miss(self, hours: deque[int], hour: int, entries: Iterable[ProfileEntry]) -> None:
        """Note what has vanished of this hour, of which `entries` are left, and of those of `hours` before it."""
        there = Amount()
        for entry in entries:
            there.add(entry)
        while hours and hours[0] <= hour:
            before = hours.popleft()
            left = there if before == hour else Amount()
            self._gone.profiles += max(0, self._there[before].profiles - left.profiles)
            self._gone.size += max(0, self._there[before].size - left.size)
            self._there[before] = left
        self._there[hour] = there

    def _exceeds(self, excess: Amount) -> bool:
        """Tell whether there still is too much."""
        removed, gone = self._pruned.removed, self._gone
        return excess.profiles > removed.profiles + gone.profiles or excess.size > removed.size + gone.size

    def _remove_rollups(self) -> int:
        if self._oldest_ns < 0:
            return 0
        oldest = _EPOCH + timedelta(microseconds=self._oldest_ns // 1000)
        return self._storage.delete_rollups(oldest, dry_run=self._dry_run)

    def _scan(self, on_problem: ProblemHandler) -> Iterator[ProfileEntry]:
        return self._storage.scan(ProfileQuery(category=self._retention.category), on_problem=on_problem)


def _is_precious(entry: ProfileEntry) -> bool:
    return entry.status is Status.RUNNING or entry.trigger is Trigger.MANUAL


def _hour_of(entry: ProfileEntry) -> int:
    return entry.start_ns // _HOUR_NS


def _take(amount: Amount, entries: Iterable[ProfileEntry]) -> None:
    for entry in entries:
        amount.profiles -= 1
        amount.size -= entry.size


def _ignore(_key: str, _reason: str) -> None:
    """Say nothing: the first scan has."""
