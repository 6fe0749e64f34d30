"""pyinstrument's own engine on an operation: what it shows, when it gives way, and what it leaves behind."""

from __future__ import annotations

import asyncio
import contextlib
import copy
import functools
import gc
import inspect
import json
import random
import signal
import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pyinstrument
import pytest
from pyinstrument.stack_sampler import StackSampler, get_stack_sampler

import profkit
from profkit import ConfigurationError
from profkit.engines import Instrumented
from profkit.engines import session as sessions
from profkit.engines.session import Session
from profkit_storage import Origin, Profile, State, Status
from profkit_storage.codec import decode, encode
from profkit_storage.formats import FORMATS

Spin = Callable[[float], None]
Clock = dict[str, float]
NESTED = "another profiler was running"
OCCUPIED = "sys.setprofile was in use"
REPLACED = "its hook was silent: sys.setprofile was called meanwhile, or the machine is too crowded"
HANDED = "work was handed to other threads, which its hook does not see"


@pytest.fixture(autouse=True)
def _nothing_left() -> Iterator[None]:
    """Every test begins without a hook in its thread, and must not leave one."""
    assert sys.getprofile() is None
    yield
    left, subscribers = sys.getprofile(), get_stack_sampler().subscribers
    sys.setprofile(None)
    assert left is None
    assert not subscribers


@pytest.fixture
def taken(captured: Any) -> Callable[..., list[Profile]]:
    """Return what was captured, the first to begin first, after a check of how many fell back to the watchdog."""

    def taken(fallbacks: int = 0) -> list[Profile]:
        assert captured.profiler.flush(5)
        assert captured.profiler.faults.counts() == ({"engine_fallback": fallbacks} if fallbacks else {})
        profiles = sorted(captured.profiles, key=lambda profile: profile.start_ns)
        fell_back = [profile for profile in profiles if "engine_fallback" in profile.tags]
        assert all(profile.sampling.engine == "watchdog" for profile in fell_back)
        return profiles

    return taken


def timed(clock: Clock, function: Callable[[], object]) -> None:
    """Call it, and add its seconds under its name: machines are crowded, and what should take 0.1 s takes 0.2."""
    began = time.perf_counter()
    function()
    name = function.__name__
    clock[name] = clock.get(name, 0.0) + time.perf_counter() - began


def names_in(profile: Profile) -> set[str]:
    return {frame.qualname.rpartition(".")[2] for frame in profile.frames}


def stacks_in(profile: Profile) -> set[tuple[str, ...]]:
    leaves = {sample.node for sample in profile.samples}
    return {
        tuple(frame.qualname.rpartition(".")[2] for frame, _ in profile.stack(leaf))[::-1] for leaf in leaves
    }


def assert_measured(profile: Profile) -> None:
    """It is pyinstrument's, has every second, and nothing of pyinstrument's or profkit's own in it."""
    assert profile.sampling.engine == "pyinstrument"
    assert "engine_fallback" not in profile.tags
    assert profile.sampling.ticks > 0
    total = sum(sample.wall for sample in profile.samples) + profile.sampling.unobserved
    assert total == pytest.approx(profile.wall, rel=0.01)
    assert (
        profile.sampling.unobserved <= 0.02 * profile.wall + 0.05
    )  # where the machine gave it no CPU as it ended
    assert profile.cpu is None or 0 <= profile.cpu <= profile.wall * 1.05
    own = ("profkit", "pyinstrument.stack_sampler")
    assert not [frame for frame in profile.frames if frame.module.startswith(own)]
    assert not [sample for sample in profile.samples if sample.inferred and sample.branch < 0]


def assert_exported(profile: Profile) -> None:
    """It can be stored, and every format has it."""
    assert decode(encode(profile)) == profile
    for render in FORMATS.values():
        assert render(profile)
    session = pyinstrument.session.Session.from_json(json.loads(FORMATS["pyinstrument"](profile)))
    root = session.root_frame()
    assert root is not None
    assert root.time == pytest.approx(sum(sample.wall for sample in profile.samples), rel=0.01)


def test_an_engine_there_is_not_is_refused_with_those_there_are(captured: Any) -> None:
    for refused in (captured.profiler.profile, profkit.profile):
        with pytest.raises(
            ConfigurationError, match="engine='cprofile' is not allowed: give 'watchdog' or 'pyinstrument'"
        ):
            refused(engine="cprofile")
    with pytest.raises(ConfigurationError, match="'watchdog' or 'pyinstrument'"):
        captured.profiler.operation("block", engine="")


def test_the_watchdog_is_the_engine_unless_told_otherwise(captured: Any, spin: Spin, taken: Any) -> None:
    hooks = []

    @captured.profiler.profile
    def usual() -> None:
        hooks.append(sys.getprofile())
        spin(0.06)

    @captured.profiler.profile(engine="watchdog")
    def named() -> None:
        usual()

    named()
    with captured.profiler.operation("block", engine="watchdog"):
        usual()
    assert hooks == [None, None]
    assert {profile.sampling.engine for profile in taken()} == {"watchdog"}


