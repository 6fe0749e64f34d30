"""Tasks that an operation starts are its branches: they share its seconds as the clock says, and all are there."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import time
from collections import defaultdict
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import anyio
import pytest

from profkit.sampling.branches import Branch
from profkit.sampling.calltree import CallTree
from profkit.sampling.codes import CodeTable
from profkit.sampling.recording import Recording
from profkit.sampling.timeline import NOBODY, SUSPENDED
from profkit_storage import Profile, Status

Spin = Callable[[float], None]


class Clock:
    """What the clock says: when each part was at work, of which n at once have 1/n of the time each."""

    def __init__(self) -> None:
        self.parts: list[tuple[str, float, float]] = []

    @contextlib.contextmanager
    def at(self, name: str) -> Iterator[None]:
        began = time.perf_counter()
        try:
            yield
        finally:
            self.parts.append((name, began, time.perf_counter()))

    def shares(self) -> dict[str, float]:
        edges = sorted({moment for _, *moments in self.parts for moment in moments})
        seconds: dict[str, float] = defaultdict(float)
        for began, ended in itertools.pairwise(edges):
            at_work = [name for name, first, last in self.parts if first <= began and ended <= last]
            for name in at_work:
                seconds[name] += (ended - began) / len(at_work)
        return dict(seconds)


async def first(clock: Clock, seconds: float = 0.05) -> str:
    with clock.at("first"):
        await asyncio.sleep(seconds)
    return "first"


async def second(clock: Clock, seconds: float = 0.1) -> str:
    with clock.at("second"):
        await asyncio.sleep(seconds)
    return "second"


async def third(clock: Clock, seconds: float = 0.15) -> str:
    with clock.at("third"):
        await asyncio.sleep(seconds)
    return "third"


async def fails(clock: Clock) -> None:
    with clock.at("fails"):
        await asyncio.sleep(0.05)
        raise ValueError


async def never_ends(clock: Clock) -> None:
    with clock.at("never_ends"):
        await asyncio.sleep(30)


class Awaited:
    """No coroutine, but something that can be awaited."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock

    def __await__(self) -> Any:
        return (yield from second(self.clock).__await__())


async def gathers(clock: Clock) -> None:
    await asyncio.gather(first(clock), second(clock), third(clock))


async def gathers_gathers(clock: Clock) -> None:
    await asyncio.gather(
        asyncio.gather(first(clock), second(clock)), asyncio.gather(third(clock), first(clock))
    )


async def gathers_what_gathers(clock: Clock) -> None:
    async def inner() -> None:
        await asyncio.gather(first(clock), second(clock))

    await asyncio.gather(inner(), third(clock))


async def gathers_awaitables(clock: Clock) -> None:
    await asyncio.gather(Awaited(clock), first(clock))


async def groups(clock: Clock) -> None:
    async with asyncio.TaskGroup() as group:
        group.create_task(first(clock))
        group.create_task(third(clock))
        await second(clock)


async def groups_of_anyio(clock: Clock) -> None:
    async with anyio.create_task_group() as group:
        group.start_soon(first, clock)
        group.start_soon(third, clock)
        await second(clock)


async def a_group_that_fails(clock: Clock) -> None:
    with contextlib.suppress(ExceptionGroup):
        async with asyncio.TaskGroup() as group:
            group.create_task(never_ends(clock))
            group.create_task(fails(clock))
    await second(clock)


async def waits_for_some_time(clock: Clock) -> None:
    tasks = [asyncio.create_task(first(clock)), asyncio.create_task(third(clock))]
    _, left = await asyncio.wait(tasks, timeout=0.1)
    await asyncio.wait(left)


async def waits_for_the_first(clock: Clock) -> None:
    left = {asyncio.create_task(one(clock)) for one in (first, second, third)}
    while left:
        _, left = await asyncio.wait(left, return_when=asyncio.FIRST_COMPLETED)


async def takes_them_as_completed(clock: Clock) -> None:
    for one in asyncio.as_completed([third(clock), first(clock), second(clock)]):
        await one


async def starts_one_and_works(clock: Clock) -> None:
    task = asyncio.create_task(third(clock))
    await asyncio.sleep(0)
    await first(clock)
    await task


