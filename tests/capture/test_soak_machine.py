"""Five minutes of random operations: begun, nested, awaiting, computing, cancelled, raising, ended, in any order.

PROFKIT_SOAK_SECONDS sets another length.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import threading
import time
from collections.abc import Callable, Coroutine
from types import FunctionType
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from profkit import PerformanceProfiler, Settings
from profkit.operations import current
from profkit_storage import Origin, Profile, Status

SECONDS = float(os.environ.get("PROFKIT_SOAK_SECONDS", "300"))
MOST_ACTORS = 6


class Boom(Exception):
    """What an actor is told to raise."""


async def _follow(actor: Actor) -> None:
    """Do what an actor is told, until it is told to end; every actor has this function under a name of its own."""
    while True:
        what, seconds = await actor.commands.get()
        if what == "await":
            await asyncio.sleep(seconds)
        elif what == "compute":
            until = time.perf_counter() + seconds
            while time.perf_counter() < until:
                sum(range(50))
        elif what == "raise":
            raise Boom
        elif what == "end":
            return
        else:
            with contextlib.suppress(Boom):
                await actor.nest(what)


class Actor:
    """A task whose operations are named and tagged with its number, and whose code has a name of its own."""

    def __init__(self, number: int, profiler: PerformanceProfiler) -> None:
        self.number = number
        self.profiler = profiler
        self.name = f"actor_{number}"
        code = _follow.__code__.replace(co_name=self.name, co_qualname=self.name)
        self.follow: Callable[[Actor], Coroutine[Any, Any, None]] = FunctionType(code, globals(), self.name)
        self.decorated = profiler.profile(f"op.{number}")(self.follow)
        self.commands: asyncio.Queue[tuple[str, float]] = asyncio.Queue()
        self.task: asyncio.Task[None] | None = None

    async def run(self) -> None:
        with contextlib.suppress(Boom):
            await self.decorated(self)

    async def nest(self, how: str) -> None:
        if how == "call":
            await self.decorated(self)
        elif how == "block":
            async with self.profiler.operation(f"op.{self.number}"):
                await self.follow(self)
        elif how == "gather":
            await asyncio.gather(self.decorated(self), asyncio.sleep(0.01), return_exceptions=True)
        elif how == "task":
            await asyncio.create_task(self.follow(self))
        else:
            await asyncio.to_thread(self.profiler.profile(f"op.{self.number}")(time.sleep), 0.01)


class Operations(RuleBasedStateMachine):
    """The machine: actors on one event loop, and what must hold of all that was captured of them."""

    @initialize()
    def begin(self) -> None:
        self.profiles: list[Profile] = []
        every = {"max_profiles": 1_000_000, "max_profiles_per_operation": 1_000_000, "queue_size": 100_000}
        self.profiler = PerformanceProfiler(
            Settings(threshold=0.0, interval=0.002, on_profile=self.profiles.append, **every)
        )
        self.profiler.sampler.max_overhead = 1.0
        self.actors: list[Actor] = []
        self.born = 0
        self.loop = asyncio.new_event_loop()
        self.thread = threading.Thread(target=self.loop.run_forever)
        self.thread.start()

    def tell(self, actor: int, what: str, seconds: float = 0.0) -> None:
        commands = self.actors[actor % len(self.actors)].commands
        self.loop.call_soon_threadsafe(commands.put_nowait, (what, seconds))

    @precondition(lambda self: len(self.actors) < MOST_ACTORS)
    @rule()
    def start(self) -> None:
        actor = Actor(self.born, self.profiler)
        self.born += 1

        async def create() -> None:
            actor.task = asyncio.create_task(actor.run())

        asyncio.run_coroutine_threadsafe(create(), self.loop).result()
        self.actors.append(actor)

    @precondition(lambda self: self.actors)
    @rule(actor=st.integers(0, 5), how=st.sampled_from(["call", "block", "gather", "task", "thread"]))
    def nest(self, actor: int, how: str) -> None:
        self.tell(actor, how)

    @precondition(lambda self: self.actors)
    @rule(actor=st.integers(0, 5), seconds=st.floats(0.0, 0.02), what=st.sampled_from(["await", "compute"]))
    def work(self, actor: int, seconds: float, what: str) -> None:
        self.tell(actor, what, seconds)

    @precondition(lambda self: self.actors)
    @rule(actor=st.integers(0, 5), what=st.sampled_from(["raise", "end"]))
    def leave(self, actor: int, what: str) -> None:
        self.tell(actor, what)

    @precondition(lambda self: self.actors)
    @rule(actor=st.integers(0, 5))
    def cancel(self, actor: int) -> None:
        cancelled = self.actors.pop(actor % len(self.actors))
        self.loop.call_soon_threadsafe(cancelled.task.cancel)

    @rule(seconds=st.floats(0.0, 0.03))
    def wait(self, seconds: float) -> None:
        time.sleep(seconds)

    @rule()
    def collect(self) -> None:
        gc.collect()

    @invariant()
    def nothing_went_wrong(self) -> None:
        if hasattr(self, "profiler"):
            assert not self.profiler.faults.counts()

    def teardown(self) -> None:
        if not hasattr(self, "profiler"):
            return

        async def end() -> None:
            tasks = asyncio.all_tasks() - {asyncio.current_task()}
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
            await self.loop.shutdown_default_executor()

        asyncio.run_coroutine_threadsafe(end(), self.loop).result()
        self.loop.call_soon_threadsafe(self.loop.stop)
        self.thread.join()
        self.loop.close()
        assert not self.profiler.registry, "an operation was left in flight"
        assert current.get() is None
        assert self.profiler.flush(30)
        self.nothing_went_wrong()
        self.profiler.shutdown()
        for profile in self.profiles:
            check(profile)


def check(profile: Profile) -> None:
    """Hold a profile against the invariants of the design."""
    seen = sum(sample.wall for sample in profile.samples) + profile.sampling.unobserved
    assert seen == pytest.approx(profile.wall, rel=0.01, abs=1e-6)
    assert profile.status in {Status.OK, Status.ERROR, Status.CANCELLED}
    number = profile.operation.removeprefix("op.")
    for sample in profile.samples:
        stack = [frame for frame, _ in profile.stack(sample.node)]
        actors = {frame.qualname for frame in stack if frame.qualname.startswith("actor_")}
        assert actors <= {f"actor_{number}"}, "another task's code"
        assert stack[-1].origin is not Origin.SYNTHETIC
        assert not stack[-1].module.startswith(("asyncio", "concurrent", "selectors", "profkit"))
        assert sample.holder < 0 or profile.frames[sample.holder].qualname
        assert sample.wall >= 0
    for branch in profile.branches:
        assert 0 <= branch.start <= branch.end <= profile.wall + 1e-9
    for child in profile.children:
        assert 0 <= child.start <= child.end <= profile.wall + 1e-9
        assert child.name == profile.operation


@pytest.mark.soak
@pytest.mark.timeout(int(SECONDS) + 180)
def test_minutes_of_random_operations() -> None:
    until = time.monotonic() + SECONDS
    rounds = 0
    while time.monotonic() < until:
        run_state_machine_as_test(
            Operations,
            settings=settings(
                max_examples=4,
                stateful_step_count=60,
                deadline=None,
                database=None,
                suppress_health_check=list(HealthCheck),
            ),
        )
        rounds += 1
    assert rounds