def test_a_function(captured: Any, spin: Spin, taken: Any, seconds_of: Any, roots_of: Any) -> None:
    clock: Clock = {}

    def first() -> None:
        spin(0.1)

    def second() -> None:
        time.sleep(0.1)

    @captured.profiler.profile("work", category="agent", engine="pyinstrument")
    def work(answer: int) -> int:
        timed(clock, first)
        timed(clock, second)
        json.dumps(list(range(1_000)))
        return answer

    assert work(42) == 42
    assert inspect.signature(work).parameters["answer"].annotation == "int"
    (profile,) = taken()
    assert_measured(profile)
    assert (profile.operation, profile.category, profile.status) == ("work", "agent", Status.OK)
    assert profile.sampling.interval == 0.002
    assert roots_of(profile) == {"work"}
    seconds = seconds_of(profile)
    assert seconds["first"] == pytest.approx(clock["first"], abs=0.02)
    assert seconds["second"] == pytest.approx(clock["second"], abs=0.02)
    (spinning,) = {frame for frame in profile.frames if frame.qualname.endswith("spin.<locals>.spin")}
    assert spinning.origin is Origin.APPLICATION
    assert (spinning.module, spinning.first_line) == (spin.__module__, spin.__code__.co_firstlineno)
    assert not spinning.filename.startswith("/")
    (sleep,) = {frame for frame in profile.frames if frame.qualname == "time.sleep"}
    assert (sleep.origin, sleep.module) == (Origin.NATIVE, "time")
    asleep = [
        sample for sample in profile.samples if profile.frames[profile.nodes[sample.node].frame] == sleep
    ]
    assert {sample.state for sample in asleep} == {State.WAITING}
    assert sum(sample.wall for sample in asleep) == pytest.approx(clock["second"], abs=0.02)
    assert sum(sample.cpu for sample in asleep) < 0.01
    assert profile.cpu is None or 0.02 < profile.cpu < clock["first"] + 0.02
    assert_exported(profile)


def test_a_long_call_is_seen_when_it_ends(captured: Any, taken: Any, spin: Spin, seconds_of: Any) -> None:
    """There is one sample for each: it stands for all of the time since the one before it."""
    clock: Clock = {}

    def first() -> None:
        time.sleep(0.3)

    def second() -> None:
        time.sleep(0.2)

    @captured.profiler.profile(engine="pyinstrument")
    def work() -> None:
        timed(clock, first)
        spin(0.02)
        timed(clock, second)

    work()
    (profile,) = taken()
    assert_measured(profile)
    seconds = seconds_of(profile)
    assert seconds["first"] == pytest.approx(clock["first"], abs=0.02)
    assert seconds["second"] == pytest.approx(clock["second"], abs=0.02)
    assert seconds["sleep"] == pytest.approx(clock["first"] + clock["second"], abs=0.03)


def test_what_is_too_short_for_a_tick_is_seen(captured: Any, taken: Any, seconds_of: Any) -> None:
    """Bursts among blocking calls, which a watchdog is given the GIL at; the hook is told of each."""
    clock: Clock = {}

    def burn() -> None:
        until = time.perf_counter() + 0.004
        while time.perf_counter() < until:
            pass

    def often() -> None:
        burn()

    def seldom() -> None:
        burn()

    @captured.profiler.profile(engine="pyinstrument")
    def work() -> None:
        steps = [often] * 60 + [seldom] * 20
        random.Random(1).shuffle(steps)
        for step in steps:
            timed(clock, step)
            time.sleep(0.006)

    work()
    (profile,) = taken()
    assert_measured(profile)
    seconds = seconds_of(profile)
    for name in ("often", "seldom"):
        assert seconds[name] == pytest.approx(clock[name], abs=0.1 * profile.wall)


def test_a_python_function_is_never_taken_for_a_native_one(captured: Any, taken: Any) -> None:
    class Tree:
        def __init__(self, depth: int) -> None:
            self.below = [Tree(depth - 1) for _ in range(2)] if depth else []

        def walk(self) -> int:
            return 1 + sum(one.walk() for one in self.below)

    tree = Tree(11)

    @captured.profiler.profile(engine="pyinstrument")
    def work() -> None:
        until = time.perf_counter() + 0.2
        while time.perf_counter() < until:
            tree.walk()

    work()
    (profile,) = taken()
    assert_measured(profile)
    natives = {frame.qualname for frame in profile.frames if frame.origin is Origin.NATIVE}
    assert natives <= {"sum", "time.perf_counter"}
    assert "walk" in names_in(profile)


def test_the_time_before_a_call_is_the_callers(captured: Any, taken: Any, seconds_of: Any) -> None:
    clock: Clock = {}

    def short() -> None: ...

    def long(power: int) -> None:
        result = 7**power  # calls nothing
        short()
        assert result

    @captured.profiler.profile(engine="pyinstrument")
    def work() -> None:
        power = 100_000
        while clock.get("compute", 0.0) < 0.1:
            clock.clear()
            power *= 2

            def compute(power: int = power) -> None:
                long(power)

            timed(clock, compute)

    work()
    (profile,) = taken()
    assert_measured(profile)
    seconds = seconds_of(profile)
    assert seconds["long"] > 0.1
    assert seconds["short"] < 0.02


def test_a_native_function_has_its_own_name_where_the_call_has_none(captured: Any, taken: Any) -> None:
    @captured.profiler.profile(engine="pyinstrument")
    def work() -> None:
        for call in (time.sleep, functools.partial(time.sleep)):
            [call][0](0.04)

    work()
    (profile,) = taken()
    assert_measured(profile)
    (native,) = {frame.qualname for frame in profile.frames if frame.origin is Origin.NATIVE}
    assert native == "sleep"


