"""`ProfileAnalyzer`: from a store to a ranking of what to mend first."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

from profkit_analyzers.nesting import with_nesting
from profkit_analyzers.ranking import NANO, Summary
from profkit_analyzers.report import Report, Skipped, bottleneck, operation_stats, ranked
from profkit_storage import (
    ConfigurationError,
    CorruptProfile,
    Profile,
    ProfileEntry,
    ProfileNotFound,
    ProfileQuery,
    ProfileStorage,
    StorageError,
    Trigger,
)
from profkit_storage.categories import CategoryTable, default_categories

Progress = Callable[[int, int], None]
"""Called with (profiles done, profiles in all) after each."""

MAX_SKIPPED = 20
"""Damaged or foreign things named in a report; all of them are counted."""


class ProfileAnalyzer:
    """Ranks the bottlenecks of the slow operations in a store.

    `categories` says which code belongs to which category; None takes profkit's own table. Memory grows with the
    number of operations and places in code, never with that of profiles.
    """

    def __init__(self, storage: ProfileStorage, *, categories: CategoryTable | None = None) -> None:
        self._storage = storage
        self._categories = categories or default_categories()

    def analyze(
        self,
        query: ProfileQuery | None = None,
        *,
        budget: float | None = None,
        top: int | None = None,
        progress: Progress | None = None,
    ) -> Report:
        """Read every slow operation that matches `query`, and rank what they spent their time on.

        `budget` is the seconds an operation may take; None takes each one's own threshold. `top` keeps that many rows.
        With `progress`, the store is listed once more, to know how many there are.

        An operation that ran inside another one that is read as well is counted, but its seconds are in that one's rows
        and not in rows of its own; query for its name to rank it by itself.

        A profile that is damaged, or gone since it was listed, is skipped, counted and named in the report.

        Raises:
            ConfigurationError: `budget` or `top` is not allowed.
            StorageError: the store cannot be read.
        """
        _check(budget, top)
        work = _Work(self._storage, query)
        total = work.count() if progress else 0
        summary = Summary()
        for profile, nested in with_nesting(work.profiles(progress, total)):
            summary.add(profile, self._categories, budget, nested=nested)
        return _report(summary, work, budget, top)


class _Work:
    """The slow operations to read, and count of what is not among them."""

    def __init__(self, storage: ProfileStorage, query: ProfileQuery | None) -> None:
        self._storage = storage
        self._query = query
        self.not_ranked = 0
        self.skipped_count = 0
        self.skipped: list[Skipped] = []

    def count(self) -> int:
        found = self._storage.scan(self._query, on_problem=_ignore)
        return sum(1 for entry in found if entry.trigger is Trigger.SLOW)

    def profiles(self, progress: Progress | None, total: int) -> Iterator[Profile]:
        for done, entry in enumerate(self._entries(), start=1):
            try:
                yield self._storage.load_entry(entry)
            except CorruptProfile as error:
                self.skip(error.key, error.reason)
            except ProfileNotFound:
                self.skip(entry.key, "gone since it was listed")
            except StorageError as error:
                self.skip(entry.key, str(error))
            if progress:
                progress(done, max(done, total))

    def _entries(self) -> Iterator[ProfileEntry]:
        for entry in self._storage.scan(self._query, on_problem=self.skip):
            if entry.trigger is Trigger.SLOW:
                yield entry
            else:
                self.not_ranked += 1

    def skip(self, key: str, reason: str) -> None:
        self.skipped_count += 1
        if len(self.skipped) < MAX_SKIPPED:
            self.skipped.append(Skipped(key, reason))


def _ignore(key: str, reason: str) -> None:
    """Take no note: what is not a profile is told when the store is read."""


def _check(budget: float | None, top: int | None) -> None:
    if budget is not None and not (math.isfinite(budget) and budget >= 0):
        raise ConfigurationError(f"budget {budget!r}: must be a finite number of seconds from 0")
    if top is not None and top < 1:
        raise ConfigurationError(f"top {top!r}: must be 1 or more")


def _report(summary: Summary, work: _Work, budget: float | None, top: int | None) -> Report:
    operations = sorted(summary.operations.items(), key=lambda item: (-item[1].spent, item[0]))
    total = sum(operation.counted for _, operation in operations)
    categories: dict[str, int] = {}
    for _, operation in operations:
        for blame, cost in operation.costs.items():
            categories[blame.category] = categories.get(blame.category, 0) + cost.spent
    rows = ranked(summary)
    return Report(
        profiles=sum(operation.profiles for _, operation in operations),
        seconds=total / NANO,
        unobserved=sum(operation.unobserved for _, operation in operations) / NANO,
        nested=sum(operation.nested for _, operation in operations),
        budget=budget,
        operations={name: operation_stats(operation) for name, operation in operations},
        categories={
            name: spent / NANO
            for name, spent in sorted(categories.items(), key=lambda item: (-item[1], item[0]))
        },
        bottlenecks=tuple(bottleneck(rank, row, total) for rank, row in enumerate(rows[:top], start=1)),
        bottlenecks_count=len(rows),
        not_ranked=work.not_ranked,
        skipped=tuple(work.skipped),
        skipped_count=work.skipped_count,
    )
