"""Recoverable seconds by hand, and that any grouping of the same profiles gives the same report."""

from __future__ import annotations

import random

import pytest

from profkit_analyzers import ProfileAnalyzer
from profkit_analyzers.ranking.budgets import Budgets
from profkit_analyzers.ranking.quantiles import DurationSketch
from profkit_analyzers.ranking.rows import ranked
from profkit_analyzers.ranking.summary import MICRO, NANO, Summary
from profkit_storage import MemoryStorage
from profkit_storage.categories import default_categories

TABLE = default_categories()


@pytest.fixture
def two_parts(make_profile, frames):
    """`two_parts(db, llm)`: a profile of so many seconds each, over a threshold of 1 s."""

    def make(db, llm, **fields):
        stacks = [
            ([frames.app("app:main"), frames.lib("redis.client:get", "redis")], db),
            ([frames.app("app:main"), frames.lib("openai.client:create", "openai")], llm),
        ]
        return make_profile(stacks=stacks, **fields)

    return make


def costs(*profiles, budget=None):
    summary = Summary()
    for profile in profiles:
        summary.add(profile, TABLE, Budgets(default=budget))
    return {
        blame.owner: (
            cost.recoverable / NANO,
            cost.spent / NANO,
            cost.operations / MICRO,
            cost.rescued / MICRO,
        )
        for _, blame, cost, _ in ranked(summary)
    }


def test_no_more_than_the_excess_over_the_threshold_is_recoverable(two_parts):
    found = costs(two_parts(0.5, 2.5))
    assert found["openai"] == (2.0, 2.5, 1, 1)
    assert found["redis"] == (0.5, 0.5, 1, 0)


def test_weights_count_what_was_dropped(two_parts):
    found = costs(two_parts(0.5, 2.5, weight=3.0), two_parts(1.5, 0.5))
    assert found["openai"] == (6.5, 8.0, 4, 3)
    assert found["redis"] == (2.5, 3.0, 4, 1)


def test_what_was_within_its_budget_cannot_be_rescued(two_parts):
    assert costs(two_parts(0.1, 2.5), two_parts(0.1, 2.5, threshold=9.0))["openai"] == (1.6, 5.0, 2, 1)


def test_a_budget_replaces_the_thresholds(two_parts):
    assert costs(two_parts(0.5, 2.5), budget=2.8)["openai"][0] == pytest.approx(0.2)
    assert costs(two_parts(0.5, 2.5), budget=0)["openai"][0] == 2.5
    assert costs(two_parts(0.5, 2.5), budget=3.5) == {}


def test_the_order_is_by_recoverable_seconds_and_not_by_seconds(two_parts):
    # One long operation over a wide budget recovers less than many that are just over a narrow one.
    slow = [two_parts(3.0, 0.0001, threshold=2.9) for _ in range(20)]
    tight = [two_parts(0.0001, 1.5, threshold=0.5) for _ in range(20)]
    assert list(costs(*slow, *tight)) == ["openai", "redis"]


def test_the_example_is_the_operation_with_the_largest_part(two_parts):
    profiles = [two_parts(0.1, seconds) for seconds in (2.0, 5.0, 3.0)]
    summary = Summary()
    for profile in profiles:
        summary.add(profile, TABLE)
    first = ranked(summary)[0].cost
    assert [example.id for example in first.worst] == [profiles[index].id for index in (1, 2, 0)]


def random_profiles(make_profile, frames, count):
    source = random.Random(7)
    owners = ["redis", "openai", "orjson", "httpx", "sqlalchemy"]
    for _ in range(count):
        stacks = [
            (
                [frames.app(f"app:f{source.randrange(4)}"), frames.lib(f"{source.choice(owners)}:call")],
                source.random(),
            )
            for _ in range(source.randrange(1, 8))
        ]
        operation, weight = source.choice(["a", "b", "c"]), source.choice([1.0, 2.0, 3.7])
        yield make_profile(stacks=stacks, operation=operation, weight=weight, threshold=source.random())


def fingerprint(summary):
    figures = [
        (name, entry.profiles, entry.operations, entry.spent, entry.unobserved, entry.slowest)
        for name, entry in sorted(summary.operations.items())
    ]
    quantiles = [
        entry.durations.quantile(share)
        for _, entry in sorted(summary.operations.items())
        for share in (0.01, 0.5, 0.99)
    ]
    return figures, quantiles, ranked(summary)