def test_gather_beside_another_task(
    captured: Any, spin: Spin, taken: Any, seconds_of: Any, roots_of: Any
) -> None:
    clock: Clock = {}

    def think() -> None:
        spin(0.1)

    async def database() -> None:
        began = time.perf_counter()
        await asyncio.sleep(0.2)
        clock["database"] = time.perf_counter() - began

    async def model() -> None:
        began = time.perf_counter()
        await asyncio.sleep(0.2)
        timed(clock, think)
        await asyncio.sleep(0.2)
        clock["model"] = time.perf_counter() - began

    async def neighbour() -> None:
        while True:
            spin(0.003)
            json.dumps(list(range(500)))
            await asyncio.sleep(0.007)

    @captured.profiler.profile(engine="pyinstrument")
    async def request() -> str:
        await asyncio.gather(database(), model())
        spin(0.05)
        await asyncio.sleep(0.05)
        return "done"

    async def main() -> str:
        beside = asyncio.create_task(neighbour())
        await asyncio.sleep(0)
        try:
            return await request()
        finally:
            beside.cancel()

    assert asyncio.run(main()) == "done"
    assert inspect.iscoroutinefunction(request)
    (profile,) = taken()
    assert_measured(profile)
    assert roots_of(profile) == {"request"}
    shown = {name for stack in stacks_in(profile) for name in stack}
    assert not shown & {"neighbour", "dumps", "run_forever", "_run_once", "_run", "main", "select"}
    assert {branch.name for branch in profile.branches} == {database.__qualname__, model.__qualname__}
    by_branch = {index: branch.name.rpartition(".")[2] for index, branch in enumerate(profile.branches)}
    walls = dict.fromkeys(["database", "model", ""], 0.0)
    for sample in profile.samples:
        walls[by_branch.get(sample.branch, "")] += sample.wall
    both = clock["database"] / 2  # each has half of the time that both were pending
    assert walls["database"] == pytest.approx(both, abs=0.04)
    assert walls["model"] == pytest.approx(clock["model"] - both, abs=0.06)
    assert seconds_of(profile)["think"] == pytest.approx(clock["think"], abs=0.04)
    waiting = [sample for sample in profile.samples if sample.state is not State.RUNNING]
    assert sum(sample.wall for sample in waiting) > 0.35
    assert_exported(profile)


def test_tasks_that_are_short_lose_nothing(captured: Any, spin: Spin, taken: Any) -> None:
    async def step() -> None:
        spin(0.0015)

    @captured.profiler.profile(engine="pyinstrument")
    async def request() -> None:
        for _ in range(100):
            await asyncio.create_task(step())

    asyncio.run(request())
    (profile,) = taken()
    assert_measured(profile)
    assert profile.sampling.unobserved < 0.03 * profile.wall


def test_an_operation_that_is_ready_is_starved(captured: Any, taken: Any) -> None:
    clock: Clock = {}

    def hog() -> None:
        time.sleep(0.2)

    @captured.profiler.profile(engine="pyinstrument")
    async def request(ready: asyncio.Event) -> None:
        await ready.wait()

    async def neighbour(ready: asyncio.Event) -> None:
        await asyncio.sleep(0.1)
        ready.set()
        timed(clock, hog)

    async def main() -> None:
        ready = asyncio.Event()
        beside = asyncio.create_task(neighbour(ready))
        await request(ready)
        await beside

    asyncio.run(main())
    (profile,) = taken()
    assert_measured(profile)
    starved = [sample for sample in profile.samples if sample.state is State.STARVED]
    assert sum(sample.wall for sample in starved) == pytest.approx(clock["hog"], abs=0.05)
    assert {profile.frames[sample.holder].qualname.rpartition(".")[2] for sample in starved} == {"hog"}
    assert not {"hog", "neighbour"} & {name for stack in stacks_in(profile) for name in stack}


def test_two_coroutines_at_once_are_both_measured(
    captured: Any, spin: Spin, taken: Any, roots_of: Any
) -> None:
    async def one_thing() -> None:
        spin(0.004)

    async def another_thing() -> None:
        spin(0.004)

    def request(name: str, work: Any) -> Any:
        @captured.profiler.profile(name, engine="pyinstrument")
        async def handle() -> None:
            for _ in range(15):
                await work()
                await asyncio.sleep(0.002)

        return handle()

    async def main() -> None:
        await asyncio.gather(request("one", one_thing), request("another", another_thing))

    asyncio.run(main())
    profiles = {profile.operation: profile for profile in taken()}
    for profile in profiles.values():
        assert_measured(profile)
        assert roots_of(profile) == {"handle"}
    assert "another_thing" not in {name for stack in stacks_in(profiles["one"]) for name in stack}
    assert "one_thing" not in {name for stack in stacks_in(profiles["another"]) for name in stack}
    assert any("one_thing" in stack for stack in stacks_in(profiles["one"]))


@pytest.mark.parametrize("blocking", [True, False])
def test_a_with_block(captured: Any, spin: Spin, taken: Any, roots_of: Any, blocking: bool) -> None:
    def block() -> None:
        with captured.profiler.operation("block", engine="pyinstrument", tenant="acme") as operation:
            spin(0.08)
            operation.tag(rows=3)

    async def async_block() -> None:
        async with captured.profiler.operation("block", engine="pyinstrument", tenant="acme") as operation:
            spin(0.04)
            await asyncio.sleep(0.04)
            operation.tag(rows=3)

    if blocking:
        block()
    else:
        asyncio.run(async_block())
    (profile,) = taken()
    assert_measured(profile)
    assert roots_of(profile) == {"block" if blocking else "async_block"}
    assert profile.tags == {"tenant": "acme", "rows": 3}
    assert any(stack[1] == "spin" for stack in stacks_in(profile) if len(stack) > 1)


