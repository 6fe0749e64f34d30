"""The tables of a report, for Polars. Imports it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import polars as pl

_MOMENT = pl.Datetime("us", "UTC")
_BOTTLENECKS: Mapping[str, pl.DataType | type[pl.DataType]] = {
    "rank": pl.Int64,
    "operation": pl.String,
    "category": pl.String,
    "subcategory": pl.String,
    "owner": pl.String,
    "call_site": pl.String,
    "seconds": pl.Float64,
    "share": pl.Float64,
    "critical_seconds": pl.Float64,
    "recoverable_seconds": pl.Float64,
    "recoverable_low": pl.Float64,
    "recoverable_high": pl.Float64,
    "operations": pl.Float64,
    "rescued": pl.Float64,
    "tail": pl.Float64,
    "p50_share": pl.Float64,
    "p99_share": pl.Float64,
    "exemplars": pl.List(pl.String),
    "hottest_stack": pl.List(pl.String),
    "first_seen": _MOMENT,
    "last_seen": _MOMENT,
    "hosts": pl.List(pl.String),
    "versions": pl.List(pl.String),
}
_OPERATIONS: Mapping[str, pl.DataType | type[pl.DataType]] = {
    "operation": pl.String,
    "profiles": pl.Int64,
    "nested": pl.Int64,
    "operations": pl.Float64,
    "seconds": pl.Float64,
    "unobserved": pl.Float64,
    "slowest": pl.Float64,
    "slowest_id": pl.String,
    "p50": pl.Float64,
    "p95": pl.Float64,
    "p99": pl.Float64,
    "calls": pl.Int64,
    "share_slow": pl.Float64,
}
_FINDINGS: Mapping[str, pl.DataType | type[pl.DataType]] = {
    "pattern": pl.String,
    "operation": pl.String,
    "place": pl.String,
    "seconds": pl.Float64,
    "operations": pl.Float64,
    "advice": pl.String,
    "exemplars": pl.List(pl.String),
}
_CATEGORIES: Mapping[str, pl.DataType | type[pl.DataType]] = {"category": pl.String, "seconds": pl.Float64}


def tables(document: Mapping[str, Any]) -> dict[str, pl.DataFrame]:
    """Return the tables of a report's plain form (`Report.to_dict`): bottlenecks, operations, categories, findings.

    The names of columns are those of docs/analysis-json.md; an interval is two columns, times are in UTC. An empty
    table has its columns.
    """
    return {
        "bottlenecks": _frame([_bottleneck(row) for row in document["bottlenecks"]], _BOTTLENECKS),
        "operations": _frame(
            [_operation(name, row) for name, row in document["operations"].items()], _OPERATIONS
        ),
        "categories": _frame(
            [{"category": name, "seconds": spent} for name, spent in document["categories"].items()],
            _CATEGORIES,
        ),
        "findings": _frame(document["findings"], _FINDINGS),
    }


def _frame(
    rows: Sequence[Mapping[str, Any]], schema: Mapping[str, pl.DataType | type[pl.DataType]]
) -> pl.DataFrame:
    return pl.DataFrame([{name: row[name] for name in schema} for row in rows], schema=dict(schema))


def _bottleneck(row: Mapping[str, Any]) -> dict[str, Any]:
    low, high = row["recoverable_interval"]
    moments = {name: datetime.fromisoformat(row[name]) for name in ("first_seen", "last_seen")}
    return {**row, **moments, "recoverable_low": low, "recoverable_high": high}


def _operation(name: str, row: Mapping[str, Any]) -> dict[str, Any]:
    population: Mapping[str, Any] = row["population"] or {}
    calls = {key: population.get(key) for key in ("calls", "share_slow")}
    return {**row, **calls, "operation": name}
