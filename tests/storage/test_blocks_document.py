"""docs/blocks.md says what is: its columns are the tables', and its queries give what the profiles hold."""

from __future__ import annotations

import collections
import re
from datetime import UTC, datetime, timedelta
from pathlib import Path

import duckdb
import pytest

from profkit_storage import Enclosing, LocalStorage, Trigger
from profkit_storage.blocks.compaction import Compaction
from profkit_storage.blocks.schema import TABLES

DOCUMENT = (Path(__file__).parents[2] / "docs/blocks.md").read_text()
HOUR = 3_600_000_000_000
NOON = int(datetime(2026, 3, 14, 12, tzinfo=UTC).timestamp()) * 10**9


def block(language, starting=""):
    (found,) = re.findall(rf"```{language}\n({re.escape(starting)}.*?)```", DOCUMENT, re.DOTALL)
    return found


@pytest.fixture
def expected(tmp_path, make_profile, monkeypatch):
    """A store of compacted profiles in several blocks, in the working directory; and what its queries must find."""
    monkeypatch.chdir(tmp_path)
    store = LocalStorage(tmp_path)
    seconds = collections.Counter()
    for number in range(12):
        trigger = Trigger.SLOW if number % 4 else Trigger.MANUAL
        profile = make_profile(
            start_ns=NOON + number % 3 * HOUR + number,
            service=f"s{number % 2}",
            operation=f"op{number % 5}",
            wall=1.0 + number,
            trigger=trigger,
            weight=float(number) if trigger is Trigger.SLOW else 0.0,
        )
        store.put(profile)
        for sample in profile.samples if trigger is Trigger.SLOW else ():
            frame = profile.frames[profile.nodes[sample.node].frame]
            seconds[profile.operation, frame.qualname] += sample.wall * profile.weight
    list(Compaction(store, grace=timedelta(0)).run())
    assert not list(tmp_path.glob("profiles/v1/*/*"))
    rows = [(operation, name, round(spent, 3)) for (operation, name), spent in seconds.items()]
    return sorted(rows, key=lambda row: (-row[2], row[0], row[1]))[:20]


def close(found, expected):
    assert [row[:2] for row in found] == [row[:2] for row in expected]
    assert [row[2] for row in found] == pytest.approx([row[2] for row in expected], abs=0.002)


def test_the_query_for_duckdb(expected):
    with duckdb.connect() as connection:
        close(connection.sql(block("sql", "SELECT p.operation")).fetchall(), expected)


def test_the_query_that_counts_each_second_once(tmp_path, make_profile, monkeypatch):
    monkeypatch.chdir(tmp_path)
    store = LocalStorage(tmp_path)
    fields = {"start_ns": NOON, "service": "my shop", "trigger": Trigger.SLOW, "weight": 2.0}
    outer = make_profile(**fields, wall=5.0, enclosing=(Enclosing(1, False),))
    inner = make_profile(**fields, wall=3.0, enclosing=(Enclosing(2, True), Enclosing(1, False)))
    gone = make_profile(**fields, wall=7.0)
    for profile in (outer, inner, gone, make_profile(start_ns=NOON, trigger=Trigger.MANUAL, weight=0.0)):
        store.put(profile)
    list(Compaction(store, grace=timedelta(0)).run())
    store.delete(gone.id)
    with duckdb.connect() as connection:
        found = connection.sql(block("sql", "SELECT service")).fetchall()
    assert found == [("my shop", 2.0, pytest.approx(2 * outer.wall))]


def test_the_query_for_polars(expected):
    names = {}
    exec(block("python"), names)
    close(names["found"].rows(), expected)


@pytest.mark.parametrize("table", TABLES)
def test_every_column_is_explained(table):
    (paragraph,) = re.findall(rf"^\*\*{table}\*\*: (.*?)\n\n", DOCUMENT, re.DOTALL | re.MULTILINE)
    named = set(re.findall(r"`([^`]+)`", paragraph))
    assert set(TABLES[table]) <= named, set(TABLES[table]) - named
