"""Service levels: what a store's rollups say of its calls, against the truth of their durations."""

from __future__ import annotations

import itertools
import json
import pickle
from datetime import UTC, datetime, timedelta
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from profkit_analyzers.slo.evaluation import LevelsSummary, service_levels_of
from profkit_analyzers.slo.levels import Counts, Goal, Verdict, levels
from profkit_analyzers.slo.objectives import Objective, Objectives
from profkit_analyzers.slo.service_levels import Span
from profkit_storage import Histogram, MemoryStorage, ProfileQuery, Rollup, RollupSet
from profkit_storage.ulid import new_ulid

NOON = datetime(2026, 3, 14, 12, tzinfo=UTC)
NOON_NS = int(NOON.timestamp()) * 10**9
MINUTE = 60 * 10**9
TWO_SECONDS = Objective(latency_share=0.95, availability=0.999, error_rate=0.01)


def rollup(*durations, operation="agent.route", category="agent", errors=0, calls=None):
    histogram = Histogram()
    histogram.add_many(durations)
    calls = len(durations) if calls is None else calls
    return Rollup(operation, category, calls, errors, sum(durations), 0, 0, {}, 1.0, histogram)


def window(*rows, minute=0.0, minutes=1.0, service="orders"):
    start_ns = NOON_NS + round(minute * MINUTE)
    end_ns = start_ns + round(minutes * MINUTE)
    return RollupSet(id=new_ulid(start_ns), service=service, start_ns=start_ns, end_ns=end_ns, rollups=rows)


def store(*sets):
    storage = MemoryStorage()
    for one in sets:
        storage.put_rollup(one)
    return storage


def held(row, objective):
    counts = Counts()
    counts.add(row, objective, late=False)
    return {level.goal: level for level in levels(counts, objective)}


shares = st.integers(1, 999_999).map(lambda millionths: millionths / 1_000_000)
objectives = st.builds(
    Objective,
    latency_seconds=st.floats(1e-6, 100),
    latency_share=shares,
    availability=shares,
    error_rate=shares,
    min_calls=st.just(1),
)


@given(st.lists(st.floats(0, 200), min_size=1, max_size=60), st.integers(0, 60), objectives)
def test_what_is_said_is_true_of_the_calls(durations, errors, objective):
    errors = min(errors, len(durations))
    found = held(rollup(*durations, errors=errors), objective)
    calls = len(durations)
    slow = sum(duration >= objective.latency_seconds for duration in durations)
    truth = {
        Goal.LATENCY: (slow, 1 - Fraction(str(objective.latency_share))),
        Goal.AVAILABILITY: (errors, 1 - Fraction(str(objective.availability))),
        Goal.ERROR_RATE: (errors, Fraction(str(objective.error_rate))),
    }
    for goal, (missed, allowed) in truth.items():
        level = found[goal]
        assert level.missed_least <= missed <= level.missed_most
        assert level.missed_least <= level.missed <= level.missed_most
        assert level.budget_left == pytest.approx(1 - level.burn_rate)
        low, high = level.bounds
        true = missed / calls if goal is Goal.ERROR_RATE else 1 - missed / calls
        assert low - 1e-12 <= true <= high + 1e-12
        assert low <= level.reached <= high
        if level.verdict is Verdict.MET:
            assert missed <= allowed * calls
        elif level.verdict is Verdict.BROKEN:
            assert missed > allowed * calls
        else:
            assert level.verdict is Verdict.OPEN
            assert goal is Goal.LATENCY
            assert level.missed_least < level.missed_most


def test_the_formulas_on_figures_done_by_hand():
    latency, available, errors = held(rollup(*[0.1] * 1940, *[3.0] * 60, errors=3), TWO_SECONDS).values()
    assert (latency.calls, latency.missed, latency.reached, latency.target) == (2000, 60, 0.97, 0.95)
    assert (latency.burn_rate, latency.budget_left) == pytest.approx((0.6, 0.4))
    assert (available.reached, available.target) == (0.9985, 0.999)
    assert (available.burn_rate, available.budget_left) == pytest.approx((1.5, -0.5))
    assert (errors.reached, errors.target) == (0.0015, 0.01)
    assert (errors.burn_rate, errors.budget_left) == pytest.approx((0.15, 0.85))
    assert [level.verdict for level in (latency, available, errors)] == ["met", "broken", "met"]


def test_calls_in_the_bucket_of_the_objective_lie_in_it_evenly_and_leave_it_open():
    level = held(rollup(*[0.1] * 900, *[2.0] * 100), TWO_SECONDS)[Goal.LATENCY]
    low, high = level.between
    assert low < 2.0 < high == pytest.approx(low * 1.1)
    assert (level.missed_least, level.missed_most) == (0, 100)
    assert level.missed == pytest.approx(100 * (high - 2.0) / (high - low))
    assert level.verdict is Verdict.OPEN


