"""From rollups to service levels: each call is held against the objectives of its operation, by windows of time."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import NamedTuple

from profkit_analyzers.populations import PopulationSummary
from profkit_analyzers.skipping import Skipping
from profkit_analyzers.slo.levels import Counts, Verdict, levels
from profkit_analyzers.slo.objectives import Objective, Objectives, default_objectives, matches
from profkit_analyzers.slo.service_levels import OperationLevels, ServiceLevels, Span, WindowLevels, moment
from profkit_storage import ProfileQuery, ProfileStorage, Rollup, RollupSet

Progress = Callable[[int, int], None]
"""Called with (hours done, hours in all) after each set of rollups."""

_HOUR = 3_600_000_000_000
_LENGTH = {Span.HOUR: _HOUR, Span.DAY: 24 * _HOUR}
_WORST_FIRST = Verdict.BROKEN, Verdict.OPEN, Verdict.MET, Verdict.TOO_FEW


class Subject(NamedTuple):
    """Whose calls are held against objectives: operations of one name are told apart by service and category."""

    operation: str
    service: str
    category: str


@dataclass(slots=True)
class SubjectSummary:
    """The calls of one subject: all of them, and by the beginnings of their windows (nanoseconds, 0 of `Span.ALL`)."""

    objective: Objective
    population: PopulationSummary = field(default_factory=PopulationSummary)
    late: int = 0
    windows: dict[int, Counts] = field(default_factory=dict[int, Counts])

    def add(self, window: RollupSet, row: Rollup, length: int | None, until_ns: int | None) -> None:
        """Add one rollup of `window`, to the time of that `length` in which it began."""
        start = window.start_ns // length * length if length else 0
        late = length is not None and window.end_ns > start + length
        self.population.add(window, row)
        self.late += row.calls if until_ns is not None and window.end_ns > until_ns else 0
        self.windows.setdefault(start, Counts()).add(row, self.objective, late=late)

    def merge(self, other: SubjectSummary) -> None:
        """Add all that the other holds, which was held against the same objective."""
        self.population.merge(other.population)
        self.late += other.late
        for start, counts in other.windows.items():
            self.windows.setdefault(start, Counts()).merge(counts)


class LevelsSummary:
    """The calls of any number of rollups; merged in any order and grouping they come to the same.

    Its size grows with the operations, and with the windows of each that have calls: six numbers for each.
    """

    def __init__(self, objectives: Objectives, span: Span, query: ProfileQuery) -> None:
        self.rollups = 0
        self.subjects: dict[Subject, SubjectSummary] = {}
        self._objectives = objectives
        self._query = query
        self._length = _LENGTH.get(span)
        self._until_ns = None if query.until is None else _nanoseconds(query.until)

    def add(self, window: RollupSet) -> None:
        """Add what the query takes of a set of rollups."""
        self.rollups += 1
        wanted = self._query.operation, self._query.category
        for row in window.rollups:
            if wanted[0] in (None, row.operation) and wanted[1] in (None, row.category):
                subject = Subject(row.operation, window.service, row.category)
                self._of(subject).add(window, row, self._length, self._until_ns)

    def merge(self, other: LevelsSummary) -> None:
        """Add all that the other holds, which was made with the same objectives, span and query."""
        self.rollups += other.rollups
        for subject, summary in other.subjects.items():
            self._of(subject).merge(summary)

    def operations(self) -> tuple[OperationLevels, ...]:
        """Return what every operation comes to, the worst first."""
        found = [self._levels(subject, summary) for subject, summary in self.subjects.items()]
        return tuple(sorted(found, key=_worst_first))

    def _of(self, subject: Subject) -> SubjectSummary:
        found = self.subjects.get(subject)
        if found is None:
            objective = self._objectives.of(subject.operation, subject.category)
            found = self.subjects[subject] = SubjectSummary(objective)
        return found

    def _levels(self, subject: Subject, summary: SubjectSummary) -> OperationLevels:
        whole = Counts()
        for counts in summary.windows.values():
            whole.merge(counts)
        return OperationLevels(
            service=subject.service,
            operation=subject.operation,
            category=subject.category,
            population=summary.population.result(),
            late=summary.late,
            levels=levels(whole, summary.objective),
            windows=tuple(_windows(summary, self._length)) if self._length else (),
        )


def service_levels_of(
    storage: ProfileStorage,
    query: ProfileQuery | None = None,
    *,
    objectives: Objectives | None = None,
    span: Span = Span.ALL,
    progress: Progress | None = None,
) -> ServiceLevels:
    """Hold every operation that the query takes against its objectives (None: those that come with profkit).

    Rollups count where their window began, whole: in [since, until) of the query, and in hours and days of UTC. Its
    `min_duration` says nothing here. What is damaged is left out, counted and named.

    Raises:
        ConfigurationError: `since` is after `until`.
        StorageError: the store cannot be read.
    """
    query = query or ProfileQuery()
    objectives = objectives or default_objectives()
    summary = LevelsSummary(objectives, span, query)
    problems = Skipping()
    windows = storage.scan_rollups(
        since=query.since, until=query.until, service=query.service, on_problem=problems.skip
    )
    for window in windows if progress is None else _followed(windows, query, progress):
        summary.add(window)
    operations = summary.operations()
    every = query.operation is None and query.category is None and query.service is None
    return ServiceLevels(
        since=query.since,
        until=query.until,
        span=span,
        rollups=summary.rollups,
        operations=operations,
        unmatched=tuple(_unmatched(objectives, operations)) if every and operations else (),
        skipped=tuple(problems.named),
        skipped_count=problems.count,
    )


def _followed(windows: Iterator[RollupSet], query: ProfileQuery, progress: Progress) -> Iterator[RollupSet]:
    """Yield the sets, and say how far they have come in time: how many there are is not known before."""
    first = None if query.since is None else _nanoseconds(query.since)
    last = time.time_ns() if query.until is None else _nanoseconds(query.until)
    for window in windows:
        first = window.start_ns if first is None else first
        done = (window.start_ns - first) // _HOUR
        yield window
        progress(done, max(done + 1, -((first - last) // _HOUR)))


def _windows(summary: SubjectSummary, length: int) -> Iterator[WindowLevels]:
    for start, counts in sorted(summary.windows.items()):
        yield WindowLevels(
            start=moment(start),
            end=moment(start + length),
            calls=counts.calls,
            errors=counts.errors,
            late=counts.late,
            levels=levels(counts, summary.objective),
        )


def _worst_first(found: OperationLevels) -> tuple[int, float, str, str, str]:
    verdicts = {level.verdict for level in found.levels} or {Verdict.TOO_FEW}
    rank = min(map(_WORST_FIRST.index, verdicts))
    burnt = max((level.burn_rate or 0.0 for level in found.levels), default=0.0)
    return rank, -burnt, found.operation, found.service, found.category


def _unmatched(objectives: Objectives, operations: tuple[OperationLevels, ...]) -> Iterator[str]:
    """Yield the names and patterns that mean none of these operations: they may be mistyped."""
    names = {found.operation for found in operations}
    for pattern in objectives.patterns:
        if not any(matches(name, pattern) for name in names):
            yield pattern


def _nanoseconds(time: datetime) -> int:
    aware = time.replace(tzinfo=UTC) if time.tzinfo is None else time
    return round((aware - datetime(1970, 1, 1, tzinfo=UTC)).total_seconds() * 1_000_000) * 1000
