"""The result of `profkit slo`. Its JSON form is told in docs/slo.md."""

from __future__ import annotations

import enum
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from profkit_analyzers.populations import Population
from profkit_analyzers.skipping import Skipped
from profkit_analyzers.slo.levels import Level, Verdict

LEVELS_SCHEMA = 1

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class Span(enum.StrEnum):
    """How long the windows are in which calls are looked at; of `ALL` there are none but the whole."""

    HOUR = "hour"
    DAY = "day"
    ALL = "all"


@dataclass(frozen=True, slots=True, kw_only=True)
class WindowLevels:
    """The calls of an operation that were counted from `start` to `end` (UTC), held against its objectives.

    `late` of them were counted in rollups that reach over `end`, so that some may have ended after it.
    """

    start: datetime
    end: datetime
    calls: int
    errors: int
    late: int
    levels: tuple[Level, ...]

    def to_dict(self) -> dict[str, object]:
        """Return it as plain values for JSON."""
        return {
            "start": written_time(self.start),
            "end": written_time(self.end),
            "calls": self.calls,
            "errors": self.errors,
            "late": self.late,
            "levels": [level.to_dict() for level in self.levels],
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class OperationLevels:
    """One operation of one service and category: all its calls, and those of each window that has any, in order."""

    service: str
    operation: str
    category: str
    population: Population
    late: int
    levels: tuple[Level, ...]
    windows: tuple[WindowLevels, ...] = ()

    def verdicts(self, verdict: Verdict) -> int:
        """Return on how many of its objectives that is the verdict, of all its calls."""
        return sum(level.verdict is verdict for level in self.levels)

    def to_dict(self) -> dict[str, object]:
        """Return it as plain values for JSON."""
        return {
            "service": self.service,
            "operation": self.operation,
            "category": self.category,
            "population": self.population.to_dict(),
            "late": self.late,
            "levels": [level.to_dict() for level in self.levels],
            "windows": [window.to_dict() for window in self.windows],
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class ServiceLevels:
    """Every operation held against its objectives, the worst first. `since` and `until` are as asked for, None any.

    `rollups` were read; `skipped_count` things more were damaged or none, `skipped` are some of them. `unmatched` are
    the names and patterns in the objectives that mean none of the operations; empty where only some were asked for.
    """

    since: datetime | None
    until: datetime | None
    span: Span
    rollups: int
    operations: tuple[OperationLevels, ...] = ()
    unmatched: tuple[str, ...] = ()
    skipped: tuple[Skipped, ...] = ()
    skipped_count: int = 0

    @property
    def breached(self) -> bool:
        """Whether any objective is broken by all calls of its operation; a broken window alone is none."""
        return any(operation.verdicts(Verdict.BROKEN) for operation in self.operations)

    def to_dict(self) -> dict[str, object]:
        """Return it as plain values for JSON, schema 1."""
        return {
            "schema": LEVELS_SCHEMA,
            "since": None if self.since is None else written_time(self.since),
            "until": None if self.until is None else written_time(self.until),
            "window": str(self.span),
            "rollups": self.rollups,
            "breached": self.breached,
            "operations": [operation.to_dict() for operation in self.operations],
            "unmatched": list(self.unmatched),
            "skipped": [{"key": item.key, "reason": item.reason} for item in self.skipped],
            "skipped_count": self.skipped_count,
        }


def moment(nanoseconds: int) -> datetime:
    """Return the time so many nanoseconds after the epoch, in UTC, to the microsecond; at most the last there is."""
    try:
        return _EPOCH + timedelta(microseconds=nanoseconds // 1000)
    except OverflowError:
        return datetime.max.replace(tzinfo=UTC)


def written_time(time: datetime) -> str:
    """Return a time as ISO 8601 in UTC, to the millisecond; one without a zone is UTC."""
    aware = time.replace(tzinfo=UTC) if time.tzinfo is None else time.astimezone(UTC)
    return aware.isoformat(timespec="milliseconds").replace("+00:00", "Z")
