"""Greenlets outside gevent: code that SQLAlchemy's asyncio side runs in one belongs to the task that waits for it."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import greenlet
import pytest
import uvloop
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column
from sqlalchemy.util import await_only, greenlet_spawn

from profkit.sampling import switches
from profkit.sampling.codes import CodeTable
from profkit.sampling.stacks import walk
from profkit.sampling.threads import this
from profkit_storage import Profile
from tests.capture.conftest import Captured

Spin = Callable[[float], None]
NewLoop = Callable[[], asyncio.AbstractEventLoop]
LOOPS: list[NewLoop] = [asyncio.new_event_loop, uvloop.new_event_loop]


class Base(DeclarativeBase):
    pass


class Item(Base):
    __tablename__ = "items"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str]


def chains(profile: Profile) -> dict[tuple[str, ...], float]:
    """Seconds by the short names of a stack, root first."""
    seconds: dict[tuple[str, ...], float] = {}
    for sample in profile.samples:
        names = [frame.qualname.rpartition(".")[2] for frame, _ in profile.stack(sample.node)]
        key = tuple(reversed(names))
        seconds[key] = seconds.get(key, 0.0) + sample.wall
    return seconds


def below(profile: Profile, *names: str) -> float:
    """Seconds of the stacks that begin with these functions."""
    return sum(seconds for chain, seconds in chains(profile).items() if chain[: len(names)] == names)


def run(main: Callable[[], Any], new_loop: NewLoop = asyncio.new_event_loop) -> Any:
    """Run a coroutine in a thread of its own, which has noted no switch yet."""

    def in_thread() -> Any:
        with asyncio.Runner(loop_factory=new_loop) as runner:
            return runner.run(main())

    with ThreadPoolExecutor(1) as pool:
        return pool.submit(in_thread).result()


@pytest.mark.parametrize("new_loop", LOOPS)
def test_what_a_greenlet_computes_is_its_tasks(
    new_loop: NewLoop,
    captured: Captured,
    spin: Spin,
    assert_conserved: Callable[[Profile], None],
) -> None:
    @captured.profiler.profile
    async def operation() -> None:
        await greenlet_spawn(spin, 0.05)
        await asyncio.sleep(0)  # the thread notes its switches from here on
        await query()

    async def query() -> None:
        await greenlet_spawn(compute)

    def compute() -> None:
        spin(0.3)

    run(operation, new_loop)
    profile = captured.one()
    assert_conserved(profile)
    assert profile.sampling.unobserved < 0.02
    assert below(profile, "operation", "query", "greenlet_spawn", "compute", "spin") > 0.25


def test_the_first_stack_of_a_thread_has_the_operation_and_the_greenlet(
    captured: Captured, spin: Spin
) -> None:
    @captured.profiler.profile
    async def operation() -> None:
        await greenlet_spawn(spin, 0.2)

    run(operation)
    assert below(captured.one(), "operation", "spin") > 0.15


@pytest.mark.parametrize("new_loop", LOOPS)
def test_what_a_suspended_greenlet_waits_for_is_below_its_frames(
    new_loop: NewLoop, captured: Captured
) -> None:
    @captured.profiler.profile
    async def operation() -> None:
        await greenlet_spawn(lazy_load)

    def lazy_load() -> None:
        await_only(answer())

    async def answer() -> None:
        await asyncio.sleep(0.2)

    run(operation, new_loop)
    profile = captured.one()
    (waiting,) = (chain for chain, seconds in chains(profile).items() if seconds > 0.1)
    assert waiting[:3] == ("operation", "greenlet_spawn", "lazy_load")
    assert waiting[-3:] == ("answer", "sleep", "[await]")


def test_a_function_within_a_greenlet_is_an_operation_too(captured: Captured, spin: Spin) -> None:
    @captured.profiler.profile("outer")
    async def outer() -> None:
        await greenlet_spawn(inner)

    @captured.profiler.profile("inner")
    def inner() -> None:
        spin(0.1)
        await_only(asyncio.sleep(0.1))
        spin(0.1)

    run(outer)
    profiles = {profile.operation: profile for profile in captured.all()}
    assert below(profiles["inner"], "inner", "spin") > 0.15
    assert sum(
        seconds
        for chain, seconds in chains(profiles["inner"]).items()
        if chain[0] == "inner" and chain[-2:] == ("sleep", "[await]")
    ) == pytest.approx(0.1, abs=0.03)
    assert profiles["inner"].sampling.unobserved < 0.03
    assert below(profiles["outer"], "outer", "greenlet_spawn", "inner", "spin") > 0.08


def test_a_task_beside_gets_nothing_of_it(captured: Captured, spin: Spin) -> None:
    @captured.profiler.profile
    async def waits() -> None:
        await asyncio.sleep(0.4)

    async def beside() -> None:
        for _ in range(8):
            await greenlet_spawn(spin, 0.04)

    async def main() -> None:
        await asyncio.gather(waits(), beside())

    run(main)
    assert {chain[0] for chain in chains(captured.one())} == {"waits"}
    assert not any("spin" in chain for chain in chains(captured.one()))


def test_a_real_session_is_seen_whole(captured: Captured, spin: Spin, tmp_path: Path) -> None:
    engine = create_async_engine(f"sqlite+aiosqlite:///{tmp_path}/items.db")

    @captured.profiler.profile
    async def operation() -> int:
        async with AsyncSession(engine) as session:
            await greenlet_spawn(spin, 0.05)
            await session.execute(select(1))  # the thread notes its switches from here on
            rows = await load(session)
            await session.run_sync(count)
        return len(rows)

    async def load(session: AsyncSession) -> list[Item]:
        return list((await session.scalars(select(Item))).all())

    def count(session: Session) -> int:
        return len(session.scalars(select(Item).execution_options(populate_existing=True)).all())

    async def main() -> None:
        async with engine.begin() as connection:
            await connection.run_sync(Base.metadata.create_all)
            rows = [{"name": f"item {number}"} for number in range(20_000)]
            await connection.execute(Item.__table__.insert(), rows)
        assert await operation() == 20_000
        await engine.dispose()

    run(main)
    profile = captured.one()
    assert profile.sampling.unobserved < 0.1 * profile.wall
    seconds = chains(profile)
    assert {chain[0] for chain in seconds} == {"operation"}
    linked = [sum(spent for chain, spent in seconds.items() if name in chain) for name in ("load", "count")]
    assert min(linked) > 0.1 * profile.wall


def test_a_trace_function_of_the_applications_is_still_called(captured: Captured, spin: Spin) -> None:
    switched: list[str] = []

    @captured.profiler.profile
    async def operation() -> None:
        for _ in range(5):
            await greenlet_spawn(spin, 0.03)
            await asyncio.sleep(0)

    async def main() -> None:
        greenlet.settrace(lambda event, _: switched.append(event))
        await operation()

    run(main)
    assert switched.count("switch") == 10
    assert below(captured.one(), "operation", "greenlet_spawn", "spin") > 0.05


def test_a_trace_function_of_the_applications_may_take_the_place_of_ours(
    captured: Captured, spin: Spin
) -> None:
    @captured.profiler.profile
    async def operation() -> None:
        for _ in range(20):
            await greenlet_spawn(spin, 0.1)
            await asyncio.sleep(0)

    async def main() -> None:
        asyncio.get_running_loop().call_later(0.3, greenlet.settrace, None)
        await operation()

    run(main)
    profile = captured.one()
    assert below(profile, "operation", "greenlet_spawn", "spin") > 0.5
    assert profile.sampling.unobserved < 0.05


def test_a_capture_of_the_process_links_them_too(captured: Captured, spin: Spin) -> None:
    @captured.profiler.profile
    async def operation() -> None:
        for _ in range(30):
            await greenlet_spawn(spin, 0.02)
            await asyncio.sleep(0)

    async def main() -> Profile:
        running = asyncio.create_task(operation())
        await asyncio.sleep(0.1)
        profile = await asyncio.to_thread(captured.profiler.capture, 0.2)
        await running
        return profile

    captured.profiler.configure(storage="memory://", threshold=0.05)
    profile = run(main)
    linked = [chain for chain in chains(profile) if {"operation", "greenlet_spawn", "spin"} <= set(chain)]
    assert linked
    assert all(chain[0].startswith("[thread") for chain in linked)


def test_profkit_needs_no_greenlets() -> None:
    code = "import profkit, sys; profkit.profile(lambda: None)(); print('greenlet' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"


def test_no_code_of_a_local_variable_runs_in_the_sampler(captured: Captured) -> None:
    class Proxy:
        def __getattr__(self, name: str) -> Any:
            asked.append(name)
            raise RuntimeError("bound to no request")

    async def greenlet_spawn(proxy: Proxy) -> None:
        await asyncio.sleep(0.2)

    @captured.profiler.profile
    async def operation() -> None:
        await greenlet_spawn(Proxy())

    asked: list[str] = []
    run(operation)
    assert below(captured.one(), "operation", "greenlet_spawn", "sleep") > 0.15
    assert asked == []


def test_a_greenlet_that_has_just_been_switched_to_its_parent_is_not_there_twice() -> None:
    frame = sys._getframe()
    once = walk(frame, CodeTable())
    assert len(walk(frame, CodeTable(), [frame]).places) == len(once.places)


def test_a_thread_is_told_to_note_its_switches_once_in_a_while(captured: Captured) -> None:
    async def main() -> tuple[int, object, object]:
        loop = asyncio.get_running_loop()
        await greenlet_spawn(lambda: None)
        thread = this.thread
        thread.loop = loop
        told = 0
        tell = loop.call_soon_threadsafe

        def counted(*arguments: Any) -> Any:
            nonlocal told
            told += 1
            return tell(*arguments)

        loop.call_soon_threadsafe = counted  # type: ignore[method-assign]
        for _ in range(100):
            switches.follow(thread)
        await asyncio.sleep(0.01)
        first = greenlet.gettrace()
        switches.note_switches()
        return told, first, greenlet.gettrace()

    told, first, second = asyncio.run(main())
    greenlet.settrace(None)
    assert told == 1
    assert first is second is not None, "its own function is no other's, to be called by one more"