async def awaits_one_after_the_other(clock: Clock) -> None:
    tasks = [asyncio.create_task(one(clock)) for one in (third, first, second)]
    for task in tasks:
        await task


async def waits_for_one_with_a_timeout(clock: Clock) -> None:
    await asyncio.wait_for(first(clock), 5)
    await asyncio.gather(asyncio.wait_for(first(clock), 5), asyncio.wait_for(second(clock), 5))


async def waits_for_its_own_beside_a_task(clock: Clock) -> None:
    task = asyncio.create_task(third(clock))
    await asyncio.sleep(0)
    await asyncio.wait_for(second(clock), 5)
    await task


async def waits_for_a_gather(clock: Clock) -> None:
    await asyncio.wait_for(asyncio.gather(first(clock), second(clock)), 5)


async def gives_up(clock: Clock) -> None:
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(never_ends(clock), 0.1)
    await first(clock)


async def shields(clock: Clock) -> None:
    await asyncio.shield(first(clock))
    await asyncio.gather(asyncio.shield(first(clock)), second(clock))


async def times_out(clock: Clock) -> None:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(0.1):
            await asyncio.gather(first(clock), never_ends(clock))
    await second(clock)


async def cancels(clock: Clock) -> None:
    task = asyncio.create_task(never_ends(clock))
    await asyncio.sleep(0)
    await second(clock)
    task.cancel()
    await asyncio.wait([task])
    await first(clock)


async def collects_errors(clock: Clock) -> None:
    await asyncio.gather(second(clock), fails(clock), return_exceptions=True)


async def goes_on_when_one_fails(clock: Clock) -> None:
    with contextlib.suppress(ValueError):
        await asyncio.gather(second(clock), fails(clock))
    await third(clock)


async def starts_what_starts_others(clock: Clock) -> None:
    async def middle() -> None:
        task = asyncio.create_task(third(clock))
        await asyncio.sleep(0)
        await first(clock)
        await task

    await asyncio.create_task(middle())
    await first(clock)


async def iterates_over_branches(clock: Clock) -> None:
    async def rows() -> AsyncIterator[str]:
        for one in asyncio.as_completed([first(clock), second(clock)]):
            yield await one

    async for _ in rows():
        pass


WAYS = [
    gathers, gathers_gathers, gathers_what_gathers, gathers_awaitables, groups, groups_of_anyio, a_group_that_fails,
    waits_for_some_time, waits_for_the_first, takes_them_as_completed, starts_one_and_works,
    awaits_one_after_the_other, waits_for_one_with_a_timeout, waits_for_its_own_beside_a_task, waits_for_a_gather,
    gives_up, shields, times_out, cancels, collects_errors, goes_on_when_one_fails, starts_what_starts_others,
    iterates_over_branches,
]  # fmt: skip


def tolerance(captured: Any, profile: Profile, shares: dict[str, float]) -> float:
    """5 % of the operation, what nobody looked at (twice: taken here, added there), and what was no part's time."""
    unseen = 2 * captured.longest_gap(profile) + profile.sampling.unobserved
    return 0.05 * profile.wall + unseen + profile.wall - sum(shares.values())


@pytest.mark.parametrize("way", WAYS)
def test_each_has_its_share(
    captured: Any,
    seconds_of: Any,
    roots_of: Any,
    assert_conserved: Any,
    way: Callable[[Clock], Awaitable[None]],
) -> None:
    clock = Clock()

    @captured.profiler.profile
    async def work() -> None:
        await way(clock)

    asyncio.run(work())
    profile: Profile = captured.one()
    assert profile.status is Status.OK
    assert_conserved(profile)
    assert profile.sampling.unobserved < 0.05 * profile.wall + 0.05
    assert roots_of(profile) == {"work"}
    seconds, shares = seconds_of(profile), clock.shares()
    for name, share in shares.items():
        assert seconds[name] == pytest.approx(share, abs=tolerance(captured, profile, shares)), name


async def beats() -> None:
    for _ in range(1_000):
        await asyncio.sleep(0.01)


async def sleeps_long() -> None:
    await asyncio.sleep(30)


async def beside_work_of_its_own(clock: Clock) -> None:
    await first(clock)
    await second(clock)


