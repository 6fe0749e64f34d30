"""The result of an analysis. Its JSON form is told in docs/analysis-json.md."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from profkit_analyzers.blame import Blame, CallSite
from profkit_analyzers.ranking import MICRO, NANO, Cost, OperationSummary, Summary

REPORT_SCHEMA = 1
MAX_SKIPPED = 20
"""Damaged or foreign things named in a report; all of them are counted."""

_DIGITS = 6


@dataclass(frozen=True, slots=True)
class Bottleneck:
    """One row of the ranking. Seconds are of all operations it stands for; `share` is of all their seconds, 0 to 1.

    `recoverable` is the seconds over the budget that would go with it; `operations` how many operations it touches,
    `rescued` how many of them would be within the budget without it; `exemplar` the id of the worst of them.
    """

    rank: int
    operation: str
    category: str
    subcategory: str
    owner: str
    call_site: CallSite
    seconds: float
    share: float
    recoverable: float
    operations: float
    rescued: float
    exemplar: str


@dataclass(frozen=True, slots=True)
class OperationStats:
    """The slow runs of one operation: `profiles` stored, which stand for `operations`; p50, p95, p99 to 1 %.

    `nested` of them ran inside another slow operation, which has their seconds in its rows; `unobserved` is without
    them.
    """

    profiles: int
    nested: int
    operations: float
    seconds: float
    unobserved: float
    slowest: float
    slowest_id: str
    p50: float
    p95: float
    p99: float


@dataclass(frozen=True, slots=True)
class Skipped:
    """Something in the store that could not be read, and why."""

    key: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What an analysis found. `seconds` is the sum of `categories` and `unobserved`.

    `nested` of the `profiles` ran inside another of them, and their seconds are counted there. `not_ranked` more match
    but are of no slow operation, `captures_by_hand` of them.
    """

    profiles: int
    nested: int = 0
    seconds: float
    unobserved: float
    budget: float | None = None
    operations: Mapping[str, OperationStats] = field(default_factory=dict[str, OperationStats])
    categories: Mapping[str, float] = field(default_factory=dict[str, float])
    bottlenecks: tuple[Bottleneck, ...] = ()
    bottlenecks_count: int = 0
    not_ranked: int = 0
    captures_by_hand: int = 0
    skipped: tuple[Skipped, ...] = ()
    skipped_count: int = 0

    def to_dict(self) -> dict[str, object]:
        """Return the report as plain values for JSON, schema 1."""
        return {
            "schema": REPORT_SCHEMA,
            "profiles": self.profiles,
            "nested": self.nested,
            "not_ranked": self.not_ranked,
            "captures_by_hand": self.captures_by_hand,
            "budget": self.budget,
            "seconds": _rounded(self.seconds),
            "operations": {name: _operation(stats) for name, stats in self.operations.items()},
            "categories": {name: _rounded(seconds) for name, seconds in self.categories.items()},
            "unobserved": _rounded(self.unobserved),
            "bottlenecks": [_bottleneck(row) for row in self.bottlenecks],
            "bottlenecks_count": self.bottlenecks_count,
            "skipped": [{"key": item.key, "reason": item.reason} for item in self.skipped],
            "skipped_count": self.skipped_count,
        }


def ranked(summary: Summary) -> list[tuple[str, Blame, Cost]]:
    """Return (operation, blame, cost) of what is over its budget, the most recoverable seconds first."""
    rows = [
        (name, blame, cost)
        for name, operation in summary.operations.items()
        for blame, cost in operation.costs.items()
        if cost.recoverable > 0
    ]
    return sorted(rows, key=lambda row: (-row[2].recoverable, -row[2].spent, row[0], row[1]))


def bottleneck(rank: int, row: tuple[str, Blame, Cost], total: int) -> Bottleneck:
    """Return one row of the ranking; `total` is all operations' nanoseconds."""
    operation, blame, cost = row
    return Bottleneck(
        rank=rank,
        operation=operation,
        category=blame.category,
        subcategory=blame.subcategory,
        owner=blame.owner,
        call_site=blame.call_site,
        seconds=cost.spent / NANO,
        share=cost.spent / total if total else 0.0,
        recoverable=cost.recoverable / NANO,
        operations=cost.operations / MICRO,
        rescued=cost.rescued / MICRO,
        exemplar=cost.worst.id,
    )


def operation_stats(summary: OperationSummary) -> OperationStats:
    """Return the figures of one operation."""
    nanoseconds, slowest_id = summary.slowest
    slowest = nanoseconds / NANO
    p50, p95, p99 = (min(summary.durations.quantile(share), slowest) for share in (0.5, 0.95, 0.99))
    return OperationStats(
        profiles=summary.profiles,
        nested=summary.nested,
        operations=summary.operations / MICRO,
        seconds=summary.spent / NANO,
        unobserved=summary.unobserved / NANO,
        slowest=slowest,
        slowest_id=slowest_id,
        p50=p50,
        p95=p95,
        p99=p99,
    )


def _operation(stats: OperationStats) -> dict[str, object]:
    return {
        "profiles": stats.profiles,
        "nested": stats.nested,
        "operations": _count(stats.operations),
        "seconds": _rounded(stats.seconds),
        "unobserved": _rounded(stats.unobserved),
        "slowest": _rounded(stats.slowest),
        "slowest_id": stats.slowest_id,
        "p50": _rounded(stats.p50),
        "p95": _rounded(stats.p95),
        "p99": _rounded(stats.p99),
    }


def _bottleneck(row: Bottleneck) -> dict[str, object]:
    return {
        "rank": row.rank,
        "operation": row.operation,
        "category": row.category,
        "subcategory": row.subcategory,
        "owner": row.owner,
        "call_site": str(row.call_site),
        "seconds": _rounded(row.seconds),
        "share": _rounded(row.share),
        "recoverable_seconds": _rounded(row.recoverable),
        "operations": _count(row.operations),
        "rescued": _count(row.rescued),
        "exemplar": row.exemplar,
    }


def _rounded(number: float) -> float:
    return round(number, _DIGITS)


def _count(number: float) -> int | float:
    """Return a number of operations: whole where all weights were."""
    return int(number) if number == int(number) else round(number, _DIGITS)
