"""Operations inside operations are counted once."""

from __future__ import annotations

import pytest

from profkit_analyzers import ProfileAnalyzer
from profkit_analyzers.nesting import with_nesting
from profkit_storage import ChildOperation, MemoryStorage, ProfileQuery

START = 1_770_000_000_000_000_000


@pytest.fixture
def request_and_query(make_profile, frames):
    """A request of 3 s, and the query of 2 s that ran in it from 0.5 s on, as they are stored; `jitter` in ns."""

    def make(jitter=3_000, start=START, **fields):
        inner = [frames.app("app:query"), frames.lib("redis.client:get", "redis")]
        outer = make_profile(
            operation="GET /orders",
            category="http",
            start_ns=start,
            stacks=[
                ([frames.app("app:handle")], 0.5),
                ([frames.app("app:handle"), *inner], 2.0),
                (inner[:1], 0.5),
            ],
            children=(ChildOperation("query", "db", 0.5, 2.5000000000000004, {}),),
        )
        fields = {"operation": "query", "category": "db", "stacks": [(inner, 2.0)], **fields}
        return outer, make_profile(start_ns=start + 500_000_000 + jitter, **fields)

    return make


def nested(*profiles):
    return {profile.id for profile, inside in with_nesting(profiles) if inside}


@pytest.mark.parametrize("jitter", [0, 3_000, -3_000, 40_000_000, -40_000_000])
def test_an_inner_operation_is_known_whatever_the_clocks_jitter(request_and_query, jitter):
    outer, inner = request_and_query(jitter)
    assert nested(outer, inner) == {inner.id}


def test_the_order_of_two_that_start_together_does_not_matter(request_and_query, make_profile):
    outer, inner = request_and_query()
    outer = make_profile(
        start_ns=inner.start_ns, children=(ChildOperation("query", "db", 0.0, 2.0, {}),), wall=2.1
    )
    assert nested(outer, inner) == nested(inner, outer) == {inner.id}


@pytest.mark.parametrize(
    "other", [{"operation": "other"}, {"service": "other"}, {"host": "other"}, {"pid": 1}, {"wall": 2.00001}]
)
def test_one_of_another_name_process_or_length_is_not_it(request_and_query, other):
    assert nested(*request_and_query(**other)) == set()


def test_one_that_started_at_another_time_is_not_it(request_and_query):
    assert nested(*request_and_query(jitter=200_000_000)) == set()


def test_without_the_outer_profile_the_inner_one_stands_for_itself(request_and_query):
    _, inner = request_and_query()
    assert nested(inner) == set()


def test_a_recursive_operation_is_not_inside_itself(make_profile):
    outer = make_profile(
        operation="f", wall=2.0000005, start_ns=START, children=(ChildOperation("f", "", 0.0, 2.0, {}),)
    )
    inner = make_profile(operation="f", wall=2.0, start_ns=START + 10)
    assert nested(outer, inner) == {inner.id}


def test_all_come_in_order_and_few_are_held_back(request_and_query):
    profiles = [
        profile for number in range(40) for profile in request_and_query(start=START + number * 10**9)
    ]
    profiles.sort(key=lambda profile: profile.start_ns)
    taken = 0

    def source():
        nonlocal taken
        for profile in profiles:
            taken += 1
            yield profile

    given = []
    for profile, _ in with_nesting(source()):
        given.append(profile)
        assert taken - len(given) <= 1
    assert given == profiles


def test_what_is_remembered_is_bounded(request_and_query, monkeypatch):
    monkeypatch.setattr("profkit_analyzers.nesting._MAX_CHILDREN", 0)
    assert nested(*request_and_query()) == set()


def test_seconds_are_counted_in_the_outermost_and_each_can_be_ranked_by_itself(request_and_query):
    store = MemoryStorage()
    for profile in request_and_query():
        store.put(profile)
    report = ProfileAnalyzer(store).analyze()
    assert (report.profiles, report.nested, report.seconds) == (2, 1, pytest.approx(3.0))
    assert {row.operation for row in report.bottlenecks} == {"GET /orders"}
    assert report.categories == pytest.approx({"db": 2.0, "http": 1.0})
    inner = report.operations["query"]
    assert (inner.profiles, inner.nested, inner.seconds, inner.slowest) == (1, 1, 2.0, 2.0)
    alone = ProfileAnalyzer(store).analyze(ProfileQuery(operation="query"))
    assert (alone.nested, alone.seconds, alone.bottlenecks[0].owner) == (0, 2.0, "redis")
