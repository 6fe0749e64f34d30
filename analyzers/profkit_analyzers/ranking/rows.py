"""From what was summed to the rows of a report."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import NamedTuple

from profkit_analyzers.attribution.blame import Blame
from profkit_analyzers.bootstrap import Interval, intervals
from profkit_analyzers.populations import Population
from profkit_analyzers.ranking.bands import BandShares, seconds_in, usual_and_slowest
from profkit_analyzers.ranking.summary import MAX_NAMES, MICRO, NANO, Cost, OperationSummary, Summary
from profkit_analyzers.report import Bottleneck, Evidence, OperationStats

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LEAST_FOR_BANDS = 20
"""Runs below which the slowest hundredth is one run by chance."""


class Row(NamedTuple):
    """What is ranked: the cost of a blame in an operation, nanoseconds, and the interval of what is recoverable."""

    operation: str
    blame: Blame
    cost: Cost
    interval: Interval


def ranked(summary: Summary) -> list[Row]:
    """Return what is over its budget: first what is sure to recover most, by the lower end of its interval."""
    found = [
        (name, blame, cost)
        for name, operation in summary.operations.items()
        for blame, cost in operation.costs.items()
        if cost.recoverable > 0
    ]
    sure = intervals([cost.groups for _, _, cost in found])
    rows = [Row(*row, Interval(*(end * 1000 for end in ends))) for row, ends in zip(found, sure, strict=True)]
    return sorted(
        rows,
        key=lambda row: (
            -row.interval.low,
            -row.cost.recoverable,
            -row.cost.spent,
            row.operation,
            row.blame,
        ),
    )


def bottleneck(rank: int, row: Row, operation: OperationSummary, total: int) -> Bottleneck:
    """Return one row of the ranking; `total` is all operations' nanoseconds."""
    name, blame, cost, interval = row
    return Bottleneck(
        rank=rank,
        operation=name,
        category=blame.category,
        subcategory=blame.subcategory,
        owner=blame.owner,
        call_site=blame.call_site,
        seconds=cost.spent / NANO,
        share=cost.spent / total if total else 0.0,
        critical=cost.critical / NANO,
        recoverable=cost.recoverable / NANO,
        interval=Interval(interval.low / NANO, interval.high / NANO),
        operations=cost.operations / MICRO,
        rescued=cost.rescued / MICRO,
        tail=operation.tail(cost.product, cost.spent),
        bands=_bands(operation, cost),
        evidence=_evidence(cost),
    )


def _bands(operation: OperationSummary, cost: Cost) -> BandShares | None:
    if operation.profiles - operation.nested < _LEAST_FOR_BANDS:
        return None
    usual, slowest = usual_and_slowest(operation.bands)
    shares = [
        seconds_in(band, cost.bands) / (seconds_in(band, operation.spent_by_band) or 1)
        for band in (usual, slowest)
    ]
    return BandShares(*shares)


def _evidence(cost: Cost) -> Evidence:
    return Evidence(
        exemplars=tuple(example.id for example in cost.worst),
        first_seen=_moment(cost.first_ns),
        last_seen=_moment(cost.last_ns),
        hosts=tuple(sorted(filter(None, cost.hosts))[:MAX_NAMES]),
        versions=tuple(sorted(filter(None, cost.versions))[:MAX_NAMES]),
        more_hosts=len(cost.hosts) > MAX_NAMES,
        more_versions=len(cost.versions) > MAX_NAMES,
    )


def _moment(nanoseconds: int) -> datetime:
    return _EPOCH + timedelta(microseconds=nanoseconds // 1000)


def operation_stats(summary: OperationSummary, population: Population | None = None) -> OperationStats:
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
        population=population,
    )
