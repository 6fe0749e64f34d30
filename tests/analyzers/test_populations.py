"""Populations: what rollups say of all calls of an operation, merged over processes, services, windows and versions."""

from __future__ import annotations

import contextlib
import itertools
import json
import math
import pickle
import random
import time
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

import profkit
from profkit_analyzers.populations import MAX_NAMES, PopulationSummary, populations_by, populations_of
from profkit_storage import ConfigurationError, Histogram, LocalStorage, MemoryStorage, Rollup, RollupSet
from profkit_storage.histogram import BUCKETS, LONGEST, MAX_ERROR, bucket_of
from profkit_storage.ulid import new_ulid

NOON = datetime(2026, 3, 14, 12, tzinfo=UTC)
NOON_NS = int(NOON.timestamp()) * 10**9
MINUTE = 60 * 10**9


def rollup(*durations, operation="agent.route", category="agent", threshold=1.0, **fields):
    histogram = Histogram()
    histogram.add_many(durations)
    slow = sum(duration >= threshold for duration in durations)
    made = Rollup(
        operation, category, len(durations), 0, sum(durations), slow, slow, {}, threshold, histogram
    )
    return made._replace(**fields)


def window(*rows, minute=0.0, minutes=1.0, **fields):
    start_ns = NOON_NS + round(minute * MINUTE)
    made = {"service": "orders", "version": "1", "end_ns": start_ns + round(minutes * MINUTE), **fields}
    return RollupSet(id=new_ulid(start_ns), start_ns=start_ns, rollups=rows, **made)


@pytest.fixture
def store(tmp_path):
    """`store(*sets)`: a directory that holds them."""

    def make(*sets):
        storage = LocalStorage(tmp_path / "store")
        for one in sets:
            storage.put_rollup(one)
        return storage

    return make


rows = st.builds(
    Rollup,
    operation=st.just("a"),
    category=st.text("abcdefg", max_size=3),
    calls=st.integers(0, 9),
    errors=st.integers(0, 9),
    seconds=st.floats(0, 1e6),
    slow=st.integers(0, 9),
    kept=st.integers(0, 9),
    dropped=st.dictionaries(st.sampled_from(["rate", "queue", "spool"]), st.integers(0, 5)),
    threshold=st.floats(0, 1e3),
    histogram=st.dictionaries(st.integers(0, BUCKETS - 1), st.integers(1, 9), max_size=4).map(Histogram),
)
windows = st.builds(
    window,
    st.just(()),
    minute=st.integers(0, 100),
    minutes=st.integers(0, 100),
    service=st.text("xyz", max_size=3),
    version=st.text("0123456789", max_size=2),
)


def summed(pairs):
    summary = PopulationSummary()
    for one, row in pairs:
        summary.add(one, row)
    return summary


@given(
    st.lists(st.tuples(windows, rows), max_size=25), st.lists(st.integers(0, 25), max_size=4), st.randoms()
)
def test_any_order_and_grouping_gives_the_same(pairs, cuts, chance):
    whole = summed(pairs)
    shuffled = pairs[:]
    chance.shuffle(shuffled)
    bounds = sorted({0, len(pairs), *(cut for cut in cuts if cut < len(pairs))})
    parts = [summed(shuffled[first:last]) for first, last in itertools.pairwise(bounds)]
    chance.shuffle(parts)
    together = PopulationSummary()
    for part in parts:
        together.merge(pickle.loads(pickle.dumps(part)))
    assert together == whole
    assert together.result() == whole.result()
    assert json.loads(json.dumps(together.result().to_dict()))["calls"] == sum(row.calls for _, row in pairs)


def test_names_are_bounded_whatever_the_order_they_come_in():
    pairs = [(window(service=f"s{number:03}"), rollup(1.0)) for number in range(3 * MAX_NAMES)]
    forth, back = summed(pairs).result(), summed(reversed(pairs)).result()
    assert forth == back
    assert forth.services == tuple(f"s{number:03}" for number in range(MAX_NAMES))
    assert forth.calls == 3 * MAX_NAMES


