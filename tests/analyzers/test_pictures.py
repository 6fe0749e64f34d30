"""What a page draws: sums by time and call trees, which merge in any order, and conserve every second."""

from __future__ import annotations

import pickle
import random
from datetime import UTC, datetime
from functools import reduce

import pytest
from hypothesis import given
from hypothesis import strategies as st

from profkit_analyzers import ProcessPool, ProfileAnalyzer
from profkit_analyzers.attribution.blame import Blame
from profkit_analyzers.pictures import trees
from profkit_analyzers.pictures.history import MAX_PERIODS, STEPS, HistorySums
from profkit_analyzers.pictures.trees import TreeSums
from profkit_analyzers.ranking.summary import NANO, Summary
from profkit_storage import MemoryStorage, State, open_storage
from profkit_storage.categories import default_categories

NOON = 1_773_489_600 * NANO
STARTS = st.one_of(st.integers(0, 100 * NANO), st.integers(0, 5_000_000 * NANO), st.integers(-(2**61), 2**62))


def of(runs):
    sums = HistorySums()
    for start, band, weight, spent in runs:
        sums.add(NOON + start, band, weight, {f"c{spent % 3}": spent}, spent % 7)
    return sums


RUNS = st.lists(st.tuples(STARTS, st.integers(-9, 40), st.integers(1, 9), st.integers(0, NANO)), max_size=12)


@given(RUNS, RUNS, RUNS)
def test_history_is_the_same_in_any_order_and_grouping(one, two, three):
    whole = of([*one, *two, *three]).history()
    left, right = of(one), of(two)
    left.merge(right)
    left.merge(of(three))
    right = of(two)
    right.merge(of(three))
    back = of([])
    back.merge(pickle.loads(pickle.dumps(right)))
    back.merge(of(one[::-1]))
    assert left.history() == back.history() == whole
    assert sum(sum(period.categories.values()) for period in whole.periods) == pytest.approx(
        sum(run[3] for run in [*one, *two, *three]) / NANO
    )
    if whole.periods:
        width = (whole.periods[-1].start - whole.periods[0].start).total_seconds() / whole.step
        assert width < MAX_PERIODS


def test_periods_are_as_long_as_they_have_to_be():
    sums = HistorySums()
    sums.add(NOON, 5, 10**6, {"db": NANO}, 0)
    assert sums.history().step == STEPS[0] == 1
    sums.add(NOON + 80 * 86_400 * NANO, 5, 10**6, {"db": NANO}, 0)
    history = sums.history()
    assert history.step == 3_600
    assert [period.start for period in history.periods] == [
        datetime(2026, 3, 14, 12, tzinfo=UTC),
        datetime(2026, 6, 2, 12, tzinfo=UTC),
    ]
    ((above, most, operations),) = history.periods[0].durations
    assert above < 1.1**4.5 < most
    assert operations == 1


def made(make_profile, frames, seed, count=12):
    source = random.Random(seed)
    for _ in range(count):
        stacks = []
        for _ in range(source.randint(1, 6)):
            ways = [frames.app(f"app:f{source.randrange(4)}") for _ in range(source.randint(1, 5))]
            stacks.append(([*ways, frames.lib(f"{source.choice(['redis', 'openai'])}:call")], 0.5))
        yield make_profile(
            operation=source.choice("abc"),
            category="",
            stacks=stacks,
            weight=source.choice([1, 2.5]),
            states=[source.choice([State.RUNNING, State.WAITING, State.STARVED]) for _ in stacks],
        )


def summed(profiles):
    summary = Summary()
    for profile in profiles:
        summary.add(profile, default_categories(), pictured=True)
    return summary


@pytest.mark.parametrize("limit", [10, 40, 100_000])
def test_trees_are_the_same_in_any_order_and_grouping(make_profile, frames, monkeypatch, limit):
    monkeypatch.setattr(trees, "MAX_ENTRIES", limit)
    for seed in range(8):
        profiles = list(made(make_profile, frames, seed))
        whole = summed(profiles).trees.trees()
        seconds = sum(profile.wall * profile.weight for profile in profiles)
        assert sum(tree.seconds for tree in whole.values()) == pytest.approx(seconds)
        random.Random(seed).shuffle(profiles)
        assert summed(profiles).trees.trees() == whole
        for size in (1, 3, 5):
            parts = [summed(profiles[at : at + size]).trees for at in range(0, len(profiles), size)]
            random.Random(size).shuffle(parts)
            pickled = [pickle.loads(pickle.dumps(part)) for part in parts]
            assert reduce(lambda one, two: one.merge(two) or one, pickled, TreeSums()).trees() == whole
    entries = sum(len(tree.nodes) + len(tree.costs) for tree in whole.values())
    # What was left out of a place is one entry for each of five states.
    assert entries <= limit * 6


def test_a_tree_has_each_blame_by_itself(make_profile, frames):
    read, ask = frames.lib("redis:get"), frames.lib("openai:chat")
    top, low = frames.app("app:top"), frames.app("app:low")
    tree = summed(
        [make_profile(operation="o", stacks=[([top, read], 1.0), ([top, low, ask], 2.0), ([top, low], 0.5)])]
    ).trees.trees()["o"]
    (asked,) = {
        cost.blame for cost in tree.costs if isinstance(cost.blame, Blame) and cost.blame.owner == "openai"
    }
    part = tree.by_blame()[asked]
    assert part.seconds == 2.0
    assert [frame.qualname for frame in part.hottest()] == ["top", "low", "chat"]
    assert len(part.nodes) == 3
    merged = tree.merged("o", unobserved=0.25)
    assert merged.title == "o"
    assert merged.wall == pytest.approx(3.75)
    assert sum(
        merged.totals()[: len(tree.nodes)][index] for index, node in enumerate(tree.nodes) if node[0] < 0
    ) == (pytest.approx(3.5))


@pytest.mark.parametrize("seed", range(5))
def test_the_rest_of_a_report_is_the_same_with_pictures_and_without(make_profile, frames, seed):
    store = MemoryStorage()
    for profile in made(make_profile, frames, seed):
        store.put(profile)
    plain = ProfileAnalyzer(store).analyze()
    pictured = ProfileAnalyzer(store).analyze(pictures=True)
    assert plain.pictures is None
    assert pictured.to_dict() == plain.to_dict()
    assert pictured.pictures is not None
    spent: dict[str, float] = {}
    for period in pictured.pictures.history.periods:
        for name, seconds in period.categories.items():
            spent[name] = spent.get(name, 0.0) + seconds
    assert spent == pytest.approx(dict(plain.categories))
    seconds = sum(tree.seconds for tree in pictured.pictures.trees.values())
    assert seconds + plain.unobserved == pytest.approx(plain.seconds)
    assert {one.id for one in pictured.pictures.exemplars} <= {row.exemplar for row in plain.bottlenecks}


def test_several_processes_draw_the_same(make_profile, frames, tmp_path, monkeypatch):
    monkeypatch.setattr("profkit_analyzers.engines.parts.CHUNK", 10)
    with open_storage(tmp_path) as store:
        for profile in made(make_profile, frames, 1, 40):
            store.put(profile)
        alone = ProfileAnalyzer(store).analyze(pictures=True)
        assert ProfileAnalyzer(store, engine=ProcessPool(2)).analyze(pictures=True) == alone
