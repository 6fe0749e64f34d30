"""`ProfileAnalyzer`: from a store to a ranking of what to mend first."""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace

from profkit_analyzers.engines.cache import Cached
from profkit_analyzers.engines.engine import Engine, InProcess
from profkit_analyzers.engines.part_files import PartFiles
from profkit_analyzers.engines.parts import Criteria
from profkit_analyzers.engines.reading import Progress, Reading, is_whole, read
from profkit_analyzers.pictures.pictures import Pictures
from profkit_analyzers.populations import Population, populations_of
from profkit_analyzers.ranking.budgets import Budgets
from profkit_analyzers.ranking.hottest import with_stacks
from profkit_analyzers.ranking.rows import bottleneck, operation_stats, ranked
from profkit_analyzers.ranking.summary import NANO, Summary
from profkit_analyzers.report import Report
from profkit_analyzers.skipping import Skipping
from profkit_storage import ConfigurationError, Profile, ProfileQuery, ProfileStorage, StorageError
from profkit_storage.categories import CategoryTable, default_categories

_EXEMPLARS = 6
"""Profiles that are pictured by themselves: the worst of the first bottlenecks."""


class ProfileAnalyzer:
    """Ranks the bottlenecks of the slow operations in a store.

    `rules` say which code belongs to which category; None takes profkit's own. `budgets` say what operations may take;
    None takes the threshold that each was captured under. `engine` is where the work is done: `InProcess()`, unless
    given, or `ProcessPool()`. Memory grows with the number of operations and places in code, never with that of
    profiles.

    `cache` is a directory that keeps what became of the profiles: a later analysis of the same ones, by the same rules
    and budgets, works on the new ones only, and one that was interrupted goes on where it was. It is this user's alone,
    and tidied by each analysis: what was not used for 30 days goes, and the oldest of more than 1 GiB. A failure to
    write to it later is logged, and nothing more.

    Raises:
        ConfigurationError: `cache` is no directory, or cannot be made or written.
    """

    def __init__(
        self,
        storage: ProfileStorage,
        *,
        rules: CategoryTable | None = None,
        budgets: Budgets | None = None,
        engine: Engine | None = None,
        cache: str | os.PathLike[str] | None = None,
    ) -> None:
        self._storage = storage
        self._table = rules or default_categories()
        self._budgets = budgets or Budgets()
        self._engine = engine or InProcess()
        self._files = None if cache is None else PartFiles(cache)

    def analyze(
        self,
        query: ProfileQuery | None = None,
        *,
        top: int | None = None,
        progress: Progress | None = None,
        pictures: bool = False,
    ) -> Report:
        """Read every slow operation that matches `query`, and rank what they spent their time on.

        `top` keeps that many rows. With `pictures`, the report has what a page draws too, which takes longer and more
        memory, up to a bound. With `progress`, the store is listed once more, to know how many there are.

        An operation that ran inside another one that is read as well is counted, but its seconds are in that one's rows
        and not in rows of its own; query for its name to rank it by itself.

        A profile that is damaged, gone since it was listed, or whose samples are not its wall time, is skipped, counted
        and named in the report.

        Raises:
            ConfigurationError: `top` is not allowed.
            StorageError: the store cannot be read.
            WorkersDied: a process of the engine ended before its work did.
        """
        if top is not None and top < 1:
            raise ConfigurationError(f"top {top!r}: must be 1 or more")
        criteria = Criteria(self._table, self._budgets, is_whole(query), pictures)
        engine = self._engine if self._files is None else Cached(self._engine, self._files, criteria.identity)
        found = read(self._storage, query, criteria, engine, progress)
        report = self._report(found, self._populations(query, found.skipping), top)
        return self._pictured(report, found.summary) if pictures else report

    def _pictured(self, report: Report, summary: Summary) -> Report:
        """Return the report with its pictures."""
        wanted = dict.fromkeys(row.exemplar for row in report.bottlenecks)
        exemplars: list[Profile] = []
        for id in wanted:
            if len(exemplars) == _EXEMPLARS:
                break
            # It may be gone by now, and what could not be read was told of before.
            with suppress(StorageError):
                exemplars.append(self._storage.load(id))
        pictures = Pictures(summary.history.history(), summary.trees.trees(), tuple(exemplars))
        return replace(report, pictures=pictures)

    def _populations(self, query: ProfileQuery | None, skipping: Skipping) -> Mapping[str, Population]:
        """Return what all calls of each operation came to, in the time and of the service that are looked at."""
        asked = query or ProfileQuery()
        return populations_of(
            self._storage, asked.since, asked.until, asked.service, on_problem=skipping.skip
        )

    def _report(
        self, found: Reading[Summary], populations: Mapping[str, Population], top: int | None
    ) -> Report:
        summary = found.summary
        operations = sorted(summary.operations.items(), key=lambda item: (-item[1].spent, item[0]))
        total = sum(operation.counted for _, operation in operations)
        rows = ranked(summary)
        bottlenecks = [
            bottleneck(rank, row, summary.operations[row.operation], total)
            for rank, row in enumerate(rows[:top], start=1)
        ]
        return Report(
            profiles=sum(operation.profiles for _, operation in operations),
            seconds=total / NANO,
            unobserved=sum(operation.unobserved for _, operation in operations) / NANO,
            nested=sum(operation.nested for _, operation in operations),
            budgets=self._budgets,
            operations={
                name: operation_stats(operation, populations.get(name)) for name, operation in operations
            },
            categories=_categories(summary),
            bottlenecks=with_stacks(bottlenecks, self._storage, self._table),
            bottlenecks_count=len(rows),
            not_ranked=found.not_ranked,
            captures_by_hand=found.by_hand,
            findings=summary.findings.results(),
            skipped=tuple(found.skipping.named),
            skipped_count=found.skipping.count,
        )


def _categories(summary: Summary) -> dict[str, float]:
    """Return the seconds of each category, the most first."""
    found: dict[str, int] = {}
    for operation in summary.operations.values():
        for blame, cost in operation.costs.items():
            found[blame.category] = found.get(blame.category, 0) + cost.spent
    return {name: spent / NANO for name, spent in sorted(found.items(), key=lambda item: (-item[1], item[0]))}