async def beside_branches(clock: Clock) -> None:
    await first(clock)
    await asyncio.gather(first(clock), second(clock), third(clock))


async def beside_a_wait_for_somebody_else(clock: Clock) -> None:
    loop = asyncio.get_running_loop()
    future = loop.create_future()
    event = asyncio.Event()
    loop.call_later(0.1, future.set_result, None)
    loop.call_later(0.2, event.set)
    with clock.at("is_answered"):
        await is_answered(future)
    with clock.at("is_told"):
        await is_told(event)


async def is_answered(future: asyncio.Future[None]) -> None:
    await asyncio.wait([future])


async def is_told(event: asyncio.Event) -> None:
    await event.wait()


@pytest.mark.parametrize("way", [beside_work_of_its_own, beside_branches, beside_a_wait_for_somebody_else])
@pytest.mark.parametrize("goes_on", [beats, sleeps_long])
def test_what_it_did_not_wait_for_gets_nothing(
    captured: Any,
    seconds_of: Any,
    roots_of: Any,
    assert_conserved: Any,
    goes_on: Callable[[], Any],
    way: Callable[[Clock], Awaitable[None]],
) -> None:
    clock = Clock()

    @captured.profiler.profile
    async def work() -> asyncio.Task[None]:
        task = asyncio.create_task(goes_on())
        await asyncio.sleep(0)
        await way(clock)
        return task

    async def main() -> None:
        (await work()).cancel()

    asyncio.run(main())
    profile = captured.one()
    assert_conserved(profile)
    assert roots_of(profile) == {"work"}
    assert goes_on.__qualname__ in {branch.name for branch in profile.branches}
    seconds, shares = seconds_of(profile), clock.shares()
    assert seconds[goes_on.__name__] < tolerance(captured, profile, shares)
    for name, share in shares.items():
        assert seconds[name] == pytest.approx(share, abs=tolerance(captured, profile, shares)), name


def test_what_it_gave_up_on_keeps_the_time_it_was_waited_for(captured: Any, seconds_of: Any) -> None:
    @captured.profiler.profile
    async def work() -> None:
        await asyncio.wait([asyncio.create_task(sleeps_long())], timeout=0.1)

    asyncio.run(work())
    profile = captured.one()
    assert seconds_of(profile)["sleeps_long"] > 0.8 * profile.wall


def test_who_is_told_by_its_own_task_leaves_it_the_time(captured: Any, seconds_of: Any) -> None:
    async def feeds(stream: Any, clock: Clock) -> None:
        async with stream:
            await second(clock)
            await stream.send(1)
            await first(clock)

    @captured.profiler.profile
    async def work() -> None:
        sending, receiving = anyio.create_memory_object_stream[int]()
        async with receiving, anyio.create_task_group() as group:
            group.start_soon(feeds, sending, Clock())
            async for _ in receiving:
                pass

    asyncio.run(work())
    profile = captured.one()
    assert seconds_of(profile)["feeds"] > 0.8 * profile.wall


def test_branches_there_is_no_room_for_keep_their_time_together(make_captured: Any, seconds_of: Any) -> None:
    captured = make_captured(max_samples=100)

    @captured.profiler.profile
    async def work() -> None:
        await asyncio.gather(*(second(Clock()) for _ in range(60)))

    asyncio.run(work())
    profile = captured.one()
    others = next(index for index, branch in enumerate(profile.branches) if branch.name == "[other branches]")
    together = sum(sample.wall for sample in profile.samples if sample.branch == others)
    assert together == pytest.approx(profile.wall * (60 - 25) / 60, rel=0.2)
    assert seconds_of(profile)["second"] > 0.8 * profile.wall


def test_what_goes_on_after_the_operation_gets_nothing_of_that() -> None:
    recording = Recording(CallTree(CodeTable()), 0.0, 100, 0.0)
    branch = Branch("heartbeat")
    wall = recording.begin_look(1.0)
    recording.observe(recording.track(branch), wall, wall, 1, SUSPENDED, NOBODY, 0.0)
    branch.ended = 9.0
    recording.finish(1.5, 1.0)
    assert sum(span.wall for span in recording.tracks[branch].timeline.spans()) == pytest.approx(1.5)