def test_what_is_just_reached_is_met_and_a_call_more_breaks_it():
    for errors, verdict in ((2, "met"), (3, "broken")):
        assert held(rollup(*[0.1] * 2000, errors=errors), TWO_SECONDS)[Goal.AVAILABILITY].verdict == verdict
    for slow, verdict in ((1, "met"), (2, "broken")):
        row = rollup(*[0.1] * (20 - slow), *[9.0] * slow)
        assert held(row, TWO_SECONDS)[Goal.LATENCY].verdict == verdict


@pytest.mark.parametrize(
    ("calls", "errors", "available", "error_rate"),
    [
        (0, 0, "too_few", "too_few"),
        (99, 0, "too_few", "too_few"),
        (99, 1, "too_few", "too_few"),
        (100, 0, "too_few", "met"),
        (999, 1, "too_few", "met"),
        (1000, 1, "met", "met"),
        (50, 50, "broken", "broken"),
        (99, 2, "broken", "broken"),
    ],
)
def test_of_too_few_calls_nothing_is_said_but_what_no_more_calls_could_change(
    calls, errors, available, error_rate
):
    found = held(rollup(*[0.1] * calls, errors=errors), TWO_SECONDS)
    assert (found[Goal.AVAILABILITY].min_calls, found[Goal.ERROR_RATE].min_calls) == (1000, 100)
    assert found[Goal.LATENCY].min_calls == 20
    assert (found[Goal.AVAILABILITY].verdict, found[Goal.ERROR_RATE].verdict) == (available, error_rate)


def test_the_least_number_of_calls_may_be_given():
    given = Objective(availability=0.9, min_calls=50)
    assert held(rollup(*[0.1] * 49, errors=5), given)[Goal.AVAILABILITY].verdict == "too_few"
    assert held(rollup(*[0.1] * 49, errors=6), given)[Goal.AVAILABILITY].verdict == "broken"
    assert held(rollup(*[0.1] * 50, errors=5), given)[Goal.AVAILABILITY].verdict == "met"
    two = Objective(availability=0.999, min_calls=2)
    assert held(rollup(0.1, errors=1), two)[Goal.AVAILABILITY].verdict == "too_few", (
        "one call decides nothing"
    )
    assert held(rollup(0.1), Objective(availability=0.97))[Goal.AVAILABILITY].min_calls == 34
    one = Objective(availability=0.9, min_calls=1)
    assert held(rollup(0.1), one)[Goal.AVAILABILITY].verdict == "met"
    assert held(rollup(0.1, errors=1), one)[Goal.AVAILABILITY].verdict == "broken"


def test_an_objective_that_is_none_is_not_held():
    assert list(held(rollup(0.1), Objective(error_rate=0.5))) == [Goal.ERROR_RATE]
    found = service_levels_of(store(window(rollup(0.1))), objectives=Objectives(default=Objective()))
    assert (found.operations[0].levels, found.breached) == ((), False)


def test_errors_told_in_the_next_window_are_no_more_than_its_calls():
    level = held(rollup(errors=2), TWO_SECONDS)[Goal.AVAILABILITY]
    assert (level.calls, level.reached, level.burn_rate, level.verdict) == (0, None, None, "too_few")
    level = held(rollup(0.1, errors=2), TWO_SECONDS)[Goal.AVAILABILITY]
    assert (level.missed, level.reached) == (1, 0.0)
    json.dumps(level.to_dict(), allow_nan=False)


sets = st.builds(
    window,
    st.builds(
        rollup,
        st.sampled_from([0.1, 1.95, 2.0, 5.0]),
        operation=st.sampled_from("abc"),
        category=st.sampled_from(["", "db"]),
        errors=st.integers(0, 1),
    ),
    minute=st.integers(0, 3000),
    minutes=st.integers(0, 90),
    service=st.sampled_from(["orders", "mail"]),
)


def summed(parts, span=Span.HOUR, query=None):
    query = query or ProfileQuery(until=NOON + timedelta(hours=50))
    summary = LevelsSummary(Objectives(default=TWO_SECONDS), span, query)
    for part in parts:
        summary.add(part)
    return summary


@given(st.lists(sets, max_size=40), st.lists(st.integers(0, 40), max_size=3), st.randoms())
def test_any_order_and_grouping_gives_the_same(parts, cuts, chance):
    whole = summed(parts)
    shuffled = parts[:]
    chance.shuffle(shuffled)
    bounds = sorted({0, len(parts), *(cut for cut in cuts if cut < len(parts))})
    groups = [summed(shuffled[first:last]) for first, last in itertools.pairwise(bounds)]
    chance.shuffle(groups)
    together = summed([])
    for group in groups:
        together.merge(pickle.loads(pickle.dumps(group)))
    assert together.subjects == whole.subjects
    assert (together.operations(), together.rollups) == (whole.operations(), whole.rollups)


