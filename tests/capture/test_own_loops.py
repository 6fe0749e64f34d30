"""A synchronous operation that runs an event loop: what the loop runs is what the operation does."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

import pytest

from profkit import handover
from profkit_storage import Profile


async def query() -> None:
    await asyncio.sleep(0.2)


async def answer() -> None:
    await asyncio.sleep(0.1)


async def main(spin: Callable[[float], None]) -> None:
    await asyncio.gather(query(), query())
    spin(0.1)
    await answer()


def stacks_of(profile: Profile) -> dict[tuple[str, ...], float]:
    seconds: dict[tuple[str, ...], float] = {}
    for sample in profile.samples:
        names = [frame.qualname.rpartition(".")[2] for frame, _ in profile.stack(sample.node)]
        stack = tuple(
            reversed([name for name in names if name in {"job", "main", "query", "answer", "spin"}])
        )
        seconds[stack] = seconds.get(stack, 0.0) + sample.wall
    return seconds


def test_its_tasks_are_branches(
    captured: Any, spin: Callable[[float], None], assert_conserved: Callable[[Profile], None]
) -> None:
    @captured.profiler.profile
    def job() -> None:
        asyncio.run(main(spin))

    job()
    profile: Profile = captured.one()
    assert_conserved(profile)
    seconds = stacks_of(profile)
    assert seconds["job", "main", "query"] == pytest.approx(0.2, abs=0.08)
    assert seconds["job", "main", "answer"] == pytest.approx(0.1, abs=0.06)
    assert seconds["job", "main", "spin"] == pytest.approx(0.1, abs=0.08)
    assert [branch.name for branch in profile.branches][:3] == ["main", "query", "query"]
    assert [branch.parent for branch in profile.branches][:3] == [-1, 0, 0]
    of_branches = [sample for sample in profile.samples if sample.branch >= 0]
    modules = {frame.module for sample in of_branches for frame, _ in profile.stack(sample.node)}
    assert not modules & {"asyncio.base_events", "asyncio.runners", "selectors"}


def test_a_loop_that_runs_again_and_again_is_told_of_its_tasks_once(captured: Any) -> None:
    loop = asyncio.new_event_loop()

    async def step() -> None:
        await asyncio.sleep(0.02)

    @captured.profiler.profile
    def job() -> None:
        for _ in range(4):
            loop.run_until_complete(step())

    job()
    loop.close()
    profile: Profile = captured.one()
    assert [branch.name.rpartition(".")[2] for branch in profile.branches] == ["step"] * 4


def test_without_an_operation_or_the_hooks_it_is_left_alone(captured: Any) -> None:
    asyncio.run(query())
    handover.uninstall()
    try:
        assert not hasattr(asyncio.base_events.BaseEventLoop.run_forever, "__wrapped__")

        @captured.profiler.profile
        def job() -> None:
            asyncio.run(answer())
            time.sleep(0.01)

        job()
    finally:
        handover.install()
    assert not captured.one().branches