@pytest.mark.parametrize("seed", range(5))
def test_any_grouping_in_any_order_merges_to_the_same(make_profile, frames, seed):
    profiles = list(random_profiles(make_profile, frames, 60))
    whole = Summary()
    for profile in profiles:
        whole.add(profile, TABLE)
    source = random.Random(seed)
    source.shuffle(profiles)
    parts = [Summary() for _ in range(1 + seed * 4)]
    for profile in profiles:
        source.choice(parts).add(profile, TABLE)
    while len(parts) > 1:
        left = parts.pop(source.randrange(len(parts)))
        parts[source.randrange(len(parts))].merge(left)
    assert fingerprint(parts[0]) == fingerprint(whole)


def test_tails_sum_to_one_and_say_what_makes_the_slow_ones_slow(two_parts):
    source = random.Random(2)
    store = MemoryStorage()
    for _ in range(200):
        # Redis takes the same time in each, openai a different one.
        store.put(two_parts(1.0, source.lognormvariate(0.0, 0.7)))
    report = ProfileAnalyzer(store).analyze()
    rows = {row.owner: row for row in report.bottlenecks}
    assert rows["openai"].tail == pytest.approx(1.0, abs=1e-4)
    assert rows["redis"].tail == pytest.approx(0.0, abs=1e-4)
    assert rows["openai"].bands.p99 > rows["openai"].bands.p50 + 0.15
    assert rows["redis"].bands.p99 < rows["redis"].bands.p50 - 0.15
    for band in (0, 1):
        assert sum(row.bands[band] for row in rows.values()) == pytest.approx(1.0)


def test_of_few_runs_the_slowest_hundredth_says_nothing(two_parts):
    store = MemoryStorage()
    for _ in range(19):
        store.put(two_parts(1.0, 2.0))
    assert {row.bands for row in ProfileAnalyzer(store).analyze().bottlenecks} == {None}
    store.put(two_parts(1.0, 2.0))
    assert None not in {row.bands for row in ProfileAnalyzer(store).analyze().bottlenecks}


def test_evidence_names_the_worst_runs_when_and_where(two_parts):
    store = MemoryStorage()
    profiles = [
        two_parts(
            0.1, number % 7 + 1.0, host=f"web-{number % 30:02}", version="2", start_ns=(1 + number) * 10**18
        )
        for number in range(8)
    ]
    for profile in profiles:
        store.put(profile)
    evidence = ProfileAnalyzer(store).analyze().bottlenecks[0].evidence
    assert evidence.exemplars == tuple(profiles[index].id for index in (6, 5, 4))
    assert (evidence.first_seen.timestamp(), evidence.last_seen.timestamp()) == (1e9, 8e9)
    assert evidence.hosts == tuple(f"web-{number:02}" for number in range(8))
    assert (evidence.versions, evidence.more_hosts) == (("2",), False)


def test_evidence_has_the_stack_with_most_seconds_in_the_worst_run(make_profile, frames):
    store = MemoryStorage()
    main, ask, send = frames.app("app:main"), frames.lib("openai.client:ask"), frames.lib("httpx:send")
    stacks = [([main, ask], 0.4), ([main, ask, send], 2.0), ([main, frames.lib("redis:get")], 1.0)]
    store.put(make_profile(stacks=stacks))
    store.put(make_profile(stacks=[([main, ask], 1.5)]))
    first, second = ProfileAnalyzer(store).analyze().bottlenecks
    names = [name.partition(" (line")[0] for name in first.evidence.hottest_stack]
    assert names == ["app.main", "openai.client.ask", "httpx.send"]
    assert second.evidence.hottest_stack[-1].startswith("redis.get")


def test_of_very_many_hosts_the_first_by_name_are_told(two_parts):
    store = MemoryStorage()
    for number in random.Random(4).sample(range(50), 50):
        store.put(two_parts(0.1, 2.0, host=f"web-{number:02}"))
    evidence = ProfileAnalyzer(store).analyze().bottlenecks[0].evidence
    assert evidence.hosts == tuple(f"web-{number:02}" for number in range(20))
    assert evidence.more_hosts


def test_quantiles_are_within_one_percent():
    source = random.Random(3)
    values = sorted(source.lognormvariate(0.5, 1) for _ in range(5000))
    sketch = DurationSketch()
    for value in values:
        sketch.add(value, 1)
    for share in (0.1, 0.5, 0.95, 0.99):
        assert sketch.quantile(share) == pytest.approx(values[round(share * 5000) - 1], rel=0.011)


def test_a_quantile_of_nothing_is_zero_and_extremes_are_counted():
    sketch = DurationSketch()
    assert sketch.quantile(0.5) == 0
    sketch.add(0.0, 1)
    sketch.add(1e300, 1)
    assert sketch.quantile(0.5) < 1e-5
    assert sketch.quantile(1.0) > 1e8
