"""Operations inside operations are counted once, told by number and never by name or length."""

from __future__ import annotations

import time

import pytest

from profkit import PerformanceProfiler, Settings
from profkit_analyzers import ProfileAnalyzer
from profkit_analyzers.engines.nesting import placed
from profkit_storage import Enclosing, MemoryStorage, ProfileQuery, open_storage

START = 1_770_000_000_000_000_000


@pytest.fixture
def operation(make_profile, frames):
    """`operation(name, start, wall, number, inside)`: seconds; `inside` holds numbers, negative where not slow."""

    def make(name, start, wall, number, inside=(), **fields):
        enclosing = tuple(Enclosing(abs(outer), outer > 0) for outer in inside)
        fields = {"category": "", "stacks": [([frames.app(f"app:{name}")], wall)], **fields}
        return make_profile(
            operation=name,
            start_ns=START + round(start * 1e9),
            number=number,
            enclosing=enclosing,
            threshold=0.5,
            **fields,
        )

    return make


def nested(*profiles):
    return {profile.id for profile, inside, *_ in placed(profiles) if inside}


def analyzed(*profiles, store=None, **query):
    store = MemoryStorage() if store is None else store
    for profile in profiles:
        store.put(profile)
    report = ProfileAnalyzer(store).analyze(ProfileQuery(**query) if query else None)
    assert sum(report.categories.values()) + report.unobserved == pytest.approx(report.seconds)
    return report.nested, pytest.approx(report.seconds)


@pytest.mark.parametrize("jitter", [0, 3e-6, -3e-6, 0.04, -0.04])
def test_an_inner_operation_is_known_whatever_the_clocks_jitter(operation, jitter):
    outer = operation("outer", 0, 3, 1)
    inner = operation("inner", jitter, 2, 2, inside=[1])
    assert nested(outer, inner) == nested(inner, outer) == {inner.id}


def test_two_of_one_name_and_length_in_two_requests_are_both_inside(operation):
    profiles = [
        operation("A", 0, 6, 1),
        operation("B", 0.5, 8, 2),
        operation("llm", 1, 2, 3, inside=[1]),
        operation("llm", 3.5, 2, 4, inside=[2]),
    ]
    assert analyzed(*profiles) == (2, 14)


def test_others_of_the_same_name_and_length_at_the_same_time_are_not_inside(operation):
    strangers = [operation("llm", 1 + late, 2, 3 + index) for index, late in enumerate((0.02, 0.04))]
    profiles = [operation("A", 0, 6, 1), operation("llm", 1, 2, 2, inside=[1]), *strangers]
    assert analyzed(*profiles) == (1, 10)


def test_the_shortest_are_told_as_well(operation):
    assert analyzed(operation("A", 0, 0.02, 1), operation("db", 0.005, 0.008, 2, inside=[1])) == (1, 0.02)


@pytest.mark.parametrize("other", [{"service": "other"}, {"host": "other"}, {"pid": 1}])
def test_the_number_of_another_process_is_not_it(operation, other):
    assert nested(operation("A", 0, 3, 1), operation("b", 0.5, 2, 2, inside=[1], **other)) == set()


@pytest.mark.parametrize("start", [-1, 2, 100])
def test_a_process_that_has_the_id_of_one_that_is_gone_is_not_it(operation, start):
    outer, inner = operation("A", 0, 3, 1), operation("b", start, 2, 2, inside=[1])
    assert nested(*sorted((outer, inner), key=lambda profile: profile.start_ns)) == set()


def test_one_whose_number_is_not_known_is_inside_nothing(operation):
    assert nested(operation("A", 0, 3, 0), operation("b", 0.5, 2, 0, inside=[-0])) == set()


def test_inside_one_that_was_fast_and_so_has_no_profile_it_stands_for_itself(operation):
    assert analyzed(operation("b", 0.5, 2, 2, inside=[-1])) == (0, 2)


def test_inside_two_it_is_counted_in_the_outermost(operation):
    profiles = [
        operation("a", 0, 4, 1),
        operation("b", 0.5, 3, 2, inside=[1]),
        operation("c", 1, 2, 3, inside=[2, 1]),
    ]
    assert analyzed(*profiles) == (2, 4)
    assert analyzed(profiles[0], profiles[2]) == (1, 4)


def test_a_recursive_operation_is_counted_once_also_by_its_name(operation):
    profiles = [
        operation("f", index / 10, 2 - index / 5, index + 1, inside=range(1, index + 1)) for index in range(4)
    ]
    assert analyzed(*profiles) == analyzed(*profiles, operation="f") == (3, 2)