def test_quantiles_are_those_of_all_calls_of_all_processes(store):
    draw = random.Random(7)
    durations = [draw.lognormvariate(-1, 1) for _ in range(3000)]
    sets = [
        window(rollup(*durations[first : first + 300]), minute=first / 300) for first in range(0, 3000, 300)
    ]
    found = populations_of(store(*sets))["agent.route"]
    true = sorted(durations)
    for q, quantile in ((0.5, found.p50), (0.95, found.p95), (0.99, found.p99)):
        assert quantile == pytest.approx(true[int(q * 2999)], rel=MAX_ERROR * 1.0001)
    assert found.calls == 3000
    assert found.seconds == pytest.approx(sum(durations), abs=1e-5)
    assert found.share_slow == sum(duration >= 1.0 for duration in durations) / 3000


def test_thresholds_categories_services_and_versions_of_one_operation_are_one(store):
    found = populations_of(
        store(
            window(rollup(0.7, threshold=0.5), rollup(0.1, 2.0)),
            window(rollup(3.0, category="db"), service="mail", version="2", minute=5),
            window(rollup(9.0, operation="other"), minute=6),
        )
    )
    assert list(found) == ["other", "agent.route"]
    route = found["agent.route"]
    assert (route.calls, route.slow, route.kept, route.share_slow) == (4, 3, 3, 0.75)
    assert (route.thresholds, route.categories) == ((0.5, 1.0), ("agent", "db"))
    assert (route.services, route.versions) == (("mail", "orders"), ("1", "2"))
    assert (route.first_ns, route.last_ns) == (NOON_NS, NOON_NS + 6 * MINUTE)