def test_a_with_block_inside_a_context_manager(captured: Any, spin: Spin, taken: Any, roots_of: Any) -> None:
    @contextlib.contextmanager
    def watched() -> Iterator[None]:
        with captured.profiler.operation("block", engine="pyinstrument"):
            yield

    def user() -> None:
        with watched():
            spin(0.08)

    user()
    (profile,) = taken()
    assert_measured(profile)
    assert roots_of(profile) == {"user"}


def test_every_kind_of_callable(captured: Any, spin: Spin, taken: Any) -> None:
    profile = captured.profiler.profile

    class Service:
        @profile("method", engine="pyinstrument")
        def method(self) -> None:
            spin(0.06)

        @profile("class method", engine="pyinstrument")
        @classmethod
        def class_method(cls) -> None:
            spin(0.06)

        @staticmethod
        @profile("static method", engine="pyinstrument")
        def static_method() -> None:
            spin(0.06)

        def __call__(self) -> None:
            spin(0.06)

    async def awaitable() -> None:
        spin(0.06)

    class Marked:
        def __call__(self) -> Any:
            return awaitable()

    service, marked = Service(), Marked()
    service.method()
    Service.class_method()
    Service.static_method()
    profile("instance", engine="pyinstrument")(service)()
    profile("partial", engine="pyinstrument")(functools.partial(spin, 0.06))()
    if sys.version_info >= (3, 12):
        inspect.markcoroutinefunction(marked)
        asyncio.run(profile("marked", engine="pyinstrument")(marked)())
    profiles = taken()
    assert len(profiles) >= 5
    for one in profiles:
        assert_measured(one)
        assert "spin" in names_in(one), one.operation


def test_recursion_is_measured_once(captured: Any, spin: Spin, taken: Any, roots_of: Any) -> None:
    @captured.profiler.profile(engine="pyinstrument")
    def work(depth: int) -> None:
        spin(0.03)
        if depth:
            work(depth - 1)
        spin(0.03)

    work(3)
    outer, *inner = taken(fallbacks=3)
    assert_measured(outer)
    assert roots_of(outer) == {"work"}
    assert ("work",) * 4 + ("spin",) in {stack[:5] for stack in stacks_in(outer)}
    assert [profile.tags["engine_fallback"] for profile in inner] == [NESTED] * 3
    assert all(roots_of(profile) == {"work"} for profile in inner)
    assert [child.tags for child in outer.children] == [{"engine_fallback": NESTED}] * 3


def test_an_operation_inside_another_one_is_left_to_the_watchdog(
    captured: Any, spin: Spin, taken: Any, assert_conserved: Any
) -> None:
    @captured.profiler.profile(engine="pyinstrument")
    def inner() -> None:
        spin(0.08)

    @captured.profiler.profile
    def middle() -> None:
        inner()

    with captured.profiler.operation("outer", engine="pyinstrument"):
        middle()
    outer, between, inside = taken(fallbacks=1)
    assert_measured(outer)
    assert any(stack[1:4] == ("middle", "inner", "spin") for stack in stacks_in(outer))
    assert (between.sampling.engine, between.tags) == ("watchdog", {})
    assert inside.tags == {"engine_fallback": NESTED}
    assert_conserved(inside)
    assert not [frame for frame in inside.frames if frame.module.startswith("pyinstrument")]
    inner()
    assert_measured(taken(fallbacks=1)[-1])


def test_a_task_of_a_measured_operation(captured: Any, spin: Spin, taken: Any) -> None:
    """pyinstrument's own mark would stay in the task's context for good."""

    @captured.profiler.profile(engine="pyinstrument")
    async def step() -> None:
        spin(0.06)

    @captured.profiler.profile(engine="pyinstrument")
    async def request(ended: asyncio.Event) -> asyncio.Task[None]:
        async def background() -> None:
            await step()
            await ended.wait()
            await step()

        task = asyncio.create_task(background())
        await asyncio.sleep(0.1)
        return task

    async def main() -> None:
        ended = asyncio.Event()
        task = await request(ended)
        ended.set()
        await task

    asyncio.run(main())
    outer, during, after = taken(fallbacks=1)
    assert_measured(outer)
    assert during.tags == {"engine_fallback": NESTED}
    assert_measured(after)


def test_work_in_another_thread_is_measured_on_its_own(
    captured: Any, spin: Spin, taken: Any, roots_of: Any
) -> None:
    @captured.profiler.profile(engine="pyinstrument")
    def work() -> None:
        spin(0.08)

    @captured.profiler.profile(engine="pyinstrument")
    async def request() -> None:
        await asyncio.to_thread(work)

    asyncio.run(request())
    outer, inner = taken(fallbacks=1)
    assert outer.tags == {"engine_fallback": HANDED}
    assert_measured(inner)
    assert roots_of(inner) == {"work"}
    assert roots_of(outer) == {"request"}


@pytest.mark.parametrize("mode", ["enabled", "disabled", "strict"])
def test_the_applications_profiler_goes_before(captured: Any, spin: Spin, taken: Any, mode: Any) -> None:
    @captured.profiler.profile(engine="pyinstrument")
    def work() -> None:
        spin(0.06)

    async def spawned() -> None:
        work()

    async def main() -> None:
        with theirs:
            await asyncio.create_task(spawned())

    theirs = pyinstrument.Profiler(interval=0.001, async_mode=mode)
    with theirs:
        work()
    asyncio.run(main())
    assert theirs.last_session is not None
    assert theirs.last_session.sample_count > 20
    assert [profile.tags for profile in taken(fallbacks=2)] == [{"engine_fallback": NESTED}] * 2