def test_each_can_be_ranked_by_itself(operation):
    profiles = [operation("A", 0, 3, 1), operation("query", 0.5, 2, 2, inside=[1], category="db")]
    assert analyzed(*profiles) == (1, 3)
    assert analyzed(*profiles, operation="query") == analyzed(*profiles, category="db") == (0, 2)


def test_what_ran_inside_a_dropped_one_is_in_the_one_that_stands_for_it(operation):
    profiles = [
        operation("llm", 1, 2, 2, inside=[1]),
        operation("A", 5, 3, 3, weight=2.0),
        operation("llm", 5.5, 2, 4, inside=[3]),
    ]
    assert analyzed(*profiles) == (2, 6)
    assert analyzed(*profiles, operation="llm") == (0, 4)


@pytest.mark.parametrize(
    "standin",
    [
        {"weight": 1.0},
        {"weight": 2.0, "inside": [1]},
        {"weight": 2.0, "pid": 1},
        {"weight": 2.0, "start": 0, "wall": 2.5},
    ],
)
def test_where_nothing_stands_for_the_outer_one_what_ran_inside_it_counts(operation, standin):
    # It is still running, say: a worker's main function.
    fields = {"start": 5, "wall": 2.5, **standin}
    other = operation("other", fields.pop("start"), fields.pop("wall"), 3, **fields)
    profiles = sorted([operation("llm", 1, 2, 2, inside=[1]), other], key=lambda profile: profile.start_ns)
    assert analyzed(*profiles) == (0, 2 + 2.5 * standin["weight"])


def test_of_very_many_undecided_ones_the_oldest_are_decided_early(operation, monkeypatch):
    monkeypatch.setattr("profkit_analyzers.engines.dropped._MAX_UNDECIDED", 1)
    monkeypatch.setattr("profkit_analyzers.engines.parts.CHUNK", 1)
    profiles = [operation("llm", index, 1, index + 100, inside=[index + 1]) for index in range(3)]
    standin = operation("A", 5, 3, 50, weight=2.0)
    assert analyzed(*profiles, standin) == (1, 2 + 6)


def test_over_the_hours_of_a_directory(operation, tmp_path):
    profiles = [
        operation("A", 0, 4 * 3600, 1),
        operation("b", 2 * 3600, 3600, 2, inside=[1]),
        operation("b", 3 * 3600, 3599, 3, inside=[1]),
        operation("b", 5 * 3600, 2, 4),
    ]
    with open_storage(tmp_path) as store:
        assert analyzed(*profiles, store=store) == (2, 4 * 3600 + 2)


def test_as_it_is_captured(tmp_path):
    profiler = PerformanceProfiler(
        Settings(storage=str(tmp_path), service="tests", threshold=0.03, interval=0.005)
    )
    try:
        for outer in ("request", "request", None):
            with profiler.operation(outer or "fast", threshold=None if outer else 9.0):
                for _ in range(2_000 if outer else 0):
                    with profiler.operation("row"):
                        pass
                with profiler.operation("chat", category="llm"):
                    time.sleep(0.05)
        assert profiler.flush(5)
    finally:
        profiler.shutdown()
    with open_storage(tmp_path) as store:
        report = ProfileAnalyzer(store).analyze()
    assert {name: (found.profiles, found.nested) for name, found in report.operations.items()} == {
        "request": (2, 0),
        "chat": (3, 2),
    }


def test_all_come_in_order_and_few_are_held_back(operation):
    profiles = [
        profile
        for start in range(40)
        for profile in (
            operation("A", start, 0.9, start + 1),
            operation("b", start + 0.1, 0.5, 0, [start + 1]),
        )
    ]
    taken = 0

    def source():
        nonlocal taken
        for profile in profiles:
            taken += 1
            yield profile

    given = []
    for profile, inside, *_ in placed(source()):
        given.append(profile)
        assert inside == (profile.operation == "b")
        assert taken - len(given) <= 1
    assert given == profiles


def test_what_is_remembered_is_bounded_and_those_in_flight_go_last(operation, monkeypatch):
    monkeypatch.setattr("profkit_analyzers.engines.nesting._MAX_OUTER", 10)
    long = operation("A", 0, 1000, 1)
    short = [operation("s", 1 + index, 0.5, index + 2) for index in range(100)]
    inner = operation("b", 500, 2, 500, inside=[1])
    assert nested(long, *short, inner) == {inner.id}
    many = [operation("s", index / 100, 1000, index + 2) for index in range(100)]
    assert nested(long, *many, inner) == set()
