"""How all calls of an operation went, from the rollups: those that left no profile too.

What was counted in a rollup belongs to the time in which its window began, as `scan_rollups` has it: neighbouring
times share no call, and together they have all. A window that reaches over the end of a time is whole in it; of one
that began before, nothing is. `Population.last_ns` tells how far the windows reach.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TypeVar

from profkit_storage import Histogram, ProfileStorage, Rollup, RollupSet
from profkit_storage.base import ProblemHandler, log_rollup_problem

K = TypeVar("K", bound=Hashable)
V = TypeVar("V", str, float)

MAX_NAMES = 20
"""Services, versions, categories and thresholds that a population names: the first in order, so merging keeps it."""

_NANO = 1_000_000_000
_NEVER = 2**63 - 1
_DIGITS = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Population:
    """All calls of one operation. `seconds` is their sum; p50, p95 and p99 are seconds to 4.8 %, None without calls.

    `slow` ones took their threshold or longer; `kept` of them became profiles, and `dropped` counts others by reason.
    `first_ns` and `last_ns` are when the first window began and the last one ended (UTC, nanoseconds since the epoch).

    An operation that ends as its window does may be told an error, slow or kept in the next window, so that `errors`
    and `slow` can pass `calls` by a few; the shares never pass 1.
    """

    calls: int
    errors: int
    slow: int
    kept: int
    dropped: Mapping[str, int]
    seconds: float
    p50: float | None
    p95: float | None
    p99: float | None
    thresholds: tuple[float, ...]
    categories: tuple[str, ...]
    services: tuple[str, ...]
    versions: tuple[str, ...]
    first_ns: int
    last_ns: int

    @property
    def share_slow(self) -> float | None:
        """The part of the calls that was slow, 0 to 1; None without calls."""
        return _share(self.slow, self.calls)

    @property
    def error_rate(self) -> float | None:
        """The part of the calls that failed, 0 to 1; None without calls."""
        return _share(self.errors, self.calls)

    def to_dict(self) -> dict[str, object]:
        """Return it as plain values for JSON; seconds with six decimals."""
        return {
            "calls": self.calls,
            "errors": self.errors,
            "slow": self.slow,
            "kept": self.kept,
            "dropped": dict(sorted(self.dropped.items())),
            "seconds": round(self.seconds, _DIGITS),
            "share_slow": _rounded(self.share_slow),
            "error_rate": _rounded(self.error_rate),
            "p50": _rounded(self.p50),
            "p95": _rounded(self.p95),
            "p99": _rounded(self.p99),
            "thresholds": list(self.thresholds),
            "categories": list(self.categories),
            "services": list(self.services),
            "versions": list(self.versions),
            "first_ns": self.first_ns,
            "last_ns": self.last_ns,
        }


@dataclass(slots=True)
class PopulationSummary:
    """Any number of rollups, which merge in any order and grouping to the same; `spent` is nanoseconds.

    Its size is that of one histogram and a few names, however many rollups are added.
    """

    calls: int = 0
    errors: int = 0
    slow: int = 0
    kept: int = 0
    dropped: dict[str, int] = field(default_factory=dict[str, int])
    spent: int = 0
    histogram: Histogram = field(default_factory=Histogram)
    thresholds: set[float] = field(default_factory=set[float])
    categories: set[str] = field(default_factory=set[str])
    services: set[str] = field(default_factory=set[str])
    versions: set[str] = field(default_factory=set[str])
    first_ns: int = _NEVER
    last_ns: int = 0

    def add(self, window: RollupSet, row: Rollup) -> None:
        """Add one of the rollups of `window`."""
        self._count(row.calls, row.errors, row.slow, row.kept, row.dropped)
        self.spent += round(row.seconds * _NANO)
        self.histogram.merge(row.histogram)
        _name(self.thresholds, {row.threshold})
        _name(self.categories, {row.category})
        _name(self.services, {window.service})
        _name(self.versions, {window.version})
        self.first_ns = min(self.first_ns, window.start_ns)
        self.last_ns = max(self.last_ns, window.end_ns)

    def merge(self, other: PopulationSummary) -> None:
        """Add all that the other holds."""
        self._count(other.calls, other.errors, other.slow, other.kept, other.dropped)
        self.spent += other.spent
        self.histogram.merge(other.histogram)
        _name(self.thresholds, other.thresholds)
        _name(self.categories, other.categories)
        _name(self.services, other.services)
        _name(self.versions, other.versions)
        self.first_ns = min(self.first_ns, other.first_ns)
        self.last_ns = max(self.last_ns, other.last_ns)

    def result(self) -> Population:
        """Return its figures."""
        return Population(
            calls=self.calls,
            errors=self.errors,
            slow=self.slow,
            kept=self.kept,
            dropped=dict(self.dropped),
            seconds=self.spent / _NANO,
            p50=self._quantile(0.5),
            p95=self._quantile(0.95),
            p99=self._quantile(0.99),
            thresholds=tuple(sorted(self.thresholds)),
            categories=tuple(sorted(self.categories)),
            services=tuple(sorted(self.services)),
            versions=tuple(sorted(self.versions)),
            first_ns=self.first_ns,
            last_ns=self.last_ns,
        )

    def _count(self, calls: int, errors: int, slow: int, kept: int, dropped: Mapping[str, int]) -> None:
        self.calls += calls
        self.errors += errors
        self.slow += slow
        self.kept += kept
        for reason, count in dropped.items():
            self.dropped[reason] = self.dropped.get(reason, 0) + count

    def _quantile(self, q: float) -> float | None:
        return self.histogram.quantile(q) if self.histogram.total else None


def populations_of(
    storage: ProfileStorage,
    since: datetime | None = None,
    until: datetime | None = None,
    service: str | None = None,
    *,
    on_problem: ProblemHandler = log_rollup_problem,
) -> dict[str, Population]:
    """Return the population of every operation, by its name, the one with the most seconds first.

    An operation of one name is one, whatever its categories, thresholds, services, versions and hosts; see
    `populations_by` to tell them apart. Windows that began in [since, until) count; None means any. What is damaged is
    passed to `on_problem` by name, and left out.

    Raises:
        ConfigurationError: `since` is after `until`.
        StorageError: the store cannot be read.
    """
    return populations_by(_operation, storage, since, until, service, on_problem=on_problem)


def populations_by(
    key: Callable[[RollupSet, Rollup], K],
    storage: ProfileStorage,
    since: datetime | None = None,
    until: datetime | None = None,
    service: str | None = None,
    *,
    on_problem: ProblemHandler = log_rollup_problem,
) -> dict[K, Population]:
    """Do as `populations_of` does, by any `key`, such as `lambda window, row: (row.operation, window.version)`."""
    found: dict[K, PopulationSummary] = {}
    for window in storage.scan_rollups(since=since, until=until, service=service, on_problem=on_problem):
        for row in window.rollups:
            found.setdefault(key(window, row), PopulationSummary()).add(window, row)
    ranked = sorted(found.items(), key=lambda item: (-item[1].spent, str(item[0])))
    return {name: summary.result() for name, summary in ranked}


def _operation(window: RollupSet, row: Rollup) -> str:  # noqa: ARG001 - a key may look at both
    return row.operation


def _name(names: set[V], more: set[V]) -> None:
    """Add names, and keep the first of them in order: what is left does not depend on the order they came in."""
    names |= more
    if len(names) > MAX_NAMES:
        names.intersection_update(sorted(names)[:MAX_NAMES])


def _share(part: int, whole: int) -> float | None:
    return min(1.0, part / whole) if whole else None


def _rounded(number: float | None) -> float | None:
    return None if number is None else round(number, _DIGITS)
