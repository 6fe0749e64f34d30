"""A report's tables in Polars say what its JSON does."""

from __future__ import annotations

import polars as pl
import pytest

from profkit_analyzers import ProfileAnalyzer
from profkit_storage import MemoryStorage


def test_the_tables_have_what_the_json_has(make_profile):
    store = MemoryStorage()
    for number in range(30):
        store.put(make_profile(operation=f"op{number % 2}"))
    report = ProfileAnalyzer(store).analyze()
    tables, document = report.to_polars(), report.to_dict()
    assert set(tables) == {"bottlenecks", "operations", "categories", "findings"}
    rows = tables["bottlenecks"]
    assert rows["recoverable_seconds"].to_list() == [
        row["recoverable_seconds"] for row in document["bottlenecks"]
    ]
    assert rows["first_seen"].dtype == pl.Datetime("us", "UTC")
    assert rows["first_seen"][0] == report.bottlenecks[0].evidence.first_seen
    assert rows.filter(pl.col("recoverable_low") > pl.col("recoverable_high")).is_empty()
    assert tables["operations"].sort("operation")["profiles"].to_list() == [15, 15]
    assert tables["operations"]["calls"].to_list() == [None, None]
    assert tables["categories"]["seconds"].sum() == pytest.approx(report.seconds - report.unobserved)


def test_tables_of_nothing_have_their_columns():
    tables = ProfileAnalyzer(MemoryStorage()).analyze().to_polars()
    assert all(table.is_empty() and table.width > 1 for table in tables.values())
