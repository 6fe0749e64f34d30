"""The call tree and the timeline: seconds conserved and everything bounded, whatever comes."""

from __future__ import annotations

import itertools
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from profkit.sampling.calltree import MAX_DEPTH, RUNNING, WAITING, CallTree, Timeline
from profkit.sampling.codes import OFFSET_BITS, CodeTable

GAPS = st.lists(
    st.tuples(st.floats(0.0001, 10), st.integers(0, 5), st.sampled_from([RUNNING, WAITING])), max_size=80
)


@given(GAPS, st.floats(0, 5), st.floats(0, 5), st.integers(2, 20))
def test_seconds_are_conserved_and_samples_bounded(
    gaps: list[tuple[float, int, int]], rest: float, allowance: float, limit: int
) -> None:
    timeline = Timeline(100.0, limit)
    now = 100.0
    for number, (gap, node, state) in enumerate(gaps):
        now += gap
        if number % 7 == 3:
            timeline.miss(now)
        else:
            timeline.observe(now, node, state, gap / 2)
    timeline.finish(now + rest, allowance)
    spans = timeline.spans()
    assert len(spans) <= limit
    assert sum(span.wall for span in spans) + timeline.unobserved == pytest.approx(now + rest - 100.0)
    assert all(one[::3] != other[::3] for one, other in itertools.pairwise(spans)) or timeline.stride > 1


@given(GAPS.filter(bool), st.floats(0, 0.999), st.booleans())
def test_what_a_tick_gave_after_the_end_is_taken_back(
    gaps: list[tuple[float, int, int]], part: float, missed: bool
) -> None:
    timeline = Timeline(100.0, 1000)
    now = 100.0
    for number, (gap, node, state) in enumerate(gaps):
        now += gap
        if missed and number == len(gaps) - 1:
            timeline.miss(now)
        else:
            timeline.observe(now, node, state, gap / 2)
    ended = 100.0 + (now - 100.0) * part
    timeline.finish(ended, 0.02)
    spans = timeline.spans()
    assert sum(span.wall for span in spans) + timeline.unobserved == pytest.approx(ended - 100.0)
    assert all(0 <= span.cpu <= span.wall or span.wall == pytest.approx(0) for span in spans)


def test_neighbours_at_the_same_place_are_one_sample() -> None:
    timeline = Timeline(0.0, 100)
    for tick in range(1, 51):
        timeline.observe(tick / 100, 7, WAITING)
    (span,) = timeline.spans()
    assert span.wall == pytest.approx(0.5)
    assert timeline.ticks == 50


def test_halving_keeps_the_proportions() -> None:
    timeline = Timeline(0.0, 500)
    chance = random.Random(7)
    for tick in range(1, 100_001):
        if tick % timeline.stride == 0:
            timeline.observe(tick / 100, chance.choice("aab") == "a", RUNNING)
    assert timeline.stride >= 128
    spans = timeline.spans()
    assert sum(span.wall for span in spans if span.node) == pytest.approx(1000 * 2 / 3, rel=0.2)


def test_a_deep_stack_keeps_its_root_and_its_leaf_side() -> None:
    codes = CodeTable()
    tree = CallTree(codes)
    stack = [place << OFFSET_BITS for place in range(1000, 6000)]
    node = tree.insert(stack)
    path = []
    while node >= 0:
        path.append(tree.places[node])
        node = tree.parents[node]
    assert len(path) == MAX_DEPTH
    assert path[:10] == stack[:10]
    assert path[-1] == stack[-1]
    assert codes.entries[codes.resolve(path[-2])[0]].name == "[frames left out]"


def test_a_full_tree_takes_the_deepest_node_there_is(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("profkit.sampling.calltree._MAX_NODES", 10)
    tree = CallTree(CodeTable())
    for leaf in range(100):
        tree.insert([leaf << OFFSET_BITS, 2 << OFFSET_BITS, 1 << OFFSET_BITS])
    assert len(tree.places) == 10
    assert tree.insert([99 << OFFSET_BITS, 2 << OFFSET_BITS, 1 << OFFSET_BITS]) == 1
