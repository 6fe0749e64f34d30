"""Which child operation a sample is taken to have run in."""

from __future__ import annotations

import dataclasses

import pytest

from profkit_analyzers.attribution.rulings import attribute
from profkit_storage import Branch, ChildOperation
from profkit_storage.categories import default_categories


def child(name: str, category: str, start: float, end: float, parent: int = -1) -> ChildOperation:
    return ChildOperation(name, category, start, end, {}, parent)


@pytest.fixture
def owners(make_profile, frames):
    """`owners(spans, children)`: seconds of plain code by owner; spans are pairs of a function and its seconds."""

    def run(spans, children, branches=(), branch=-1, **fields):
        stacks = [([frames.app("app:main"), frames.app(f"app:{name}")], seconds) for name, seconds in spans]
        profile = make_profile(stacks=stacks, children=tuple(children), branches=tuple(branches), **fields)

        samples = tuple(sample._replace(branch=branch) for sample in profile.samples)
        found = attribute(dataclasses.replace(profile, samples=samples), default_categories())
        seconds: dict[str, float] = {}
        for key, spent in found.seconds.items():
            seconds[key.owner] = round(seconds.get(key.owner, 0) + spent, 6)
        return seconds

    return run


def test_the_innermost_child_at_that_time(owners):
    children = [child("outer", "agent", 1, 4), child("inner", "db", 2, 3, parent=0)]
    spans = [("a", 1), ("b", 1), ("c", 1), ("d", 1), ("e", 1)]
    assert owners(spans, children) == {"application": 2, "outer": 2, "inner": 1}


def test_order_of_the_children_in_the_profile_does_not_matter(owners):
    children = [child("late", "db", 1, 2), child("early", "llm", 0, 1)]
    assert owners([("a", 1), ("b", 1)], children) == {"early": 1, "late": 1}


def test_a_child_without_a_category_is_looked_through(owners):
    children = [child("outer", "db", 0, 2), child("inner", "", 0, 2, parent=0)]
    assert owners([("a", 2)], children) == {"outer": 2}


def test_a_sample_that_a_child_covers_by_less_than_half_is_not_its(owners):
    assert owners([("a", 2)], [child("c", "db", 0, 0.9)]) == {"application": 2}
    assert owners([("a", 2)], [child("c", "db", 0, 1.1)]) == {"c": 2}


def test_many_short_children_of_a_name_cover_a_sample_together(owners):
    children = [child("query", "db", number / 10, number / 10 + 0.08) for number in range(20)]
    assert owners([("lookup", 2)], children) == {"query": 2}


def test_what_was_not_observed_is_spread_evenly_over_the_time(owners):
    # 2 s sampled of 4 s: the second sample is at 2 to 4 s.
    assert owners([("a", 1), ("b", 1)], [child("c", "db", 2, 4)], wall=4.0) == {"application": 1, "c": 1}


def test_siblings_that_ran_side_by_side_are_told_apart_by_their_function_or_not_at_all(owners):
    children = [child("app.fetch", "db", 0, 2), child("app.ask", "llm", 0, 2)]
    assert owners([("ask", 2)], children) == {"app.ask": 2}
    assert owners([("other", 2)], children) == {"application": 2}


def test_beside_a_running_branch_a_child_needs_to_have_started_it_or_to_be_named_in_the_stack(owners):
    branches = [Branch("task", -1, 0.5, 1.5)]
    assert owners([("own", 2)], [child("elsewhere", "llm", 0.6, 1.9)], branches) == {"application": 2}
    assert owners([("own", 2)], [child("app.own", "llm", 0.6, 1.9)], branches) == {"app.own": 2}
    assert owners([("own", 2)], [child("gather", "agent", 0.1, 1.9)], branches) == {"gather": 2}


def test_a_branch_is_in_the_child_that_started_it(owners):
    branches = [Branch("task", -1, 0.5, 1.5)]
    assert owners([("x", 2)], [child("gather", "llm", 0.1, 2)], branches, branch=0) == {"gather": 2}
    assert owners([("x", 2)], [child("other", "llm", 0.6, 2)], branches, branch=0) == {"application": 2}


def test_parents_in_a_ring_end(owners):
    children = [child("a", "db", 0, 2, parent=1), child("b", "llm", 0, 2, parent=0)]
    assert sum(owners([("x", 2)], children).values()) == 2
