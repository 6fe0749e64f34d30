"""`ProfileAnalyzer`: from a store to a ranking of what to mend first."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator

from profkit_analyzers.dropped import Undecided
from profkit_analyzers.nesting import placed
from profkit_analyzers.ranking import NANO, Summary
from profkit_analyzers.report import MAX_SKIPPED, Report, Skipped, bottleneck, operation_stats, ranked
from profkit_storage import (
    ConfigurationError,
    Profile,
    ProfileEntry,
    ProfileQuery,
    ProfileStorage,
    Trigger,
)
from profkit_storage.categories import CategoryTable, default_categories

Progress = Callable[[int, int], None]
"""Called with (profiles done, profiles in all) after each."""

_TOLERANCE = 0.01
_LEAST = 1e-6
"""By how much the sum of a profile's samples may differ from its wall time: a share, and seconds."""


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

        A profile that is damaged, gone since it was listed, or whose samples are not its wall time, is skipped, counted
        and named in the report.

        Raises:
            ConfigurationError: `budget` or `top` is not allowed.
            StorageError: the store cannot be read.
        """
        _check(budget, top)
        work = _Work(self._storage, query)
        total = work.count() if progress else 0
        return _report(self._summary(work.profiles(progress, total), query, budget), work, budget, top)

    def _summary(
        self, profiles: Iterator[Profile], query: ProfileQuery | None, budget: float | None
    ) -> Summary:
        summary, undecided = Summary(), Undecided(self._categories, budget)
        # Of chosen operations only, what they ran inside may be of another kind, and so in no row at all.
        every = query is None or (query.operation is None and query.category is None)
        for found in placed(profiles):
            undecided.see(found.profile)
            if every and found.missing:
                undecided.add(found, summary)
            else:
                summary.add(found.profile, self._categories, budget, nested=found.nested)
        undecided.settle(summary)
        return summary


class _Work:
    """The slow operations to read, and count of what is not among them."""

    def __init__(self, storage: ProfileStorage, query: ProfileQuery | None) -> None:
        self._storage = storage
        self._query = query
        self.not_ranked = 0
        self.by_hand = 0
        self.skipped_count = 0
        self.skipped: list[Skipped] = []

    def count(self) -> int:
        found = self._storage.scan(self._query, on_problem=_ignore)
        return sum(1 for entry in found if entry.trigger is Trigger.SLOW)

    def profiles(self, progress: Progress | None, total: int) -> Iterator[Profile]:
        done = 0

        def step() -> None:
            nonlocal done
            done += 1
            if progress:
                progress(done, max(done, total))

        def skip(key: str, reason: str) -> None:
            self.skip(key, reason)
            step()

        for entry, profile in self._storage.load_many(self._entries(), on_problem=skip):
            wrong = _wrong_sum(profile)
            if wrong:
                self.skip(entry.key, wrong)
            else:
                yield profile
            step()

    def _entries(self) -> Iterator[ProfileEntry]:
        for entry in self._storage.scan(self._query, on_problem=self.skip):
            if entry.trigger is Trigger.SLOW:
                yield entry
            else:
                self.not_ranked += 1
                self.by_hand += entry.trigger is Trigger.MANUAL

    def skip(self, key: str, reason: str) -> None:
        self.skipped_count += 1
        skipped = Skipped(key, reason)
        # A damaged block is told of once for each profile in it.
        if len(self.skipped) < MAX_SKIPPED and skipped not in self.skipped:
            self.skipped.append(skipped)


def _ignore(key: str, reason: str) -> None:
    """Take no note: what is not a profile is told when the store is read."""


def _wrong_sum(profile: Profile) -> str:
    """Return what is wrong with the profile's seconds, "" if nothing: in the ranking each has to count once."""
    found = math.fsum(sample.wall for sample in profile.samples) + profile.sampling.unobserved
    if abs(found - profile.wall) <= _TOLERANCE * profile.wall + _LEAST:
        return ""
    return f"its samples are {found:.3f} s in all, the operation took {profile.wall:.3f} s"


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
        captures_by_hand=work.by_hand,
        skipped=tuple(work.skipped),
        skipped_count=work.skipped_count,
    )