def test_they_are_told_apart_by_any_key(store):
    storage = store(
        window(rollup(1.0), version="1"),
        window(rollup(3.0), version="2", minute=1),
        window(rollup(5.0, 5.0), version="2", minute=61, service="mail"),
    )
    by_version = populations_by(lambda one, row: (row.operation, one.version), storage)
    assert {key: one.calls for key, one in by_version.items()} == {
        ("agent.route", "2"): 3,
        ("agent.route", "1"): 1,
    }
    by_hour = populations_by(lambda one, row: one.start_ns // (60 * MINUTE) * 60, storage)
    assert [one.calls for one in by_hour.values()] == [2, 2]
    assert populations_of(storage, service="mail")["agent.route"].calls == 2


def test_drops_are_summed_by_reason(store):
    found = populations_of(
        store(
            window(rollup(2.0, 2.0, kept=0, dropped={"max_profiles": 1, "spool": 1})),
            window(rollup(2.0, 2.0, kept=1, dropped={"spool": 1}), minute=1),
        )
    )["agent.route"]
    assert (found.slow, found.kept, found.dropped) == (4, 1, {"max_profiles": 1, "spool": 2})


def test_a_window_counts_whole_where_it_began(store):
    storage = store(*(window(rollup(1.0), minute=minute, minutes=10) for minute in range(0, 30, 10)))
    cut = NOON + timedelta(minutes=15)
    before, after = populations_of(storage, until=cut), populations_of(storage, since=cut)
    assert (before["agent.route"].calls, after["agent.route"].calls) == (2, 1)
    assert before["agent.route"].last_ns == NOON_NS + 20 * MINUTE, "it tells that it reaches over the end"
    assert populations_of(storage, since=NOON, until=NOON) == {}
    with pytest.raises(ConfigurationError, match="must not be later"):
        populations_of(storage, since=cut, until=NOON)


@given(st.lists(st.integers(0, 120), min_size=1, max_size=20), st.integers(0, 120))
def test_two_times_that_meet_have_every_call_once(minutes, cut):
    storage = MemoryStorage()
    for minute in minutes:
        storage.put_rollup(window(rollup(1.0), minute=minute, minutes=5))
    moment = NOON + timedelta(minutes=cut)
    halves = [
        *populations_of(storage, until=moment).values(),
        *populations_of(storage, since=moment).values(),
    ]
    assert sum(half.calls for half in halves) == len(minutes)


def test_an_error_told_in_the_window_after_its_call(store):
    storage = store(window(rollup(1.0, 1.0)), window(rollup(errors=1, slow=1, kept=1), minute=1, minutes=0.5))
    late = populations_of(storage, since=NOON + timedelta(minutes=1))["agent.route"]
    assert (late.calls, late.errors, late.slow) == (0, 1, 1)
    assert (late.share_slow, late.error_rate, late.p50, late.p95, late.p99) == (None,) * 5
    assert populations_of(storage)["agent.route"].error_rate == 0.5
    some = populations_of(
        store(window(rollup(1.0, errors=3, slow=2), minute=600)), since=NOON + timedelta(hours=9)
    )
    assert (some["agent.route"].errors, some["agent.route"].error_rate, some["agent.route"].share_slow) == (
        3,
        1,
        1,
    )


def test_damage_is_named_and_the_rest_is_counted(store, caplog):
    storage = store(window(rollup(1.0)), window(rollup(1.0, 1.0), minute=1))
    first = min(storage.path.rglob("*.pkr"))
    first.write_bytes(first.read_bytes()[:-3])
    (first.parent / "notes.txt").write_text("mine")
    problems = {}
    found = populations_of(storage, on_problem=problems.__setitem__)
    assert found["agent.route"].calls in (1, 2)
    assert {key.rpartition("/")[2] for key in problems} == {first.name, "notes.txt"}
    populations_of(storage)
    assert "not a set of rollups" in caplog.text


def test_what_was_really_captured_is_counted(tmp_path):
    profiler = profkit.PerformanceProfiler()
    profiler.configure(
        storage=tmp_path / "store", service="shop", threshold=0.03, rollup_interval=0.1, spool="off"
    )
    took = []

    @profiler.profile("shop.pay", category="http")
    def pay(number):
        time.sleep(0.04 if number % 8 == 0 else 0.001)
        return 1 / (number % 10)

    for number in range(40):
        begun = time.perf_counter()
        with contextlib.suppress(ZeroDivisionError):
            pay(number)
        took.append(time.perf_counter() - begun)
    profiler.shutdown()
    found = populations_of(LocalStorage(tmp_path / "store"))["shop.pay"]
    assert (found.calls, found.errors) == (40, 4)
    assert 5 <= found.slow == found.kept + sum(found.dropped.values())
    assert found.p50 == pytest.approx(sorted(took)[19], rel=0.5)
    assert (found.services, found.categories, found.thresholds) == (("shop",), ("http",), (0.03,))
    assert found.seconds <= sum(took)


@given(st.lists(st.floats(0, 2 * LONGEST), max_size=40), st.floats(1e-9, 2 * LONGEST))
def test_how_many_are_under_is_known_to_a_bucket(durations, seconds):
    histogram = Histogram()
    histogram.add_many(durations)
    least, most = histogram.under(seconds)
    assert least <= sum(duration < seconds for duration in durations) <= most
    low, high = bucket_of(seconds)
    assert most - least <= sum(low <= duration < high for duration in durations)
    assert low <= seconds < high
    assert high == math.inf or low == 0 or high / low == pytest.approx(1.1)


def test_a_bound_of_a_bucket_leaves_nothing_open():
    histogram = Histogram({100: 3, 101: 4})
    bound = bucket_of(1.0001 * 1e-6 * 1.1**101)[0]
    assert histogram.under(bound) == (3, 3)
    assert histogram.under(bound * 1.0001) == (3, 7)
    assert histogram.under(LONGEST * 5) == (7, 7)