@pytest.mark.parametrize("mode", ["enabled", "disabled"])
def test_the_applications_profiler_inside_an_operation_works(
    captured: Any, spin: Spin, taken: Any, mode: Any
) -> None:
    theirs = pyinstrument.Profiler(interval=0.001, async_mode=mode)

    @captured.profiler.profile(engine="pyinstrument")
    def work() -> None:
        spin(0.03)
        with theirs:
            spin(0.06)
        spin(0.03)

    work()
    (profile,) = taken()
    assert_measured(profile)
    assert theirs.last_session is not None
    seconds = sum(seconds for _, seconds in theirs.last_session.frame_records)
    assert seconds == pytest.approx(theirs.last_session.duration, abs=0.02)


def test_the_applications_profiler_of_another_task_is_not_in_the_way(
    captured: Any, spin: Spin, taken: Any
) -> None:
    @captured.profiler.profile(engine="pyinstrument")
    async def request() -> None:
        for _ in range(15):
            spin(0.004)
            await asyncio.sleep(0.001)

    async def theirs(profiler: pyinstrument.Profiler) -> None:
        with profiler:
            for _ in range(20):
                spin(0.004)
                await asyncio.sleep(0.001)

    async def main() -> None:
        await asyncio.gather(theirs(profiler), request())

    profiler = pyinstrument.Profiler(interval=0.001)
    asyncio.run(main())
    (profile,) = taken()
    assert_measured(profile)
    assert "theirs" not in {name for stack in stacks_in(profile) for name in stack}
    assert profiler.last_session is not None
    assert profiler.last_session.sample_count > 20


def test_a_sampler_of_its_own_is_left_alone(captured: Any, spin: Spin, taken: Any) -> None:
    """Where greenlets share a thread, pyinstrument has one sampler for each, and one hook for all."""
    samples: list[object] = []

    def mine(*sample: object) -> None:
        samples.append(sample)

    @captured.profiler.profile(engine="pyinstrument")
    def work() -> None:
        spin(0.06)

    other = StackSampler()
    other.subscribe(mine, desired_interval=0.001, use_async_context=False)
    hook = sys.getprofile()
    work()
    assert sys.getprofile() is hook
    other.unsubscribe(mine)
    assert len(samples) > 20
    assert [profile.tags for profile in taken(fallbacks=1)] == [{"engine_fallback": NESTED}]


def test_an_interrupt_while_it_starts_leaves_no_hook(captured: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*arguments: Any, **keywords: Any) -> None:
        subscribe(*arguments, **keywords)
        raise KeyboardInterrupt

    subscribe = StackSampler.subscribe
    monkeypatch.setattr(StackSampler, "subscribe", interrupted)
    function = captured.profiler.profile(engine="pyinstrument")(len)
    block = captured.profiler.operation("block", engine="pyinstrument")
    for begin in (lambda: function([]), block.__enter__):
        with pytest.raises(KeyboardInterrupt):
            begin()
        assert sys.getprofile() is None
        assert not get_stack_sampler().subscribers
    captured.profiler.registry.clear()


def test_a_profile_function_that_was_there_is_left_alone(
    captured: Any, spin: Spin, taken: Any, assert_conserved: Any
) -> None:
    events: list[str] = []

    def mine(_frame: object, event: str, _argument: object) -> None:
        events.append(event)

    @captured.profiler.profile(engine="pyinstrument")
    def work() -> None:
        spin(0.06)

    sys.setprofile(mine)
    try:
        work()
        assert sys.getprofile() is mine
    finally:
        sys.setprofile(None)
    assert len(events) > 100
    (profile,) = taken(fallbacks=1)
    assert profile.tags == {"engine_fallback": OCCUPIED}
    assert_conserved(profile)
    assert "spin" in names_in(profile)


@pytest.mark.parametrize("stays", [True, False])
def test_a_profile_function_that_comes_later_is_left_alone(
    captured: Any, spin: Spin, taken: Any, seconds_of: Any, stays: bool
) -> None:
    clock: Clock = {}

    def mine(_frame: object, _event: str, _argument: object) -> None: ...

    def before() -> None:
        spin(0.06)

    def after() -> None:
        spin(0.12)

    @captured.profiler.profile(engine="pyinstrument")
    def work() -> None:
        timed(clock, before)
        sys.setprofile(mine)
        if not stays:
            sys.setprofile(None)
        timed(clock, after)

    try:
        work()
        assert sys.getprofile() is (mine if stays else None)
    finally:
        sys.setprofile(None)
    (profile,) = taken(fallbacks=1)
    assert profile.tags == {"engine_fallback": REPLACED}
    seconds = seconds_of(profile)
    assert seconds["before"] == pytest.approx(clock["before"], abs=0.05)
    assert seconds["after"] == pytest.approx(clock["after"], abs=0.05)
    work_again = captured.profiler.profile(engine="pyinstrument")(before)
    work_again()
    assert_measured(taken(fallbacks=1)[-1])


def test_a_hook_that_comes_back_is_noticed(captured: Any, spin: Spin, taken: Any, seconds_of: Any) -> None:
    """The application's profiler puts pyinstrument's hook back; what was missed before that is still missing."""
    clock: Clock = {}

    def unseen() -> None:
        spin(0.15)

    @captured.profiler.profile(engine="pyinstrument")
    def work() -> None:
        spin(0.03)
        sys.setprofile(None)
        timed(clock, unseen)
        with pyinstrument.Profiler(interval=0.001):
            spin(0.03)
        spin(0.03)

    work()
    (profile,) = taken(fallbacks=1)
    assert profile.tags == {"engine_fallback": REPLACED}
    assert seconds_of(profile)["unseen"] == pytest.approx(clock["unseen"], abs=0.05)