@given(st.lists(sets, min_size=1, max_size=40))
def test_windows_have_every_call_once(parts):
    by = {span: summed(parts, span).operations() for span in Span}
    for operations in zip(*by.values(), strict=True):
        hours, days, whole = operations
        assert hours.levels == days.levels == whole.levels
        assert whole.windows == ()
        for each in (hours, days):
            assert sum(one.calls for one in each.windows) == each.population.calls
            assert sum(one.errors for one in each.windows) == each.population.errors
            for left, right in itertools.pairwise(each.windows):
                assert left.end <= right.start


def test_operations_of_one_name_are_told_apart_by_service_and_category():
    found = service_levels_of(
        store(
            window(rollup(0.1), rollup(0.1, category="db")),
            window(rollup(0.1), service="mail"),
            window(rollup(0.1), service="mail", minute=3),
        )
    )
    keys = [(one.service, one.category, one.population.calls) for one in found.operations]
    assert keys == [("mail", "agent", 2), ("orders", "agent", 1), ("orders", "db", 1)]
    assert found.rollups == 3


def test_the_worst_comes_first():
    rows = {
        "fine": [0.1] * 1000,
        "few": [0.1] * 3,
        "open": [*[0.1] * 920, *[2.0] * 80],
        "broken": [*[0.1] * 930, *[3.0] * 70],
        "worse": [3.0] * 1000,
    }
    found = service_levels_of(store(window(*(rollup(*row, operation=name) for name, row in rows.items()))))
    assert [one.operation for one in found.operations] == ["worse", "broken", "open", "fine", "few"]
    assert found.breached


def test_a_broken_hour_alone_is_no_breach():
    storage = store(window(rollup(*[0.1] * 2000)), window(rollup(*[0.1] * 80, *[9.0] * 20), minute=60))
    found = service_levels_of(storage, span=Span.HOUR)
    assert [one.levels[0].verdict for one in found.operations[0].windows] == ["met", "broken"]
    assert not found.breached


def test_a_window_over_the_end_counts_where_it_began_and_says_so():
    storage = store(
        window(rollup(0.1), minute=59, minutes=2),
        window(rollup(0.1, 0.1), minute=30, minutes=30),
        window(rollup(0.1), minute=61),
    )
    found = service_levels_of(storage, ProfileQuery(until=NOON + timedelta(minutes=60.5)), span=Span.HOUR)
    (operation,) = found.operations
    assert (operation.population.calls, operation.late) == (3, 1)
    ((start, end, calls, late),) = [(one.start, one.end, one.calls, one.late) for one in operation.windows]
    assert (start, end, calls, late) == (NOON, NOON + timedelta(hours=1), 3, 1)
    every = service_levels_of(storage, span=Span.DAY).operations[0]
    assert (every.late, [one.late for one in every.windows]) == (0, [0])


def test_a_query_takes_times_service_operation_and_category():
    storage = store(
        window(rollup(0.1, operation="a"), rollup(0.1, operation="b", category="db")),
        window(rollup(0.1, operation="a"), service="mail", minute=5),
    )

    def names(**query):
        found = service_levels_of(storage, ProfileQuery(**query))
        return [(one.operation, one.service) for one in found.operations]

    assert names() == [("a", "mail"), ("a", "orders"), ("b", "orders")]
    assert names(operation="a") == [("a", "mail"), ("a", "orders")]
    assert names(category="db") == [("b", "orders")]
    assert names(service="mail") == [("a", "mail")]
    assert names(since=datetime(2026, 3, 14, 12, 5)) == [("a", "mail")]  # noqa: DTZ001 - without a zone it is UTC
    assert names(until=NOON) == []


def test_objectives_that_mean_nothing_are_named_unless_only_some_was_asked_for():
    mine = Objectives(default=TWO_SECONDS, patterns={"agent*": {}, "agnet.route": {}, "x?": {}})
    storage = store(window(rollup(0.1)))
    assert service_levels_of(storage, objectives=mine).unmatched == ("agnet.route", "x?")
    assert service_levels_of(storage, ProfileQuery(category="agent"), objectives=mine).unmatched == ()
    assert service_levels_of(MemoryStorage(), objectives=mine).unmatched == ()


def test_progress_goes_by_hours_and_never_over_its_end():
    said = []
    storage = store(*(window(rollup(0.1), minute=minute) for minute in (0, 30, 119, 400)))
    query = ProfileQuery(since=NOON - timedelta(hours=1), until=NOON + timedelta(hours=8))
    service_levels_of(storage, query, progress=lambda *pair: said.append(pair))
    assert said == [(1, 9), (1, 9), (2, 9), (7, 9)]
    said.clear()
    service_levels_of(storage, progress=lambda *pair: said.append(pair))
    assert said[0][0] == 0
    assert all(done < total for done, total in said)
