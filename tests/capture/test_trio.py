"""Operations under trio, and under anyio on trio."""

from __future__ import annotations

import signal
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from typing import Any

import anyio
import anyio.lowlevel
import anyio.to_thread
import pytest
import trio

from profkit.operations import current
from profkit_storage import Profile, State, Status

Spin = Callable[[float], None]
Run = Callable[[Callable[[], Any]], Any]


def on_trio(main: Callable[[], Any]) -> Any:
    return trio.run(main)


def anyio_on_trio(main: Callable[[], Any]) -> Any:
    return anyio.run(main, backend="trio")


either = pytest.mark.parametrize("run", [on_trio, anyio_on_trio])


class Clock:
    """What the parts of an operation really took: the machine is crowded."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)

    @contextmanager
    def __call__(self, name: str) -> Iterator[None]:
        began = time.perf_counter()
        yield
        self.seconds[name] += time.perf_counter() - began

    def agrees(self, seconds: dict[str, float]) -> bool:
        """Tell whether each part has the seconds it took, as well as a few dozen looks can tell."""
        return {name: seconds[name] for name in self.seconds} == {
            name: pytest.approx(took, rel=0.5, abs=0.05) for name, took in self.seconds.items()
        }


@pytest.fixture
def clock() -> Clock:
    return Clock()


async def fetch() -> None:
    await anyio.sleep(0.1)


@either
def test_a_coroutine_is_seen_running_and_suspended(
    captured: Any, clock: Clock, spin: Spin, seconds_of: Any, roots_of: Any, assert_conserved: Any, run: Run
) -> None:
    def compute() -> None:
        spin(0.1)

    @captured.profiler.profile
    async def work() -> str:
        with clock("fetch"):
            await fetch()
        with clock("compute"):
            compute()
        return "done"

    assert run(work) == "done"
    profile: Profile = captured.one()
    assert profile.wall >= sum(clock.seconds.values())
    assert clock.agrees(seconds_of(profile))
    assert roots_of(profile) == {"work"}
    assert_conserved(profile)


@either
def test_another_tasks_code_never_appears(
    captured: Any, spin: Spin, seconds_of: Any, roots_of: Any, assert_conserved: Any, run: Run
) -> None:
    async def neighbour() -> None:
        while True:
            spin(0.01)
            await anyio.sleep(0.001)

    @captured.profiler.profile
    async def work() -> None:
        await fetch()

    async def main() -> None:
        async with anyio.create_task_group() as group:
            group.start_soon(neighbour)
            async with anyio.create_task_group() as works:
                for _ in range(3):
                    works.start_soon(work)
            group.cancel_scope.cancel()

    run(main)
    profiles = captured.all()
    assert len(profiles) == 3
    for profile in profiles:
        assert roots_of(profile) <= {"work"}
        assert "neighbour" not in seconds_of(profile)
        assert_conserved(profile)
    assert sum(seconds_of(one)["fetch"] for one in profiles) > sum(one.wall for one in profiles) / 2


@either
def test_a_with_block_in_a_task(
    captured: Any, clock: Clock, spin: Spin, seconds_of: Any, roots_of: Any, assert_conserved: Any, run: Run
) -> None:
    def compute() -> None:
        spin(0.1)

    async def handler() -> None:
        with captured.profiler.operation("block"):
            with clock("fetch"):
                await fetch()
            with clock("compute"):
                compute()

    async def main() -> None:
        await handler()

    run(main)
    profile = captured.one()
    assert profile.wall >= sum(clock.seconds.values())
    assert clock.agrees(seconds_of(profile))
    assert roots_of(profile) == {"handler"}
    assert_conserved(profile)


@either
def test_generators(
    captured: Any, clock: Clock, spin: Spin, seconds_of: Any, roots_of: Any, run: Run
) -> None:
    @captured.profiler.profile("rows")
    def rows() -> Iterator[int]:
        with clock("rows"):
            spin(0.06)
        yield 1

    @captured.profiler.profile("async rows")
    async def async_rows() -> AsyncIterator[int]:
        for number in range(2):
            with clock("fetch"):
                await fetch()
            yield number

    async def main() -> int:
        total = sum(rows())
        async for number in async_rows():
            assert current.get() is None
            with clock("consumer"):
                await anyio.sleep(0.1)
            total += number
        return total

    assert run(main) == 2
    profiles = {profile.operation: profile for profile in captured.all()}
    assert profiles["rows"].wall >= clock.seconds.pop("rows")
    profile = profiles["async rows"]
    assert clock.seconds["fetch"] <= profile.wall < clock.seconds["fetch"] + clock.seconds.pop("consumer")
    assert clock.agrees(seconds_of(profile))
    assert roots_of(profile) == {"async_rows"}


@either
def test_cancellation_and_exceptions(make_captured: Any, run: Run) -> None:
    captured = make_captured(threshold=0.0)

    @captured.profiler.profile("waits")
    async def waits() -> None:
        await anyio.sleep(10)

    @captured.profiler.profile("fails")
    async def fails() -> None:
        await anyio.lowlevel.checkpoint()
        raise KeyError("inside")

    @captured.profiler.profile("rows")
    async def rows() -> AsyncIterator[int]:
        yield 1
        await anyio.sleep(10)

    async def main() -> None:
        with anyio.move_on_after(0.02) as scope:
            await waits()
        assert scope.cancelled_caught
        with pytest.raises(KeyError, match="inside"):
            await fails()
        with anyio.move_on_after(0.02) as scope:
            async for _ in rows():
                pass
        assert scope.cancelled_caught
        generator = rows()
        await anext(generator)
        await generator.aclose()  # type: ignore[attr-defined]
        assert not captured.profiler.registry
        assert current.get() is None

    run(main)
    ended = [(one.operation, one.status) for one in captured.all()]
    assert ended == [
        ("waits", Status.CANCELLED), ("fails", Status.ERROR), ("rows", Status.CANCELLED), ("rows", Status.OK)
    ]  # fmt: skip


def test_a_generator_that_is_let_go_of_is_closed_by_trio(make_captured: Any) -> None:
    captured = make_captured(threshold=0.0)
    closed: list[str] = []

    @captured.profiler.profile("rows")
    async def rows() -> AsyncIterator[int]:
        try:
            yield 1
        finally:
            with trio.CancelScope(shield=True):
                await trio.lowlevel.checkpoint()
            closed.append("once")

    async def main() -> list[Any]:
        generators = [rows() for _ in range(5)]
        for generator in generators:
            await anext(generator)
        return generators  # trio closes what is left when it ends

    kept = trio.run(main)
    assert closed == ["once"] * 5
    assert len(kept) == 5
    assert {one.status for one in captured.all()} == {Status.OK}


def test_work_in_a_worker_thread(captured: Any, spin: Spin, roots_of: Any) -> None:
    @captured.profiler.profile("in thread")
    def work() -> None:
        spin(0.1)

    async def main() -> None:
        await trio.to_thread.run_sync(work)
        await anyio.to_thread.run_sync(work)

    trio.run(main)
    assert [roots_of(profile) for profile in captured.all()] == [{"work"}, {"work"}]


@either
def test_what_waits_is_waiting(captured: Any, run: Run) -> None:
    @captured.profiler.profile
    async def work() -> None:
        await fetch()

    run(work)
    profile = captured.one()
    waiting = sum(sample.wall for sample in profile.samples if sample.state is State.WAITING)
    assert waiting > profile.wall / 2


@either
def test_an_interrupt_ends_the_operation(make_captured: Any, run: Run) -> None:
    captured = make_captured(threshold=0.0)

    @captured.profiler.profile
    async def work() -> None:
        await anyio.lowlevel.checkpoint()
        signal.raise_signal(signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        run(work)
    assert captured.one().tags["error"] == "KeyboardInterrupt"