def test_an_exception_is_the_applications_own(captured: Any, spin: Spin, taken: Any) -> None:
    @captured.profiler.profile(engine="pyinstrument")
    def work(error: BaseException) -> None:
        spin(0.06)
        raise error

    for error in (KeyError("mine"), KeyboardInterrupt(), SystemExit(3)):
        with pytest.raises(type(error)) as caught:
            work(error)
        assert caught.value is error
        assert sys.getprofile() is None
    profiles = taken()
    for profile in profiles:
        assert_measured(profile)
        assert profile.status is Status.ERROR
    assert [profile.tags["error"] for profile in profiles] == ["KeyError", "KeyboardInterrupt", "SystemExit"]


def test_a_cancelled_coroutine(captured: Any, spin: Spin, taken: Any, roots_of: Any) -> None:
    @captured.profiler.profile(engine="pyinstrument")
    async def request() -> None:
        spin(0.03)
        await asyncio.sleep(60)

    async def main() -> None:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(request(), 0.1)

    asyncio.run(main())
    (profile,) = taken()
    assert_measured(profile)
    assert profile.status is Status.CANCELLED
    assert roots_of(profile) == {"request"}


def test_what_a_signal_handler_raises_reaches_the_application(
    make_captured: Any,
) -> None:
    """Most of the time of this operation is spent in the hook, so the signal often comes there."""
    captured = make_captured(interval=0.001)
    raised, caught = 0, 0

    def on_signal(_number: int, _frame: object) -> None:
        nonlocal raised
        raised += 1
        raise LookupError("time is up")

    def deep(levels: int) -> None:
        if levels:
            deep(levels - 1)
            return
        until = time.perf_counter() + 5
        while time.perf_counter() < until:
            pass

    @captured.profiler.profile(engine="pyinstrument", threshold=60.0)
    def work() -> None:
        nonlocal caught
        try:
            signal.setitimer(signal.ITIMER_VIRTUAL, random.uniform(0.002, 0.006))
            deep(300)
        except LookupError:
            caught += 1

    gc.collect()
    gc.disable()  # a finalizer that it interrupts would swallow the exception
    before = signal.signal(signal.SIGVTALRM, on_signal)
    try:
        for _ in range(40):
            work()
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)
        gc.enable()
    assert raised == caught == 40
    assert set(captured.profiler.faults.counts()) <= {"engine_fallback"}


def test_the_hook_imports_nothing(tmp_path: Any) -> None:
    """It may be called within the interpreter's import locks, which others wait for that it would wait for."""
    script = tmp_path / "service.py"
    script.write_text(
        textwrap.dedent("""
        import asyncio, sys, time

        from profkit import PerformanceProfiler, Settings

        kept, imported = [], []

        def notice(event, arguments):
            frame = sys._getframe() if event == "import" else None
            while frame is not None:
                if frame.f_code.co_name == "sampled":
                    imported.append(arguments[0])
                frame = frame.f_back

        def spin(seconds):
            until = time.perf_counter() + seconds
            while time.perf_counter() < until:
                sum(range(50))

        profiler = PerformanceProfiler(Settings(on_profile=kept.append, threshold=0.0, interval=0.001))

        @profiler.profile(engine="pyinstrument")
        def work():
            spin(0.1)

        @profiler.profile(engine="pyinstrument")
        async def request():
            await asyncio.gather(asyncio.sleep(0.02), asyncio.sleep(0.05))
            spin(0.05)

        sys.addaudithook(notice)
        work()
        asyncio.run(request())
        assert profiler.flush(5)
        print([profile.sampling.engine for profile in kept], imported)
        """)
    )
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout.strip() == "['pyinstrument', 'pyinstrument'] []", done.stderr


def test_a_block_that_ends_in_another_task(
    captured: Any, spin: Spin, taken: Any, assert_conserved: Any
) -> None:
    operation = captured.profiler.operation("block", engine="pyinstrument")

    async def begin() -> None:
        await operation.__aenter__()
        spin(0.05)

    async def end() -> None:
        spin(0.02)
        await operation.__aexit__(None, None, None)

    async def main() -> None:
        await asyncio.create_task(begin())
        await asyncio.create_task(end())
        assert sys.getprofile() is None

    asyncio.run(main())
    (profile,) = taken()
    assert profile.sampling.engine == "pyinstrument"
    assert_conserved(profile)
    assert "end" not in names_in(profile)
    assert any(stack[:2] == ("begin", "spin") for stack in stacks_in(profile))


def test_a_copy_of_one_in_flight_is_as_the_watchdog_sees_it(captured: Any, spin: Spin, taken: Any) -> None:
    with captured.profiler.operation("block", engine="pyinstrument") as operation:
        spin(0.1)
        copied = copy.copy(operation)
        assert copied.recording is operation.recording
        assert copied.recording.engine == "watchdog"
        copied.recording = None
        assert operation.recording is not None
    assert_measured(taken()[0])


