"""How many calls slow operations are of comes from the rollups, where these tell of the same slow ones."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta

import pytest

from profkit_analyzers import ProfileComparer, Source
from profkit_analyzers.changes.comparison import Verdict
from profkit_analyzers.cli import main
from profkit_storage import Histogram, LocalStorage, ProfileQuery, Rollup, RollupSet
from profkit_storage.ulid import new_ulid

START = datetime(2026, 3, 14, tzinfo=UTC)
HOUR = timedelta(hours=1)


def nanoseconds(moment):
    return round(moment.timestamp()) * 10**9


@pytest.fixture
def store(tmp_path, make_profile):
    """`store(slow, told, calls)`: of each hour its slow operations, those its rollups tell of, and all calls."""

    def make(*hours, **fields):
        storage = LocalStorage(tmp_path / "store")
        for number, (slow, told, calls) in enumerate(hours):
            start = START + number * HOUR
            version = f"1.{number}"
            for index in range(slow):
                at = nanoseconds(start) + index * 10**9
                storage.put(make_profile(operation="pay", start_ns=at, version=version, **fields))
            histogram = Histogram({100: calls})
            row = Rollup("pay", "", calls, 0, 1.0 * calls, told, slow, {}, 1.0, histogram)
            storage.put_rollup(
                RollupSet(
                    id=new_ulid(nanoseconds(start)),
                    service="orders",
                    start_ns=nanoseconds(start),
                    end_ns=nanoseconds(start + HOUR),
                    version=version,
                    rollups=(row,),
                )
            )
        return storage

    return make


def sides(storage):
    queries = [
        ProfileQuery(since=START + number * HOUR, until=START + (number + 1) * HOUR) for number in (0, 1)
    ]
    return ProfileComparer().sources(*(Source(storage, query) for query in queries))


@pytest.mark.parametrize(
    "compare", [sides, lambda storage: ProfileComparer().versions(storage, "1.0", "1.1")]
)
def test_more_of_the_calls_that_are_slow_are_a_regression(store, compare):
    (row,) = compare(store((60, 60, 1000), (200, 200, 1000))).operations
    assert tuple(row.calls) == (1000, 1000)
    assert row.verdict is Verdict.SLOWER


def test_more_calls_are_none(store):
    (row,) = sides(store((60, 60, 1000), (180, 180, 3000))).operations
    assert row.verdict is Verdict.NO_EVIDENCE


def test_where_rollups_and_profiles_tell_of_others_calls_say_nothing(store):
    # Half of the profiles were pruned, say: the operation would seem to have been slow half as often.
    (row,) = sides(store((60, 120, 1000), (120, 120, 1000))).operations
    assert row.calls is None
    assert row.verdict is Verdict.NO_EVIDENCE


def test_a_trend_has_the_share_that_was_slow(store):
    storage = store(*[(6, 6, 100)] * 3, *[(12, 12, 100)] * 3)
    found = ProfileComparer().trend(storage, ProfileQuery(since=START))
    (shares,) = [series for series in found.series if series.figure == "slow"]
    assert shares.values == (0.06,) * 3 + (0.12,) * 3


def test_the_command_fails_on_it(store, capsys):
    storage = store((60, 60, 1000), (200, 200, 1000))
    code = main(
        ["diff", str(storage.path), "--versions", "1.0", "1.1", "--fail-on-regression", "--format", "json"]
    )
    assert code == 3
    assert json.loads(capsys.readouterr().out)["operations"][0]["calls"] == [1000, 1000]
