"""Of what ran side by side, what ended last held the operation up; removing the rest saves nothing."""

from __future__ import annotations

import asyncio
import dataclasses

import pytest

from profkit import PerformanceProfiler, Settings
from profkit_analyzers import ProfileAnalyzer
from profkit_analyzers.attribution.critical_path import critical_branches
from profkit_storage import Branch, open_storage


@pytest.fixture
def path(make_profile, frames):
    """`path(*branches)`: which of the branches (start, end, parent) of an operation of 10 s are on its path."""

    def run(*branches):
        profile = make_profile(stacks=[([frames.app("app:main")], 10.0)])
        made = tuple(
            Branch(f"b{index}", *([*branch, -1][2:3]), *branch[:2]) for index, branch in enumerate(branches)
        )
        return set(critical_branches(dataclasses.replace(profile, branches=made)))

    return run


def test_an_operation_without_branches_is_its_own_path(path):
    assert path() == {-1}


def test_of_those_side_by_side_the_one_that_ended_last_is(path):
    assert path((1, 5), (1, 9), (1, 7)) == {-1, 1}


def test_those_one_after_the_other_all_are(path):
    assert path((1, 3), (3, 5), (5, 9)) == {-1, 0, 1, 2}
    assert path((1, 3), (2.9995, 5)) == {-1, 0, 1}, "clocks are read one after the other"


def test_after_a_fan_out_the_next_one_counts_again(path):
    assert path((1, 3), (1, 4), (4.1, 6), (4.1, 8)) == {-1, 1, 3}


def test_within_a_branch_it_is_the_same(path):
    assert path((1, 5), (1, 9), (1, 4, 0), (2, 3, 1), (2, 8, 1)) == {-1, 1, 4}


def test_one_that_goes_on_behind_the_operation_held_nobody_up(path):
    assert path((1, 10), (1, 4)) == {-1, 1}
    assert path((1, 10)) == {-1, 0}


def test_parents_that_form_a_ring_end(path):
    assert path((1, 5, 1), (1, 5, 0)) == {-1}


def test_as_it_is_captured(tmp_path):
    profiler = PerformanceProfiler(
        Settings(storage=str(tmp_path), service="tests", threshold=0.05, interval=0.005)
    )

    @profiler.profile("fan out")
    async def fan_out():
        async def short():
            await asyncio.sleep(0.15)

        async def long():
            await asyncio.sleep(0.45)

        await asyncio.gather(short(), long())

    try:
        asyncio.run(fan_out())
        assert profiler.flush(5)
    finally:
        profiler.shutdown()
    with open_storage(tmp_path) as store:
        report = ProfileAnalyzer(store).analyze()
    rows = [row for row in report.bottlenecks if row.call_site.name.endswith("long")]
    # Side by side, each has half of the 0.15 s that the short one took.
    assert sum(row.seconds for row in rows) == pytest.approx(report.seconds - 0.075, abs=0.06)
    assert all(row.critical == row.seconds for row in rows)
    assert not any(row.call_site.name.endswith("short") for row in report.bottlenecks), (
        "it would save nothing"
    )
    assert report.seconds >= 0.45