def test_sampling_that_fails_leaves_the_application_alone(
    captured: Any, spin: Spin, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(*_: object) -> None:
        raise ZeroDivisionError

    monkeypatch.setattr(sessions, "observe", failing)

    @captured.profiler.profile(engine="pyinstrument")
    def work() -> str:
        spin(0.08)
        return "done"

    assert work() == "done"
    assert captured.profiler.flush(5)
    assert captured.profiler.faults.counts() == {"engine_fallback": 1, "engine_error": 1}
    (profile,) = captured.profiles
    assert profile.tags == {"engine_fallback": "sampling failed: ZeroDivisionError"}
    assert (profile.sampling.engine, profile.sampling.ticks > 0) == ("watchdog", True)


def test_a_start_that_fails_leaves_the_application_alone(
    captured: Any, spin: Spin, taken: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delattr("pyinstrument.stack_sampler.StackSampler.subscribe")

    @captured.profiler.profile(engine="pyinstrument")
    def work() -> None:
        spin(0.06)

    work()
    (profile,) = taken(fallbacks=1)
    assert profile.tags == {"engine_fallback": "pyinstrument did not start: AttributeError"}


def test_without_pyinstrument_the_watchdog_does(tmp_path: Any) -> None:
    script = tmp_path / "service.py"
    script.write_text(
        textwrap.dedent("""
        import sys, time
        sys.modules["pyinstrument"] = None
        from profkit import PerformanceProfiler, Settings
        kept = []
        profiler = PerformanceProfiler(Settings(on_profile=kept.append, threshold=0.01))
        @profiler.profile(engine="pyinstrument")
        def work():
            time.sleep(0.1)
        work()
        assert profiler.flush(5)
        print(kept[0].sampling.engine, dict(kept[0].tags))
        """)
    )
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "watchdog {'engine_fallback': 'pyinstrument cannot be imported'}"


def test_a_block_that_ends_in_another_thread(captured: Any, spin: Spin, taken: Any) -> None:
    """As a dependency of a web framework may: its thread goes on, without the hook."""
    operation = captured.profiler.operation("block", engine="pyinstrument")
    theirs = pyinstrument.Profiler(interval=0.001)

    def begin() -> None:
        operation.__enter__()
        spin(0.05)

    def end() -> None:
        spin(0.05)
        operation.__exit__(None, None, None)

    def profiled() -> float:
        began = time.perf_counter()
        with theirs:
            spin(0.05)
        return time.perf_counter() - began

    with ThreadPoolExecutor(1) as first, ThreadPoolExecutor(1) as second:
        first.submit(begin).result()
        second.submit(end).result()
        assert first.submit(spin, 0.02).result() is None
        assert first.submit(sys.getprofile).result() is None
        assert first.submit(lambda: get_stack_sampler().subscribers).result() == []
        assert second.submit(sys.getprofile).result() is None
        time.sleep(0.1)
        wall = first.submit(profiled).result()
    assert theirs.last_session is not None
    assert sum(seconds for _, seconds in theirs.last_session.frame_records) <= wall
    (profile,) = taken(fallbacks=1)
    assert profile.tags == {"engine_fallback": "it ended in another thread"}


def test_the_interpreter_may_end_in_the_midst_of_an_operation(tmp_path: Any) -> None:
    script = tmp_path / "service.py"
    script.write_text(
        textwrap.dedent("""
        import logging, weakref
        from profkit import PerformanceProfiler, Settings

        class Last:
            def __del__(self):
                for _ in range(100_000):
                    len("")

        last = Last()
        profiler = PerformanceProfiler(Settings(on_profile=print, interval=0.001))
        operation = profiler.operation("never left", engine="pyinstrument")
        operation.__enter__()
        """)
    )
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=60, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_pyinstruments_warning_is_not_printed(
    captured: Any, capfd: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It tells of a slow clock; once in each thread is too often for a service."""
    monkeypatch.setattr("pyinstrument.stack_sampler.timing_overhead", lambda: {"walltime": 1e-6})

    def theirs() -> None:
        with captured.profiler.operation("block", engine="pyinstrument"):
            pass
        assert not capfd.readouterr().err
        with pyinstrument.Profiler(interval=0.001):
            pass
        assert "pyinstrument: the timer on your system" in capfd.readouterr().err

    with ThreadPoolExecutor(1) as pool:
        pool.submit(theirs).result()


def test_a_forked_child_is_not_slowed_down(tmp_path: Any) -> None:
    script = tmp_path / "service.py"
    script.write_text(
        textwrap.dedent("""
        import os, sys, time, warnings
        warnings.simplefilter("ignore", DeprecationWarning)
        from profkit import PerformanceProfiler, Settings
        kept = []
        profiler = PerformanceProfiler(Settings(on_profile=kept.append, threshold=0.01, interval=0.001))
        def spin(seconds):
            until = time.perf_counter() + seconds
            while time.perf_counter() < until:
                sum(range(50))
        @profiler.profile(engine="pyinstrument")
        def work():
            spin(0.05)
            child = os.fork()
            spin(0.05)
            if not child:
                assert sys.getprofile() is None
            return child
        child = work()
        assert sys.getprofile() is None
        assert profiler.flush(5)
        assert not profiler.faults.counts(), profiler.faults.counts()
        if not child:
            assert not kept
            work_in_child = profiler.profile(engine="pyinstrument")(spin)
            work_in_child(0.05)
            assert profiler.flush(5)
            assert kept[0].sampling.engine == "pyinstrument", kept[0].tags
            sys.stdout.flush()
            os._exit(7)
        status = os.waitpid(child, 0)[1]
        print(kept[0].sampling.engine, os.waitstatus_to_exitcode(status))
        """)
    )
    done = subprocess.run([sys.executable, script], capture_output=True, text=True, timeout=60, check=False)
    assert done.stdout.strip() == "pyinstrument 7", done.stderr


def test_a_generator_is_left_to_the_watchdog(
    captured: Any, spin: Spin, taken: Any, assert_conserved: Any
) -> None:
    hooks: list[object] = []
    clock: Clock = {}

    def step() -> None:
        spin(0.03)

    @captured.profiler.profile(engine="pyinstrument")
    def numbers() -> Iterator[int]:
        for number in range(3):
            timed(clock, step)
            yield number

    @captured.profiler.profile(engine="pyinstrument")
    async def async_numbers() -> AsyncIterator[int]:
        for number in range(3):
            timed(clock, step)
            yield number

    async def consume() -> None:
        async for _ in async_numbers():
            hooks.append(sys.getprofile())
            await asyncio.sleep(0.05)

    for _ in numbers():
        hooks.append(sys.getprofile())
        time.sleep(0.05)
    asyncio.run(consume())
    assert hooks == [None] * 6
    profiles = taken(fallbacks=2)
    for profile in profiles:
        assert profile.tags == {"engine_fallback": "a generator stands still between its steps"}
        assert 0.09 <= profile.wall < sum(clock.values())
        assert_conserved(profile)


def test_a_generator_of_one_step_is_measured(captured: Any, spin: Spin, taken: Any, roots_of: Any) -> None:
    @captured.profiler.profile(engine="pyinstrument")
    def numbers() -> Iterator[int]:
        spin(0.08)
        yield from ()

    assert list(numbers()) == []
    (profile,) = taken()
    assert_measured(profile)
    assert roots_of(profile) == {"numbers"}


def test_a_fast_operation_leaves_nothing(captured: Any, taken: Any) -> None:
    @captured.profiler.profile(engine="pyinstrument", threshold=60.0)
    def work() -> None:
        time.sleep(0.005)

    with captured.profiler.operation("around", threshold=60.0) as around:
        for _ in range(20):
            work()
        assert sys.getprofile() is None
        assert len(around.children) == 20
        made = [one for one in gc.get_objects() if type(one) is Session]
        assert not [one for one in made if one.operation.profiler is captured.profiler]
    assert taken() == []


def test_one_that_is_done_before_the_first_sample_says_that_it_was_not_observed(
    captured: Any, taken: Any
) -> None:
    @captured.profiler.profile(engine="pyinstrument", threshold=0.0)
    def work() -> None: ...

    work()
    (profile,) = taken()
    assert (profile.sampling.engine, profile.sampling.ticks) == ("pyinstrument", 0)
    assert profile.sampling.unobserved == pytest.approx(profile.wall)
    assert_exported_empty(profile)


def assert_exported_empty(profile: Profile) -> None:
    assert decode(encode(profile)) == profile


def test_samples_are_bounded_however_long_it_takes(make_captured: Any, spin: Spin) -> None:
    captured = make_captured(interval=0.001, max_samples=100)

    def one() -> None:
        spin(0.001)

    def other() -> None:
        spin(0.001)

    @captured.profiler.profile(engine="pyinstrument")
    def work() -> None:
        until = time.perf_counter() + 0.8
        while time.perf_counter() < until:
            one()
            other()

    work()
    profile = captured.one()
    assert_measured(profile)
    assert len(profile.samples) <= 110
    assert profile.sampling.ticks > 110


def test_a_stack_of_any_depth_is_told(captured: Any, spin: Spin, taken: Any, roots_of: Any) -> None:
    @captured.profiler.profile(engine="pyinstrument")
    def work() -> None:
        deep(600)

    def deep(levels: int) -> None:
        if levels:
            deep(levels - 1)
        else:
            spin(0.1)

    work()
    (profile,) = taken()
    assert_measured(profile)
    assert roots_of(profile) == {"work"}
    assert max(map(len, stacks_in(profile))) <= 401
    assert_exported(profile)


def test_it_is_listed_while_it_runs(captured: Any, spin: Spin, taken: Any) -> None:
    listed: list[Any] = []

    def look() -> None:
        time.sleep(0.05)
        listed.extend(captured.profiler.in_flight())

    @captured.profiler.profile(engine="pyinstrument")
    def work() -> None:
        spin(0.15)

    looking = threading.Thread(target=look)
    looking.start()
    work()
    looking.join()
    (entry,) = listed
    assert entry.name == work.__qualname__.replace("<locals>.", "")
    assert any("spin" in line for line in entry.stack)
    assert not any("StackSampler" in line or "build_call_stack" in line for line in entry.stack)
    assert_measured(taken()[0])


def test_work_handed_to_a_thread_is_a_branch_of_the_watchdogs(
    captured: Any, spin: Spin, taken: Any, roots_of: Any
) -> None:
    def fetch() -> None:
        spin(0.1)

    @captured.profiler.profile(engine="pyinstrument")
    def request() -> None:
        with ThreadPoolExecutor(1) as pool:
            future = pool.submit(fetch)
            spin(0.1)
            future.result()

    request()
    (profile,) = taken(fallbacks=1)
    assert profile.tags == {"engine_fallback": HANDED}
    assert roots_of(profile) == {"request"}
    assert [branch.name for branch in profile.branches] == [fetch.__qualname__]
    assert any("fetch" in stack for stack in stacks_in(profile))


def test_the_kind_of_operation_is_that_of_the_engine(captured: Any) -> None:
    assert type(captured.profiler.operation("block", engine="pyinstrument")) is Instrumented
    assert type(captured.profiler.operation("block")) is profkit.Operation
