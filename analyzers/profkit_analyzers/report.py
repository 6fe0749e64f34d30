"""The result of an analysis. Its JSON form is told in docs/analysis-json.md."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING

from profkit_analyzers.attribution.blame import CallSite
from profkit_analyzers.bootstrap import Interval
from profkit_analyzers.findings import Finding
from profkit_analyzers.pictures.pictures import Pictures
from profkit_analyzers.populations import Population
from profkit_analyzers.ranking.bands import BandShares
from profkit_analyzers.ranking.budgets import Budgets
from profkit_analyzers.skipping import Skipped

if TYPE_CHECKING:
    import polars as pl

REPORT_SCHEMA = 2

_DIGITS = 6


@dataclass(frozen=True, slots=True)
class Bottleneck:
    """One row of the ranking. Seconds are of all operations it stands for; `share` is of all their seconds, 0 to 1.

    `recoverable` is the seconds over the budget that would go with it, and `interval` how sure that is; `critical` the
    seconds on the critical path; `operations` how many operations it touches, `rescued` how many of them would be
    within the budget without it. `tail` is what part of the operation's differences in duration is its own (they sum
    to 1), `bands` its share of the usual runs and of the slowest, None where these are too few to tell.
    """

    rank: int
    operation: str
    category: str
    subcategory: str
    owner: str
    call_site: CallSite
    seconds: float
    share: float
    critical: float
    recoverable: float
    interval: Interval
    operations: float
    rescued: float
    tail: float
    bands: BandShares | None
    evidence: Evidence

    @property
    def exemplar(self) -> str:
        """The id of the worst run."""
        return self.evidence.exemplars[0]


@dataclass(frozen=True, slots=True)
class Evidence:
    """Where to look: `exemplars` are the ids of the worst runs, the worst first; UTC start of the first and the last.

    `hosts` and `versions` are those it was seen on, at most 20; `more_hosts` and `more_versions` tell that
    there are others. `hottest_stack` is the one with most of its seconds in the worst run, from the root to the leaf.
    """

    exemplars: tuple[str, ...]
    first_seen: datetime
    last_seen: datetime
    hosts: tuple[str, ...]
    versions: tuple[str, ...]
    more_hosts: bool = False
    more_versions: bool = False
    hottest_stack: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class OperationStats:
    """The slow runs of one operation: `profiles` stored, which stand for `operations`; p50, p95, p99 to 1 %.

    `nested` of them ran inside another slow operation, which has their seconds in its rows; `unobserved` is without
    them. `population` is of all its calls, slow or not, where there are rollups of it.
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
    population: Population | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What an analysis found. `seconds` is the sum of `categories` and `unobserved`.

    `nested` of the `profiles` ran inside another of them, and their seconds are counted there. `not_ranked` more
    match but are of no slow operation, `captures_by_hand` of them. `findings` are known patterns, the most seconds at
    stake first. `pictures` are what a page draws, None unless asked for; they are not in the JSON.
    """

    profiles: int
    nested: int = 0
    seconds: float
    unobserved: float
    budgets: Budgets = field(default_factory=Budgets)
    operations: Mapping[str, OperationStats] = field(default_factory=dict[str, OperationStats])
    categories: Mapping[str, float] = field(default_factory=dict[str, float])
    bottlenecks: tuple[Bottleneck, ...] = ()
    bottlenecks_count: int = 0
    not_ranked: int = 0
    captures_by_hand: int = 0
    skipped: tuple[Skipped, ...] = ()
    skipped_count: int = 0
    pictures: Pictures | None = None
    findings: tuple[Finding, ...] = ()

    def to_polars(self) -> dict[str, pl.DataFrame]:
        """Return its tables by name: `bottlenecks`, `operations`, `categories` and `findings`; see `frames.tables`."""
        from profkit_analyzers.frames import tables

        return tables(self.to_dict())

    def to_dict(self) -> dict[str, object]:
        """Return the report as plain values for JSON, schema 2."""
        return {
            "schema": REPORT_SCHEMA,
            "profiles": self.profiles,
            "nested": self.nested,
            "not_ranked": self.not_ranked,
            "captures_by_hand": self.captures_by_hand,
            "budget": self.budgets.default,
            "operation_budgets": dict(self.budgets.operations),
            "category_budgets": dict(self.budgets.categories),
            "seconds": _rounded(self.seconds),
            "operations": {name: _operation(stats) for name, stats in self.operations.items()},
            "categories": {name: _rounded(seconds) for name, seconds in self.categories.items()},
            "unobserved": _rounded(self.unobserved),
            "bottlenecks": [_bottleneck(row) for row in self.bottlenecks],
            "bottlenecks_count": self.bottlenecks_count,
            "findings": [finding.to_dict() for finding in self.findings],
            "skipped": [{"key": item.key, "reason": item.reason} for item in self.skipped],
            "skipped_count": self.skipped_count,
        }


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
        "population": stats.population.to_dict() if stats.population else None,
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
        "critical_seconds": _rounded(row.critical),
        "recoverable_seconds": _rounded(row.recoverable),
        "recoverable_interval": [_rounded(row.interval.low), _rounded(row.interval.high)],
        "operations": _count(row.operations),
        "rescued": _count(row.rescued),
        "tail": _rounded(row.tail),
        "p50_share": None if row.bands is None else _rounded(row.bands.p50),
        "p99_share": None if row.bands is None else _rounded(row.bands.p99),
        "exemplars": list(row.evidence.exemplars),
        "hottest_stack": list(row.evidence.hottest_stack),
        "first_seen": row.evidence.first_seen.isoformat(),
        "last_seen": row.evidence.last_seen.isoformat(),
        "hosts": list(row.evidence.hosts),
        "more_hosts": row.evidence.more_hosts,
        "versions": list(row.evidence.versions),
        "more_versions": row.evidence.more_versions,
    }


def _rounded(number: float) -> float:
    return round(number, _DIGITS)


def _count(number: float) -> int | float:
    """Return a number of operations: whole where all weights were."""
    return int(number) if number == int(number) else round(number, _DIGITS)
