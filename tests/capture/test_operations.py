"""Operations of every kind: what is captured, where its stacks start, and that its seconds are all there."""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import threading
import time
import traceback
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from profkit import ConfigurationError, PerformanceProfiler
from profkit_storage import Origin, Profile, State, Status, Trigger

Spin = Callable[[float], None]


def test_a_slow_function_leaves_a_profile_from_its_start(
    captured: Any, spin: Spin, seconds_of: Any, roots_of: Any, assert_conserved: Any
) -> None:
    def first() -> None:
        spin(0.1)

    def second() -> None:
        time.sleep(0.1)

    @captured.profiler.profile("work", category="agent")
    def work(answer: int) -> int:
        first()
        second()
        return answer

    before = time.time_ns()
    assert work(42) == 42
    profile: Profile = captured.one()
    assert (profile.operation, profile.category, profile.service) == ("work", "agent", "tests")
    assert (profile.status, profile.trigger, profile.weight) == (Status.OK, Trigger.SLOW, 1.0)
    assert 0 <= profile.start_ns - before < 50_000_000
    assert profile.wall == pytest.approx(0.2, abs=0.08)
    seconds = seconds_of(profile)
    assert seconds["first"] == pytest.approx(0.1, abs=0.03)
    assert seconds["second"] == pytest.approx(0.1, abs=0.03)
    assert roots_of(profile) == {"work"}
    assert_conserved(profile)


def test_running_and_waiting_are_told_apart(captured: Any, spin: Spin) -> None:
    @captured.profiler.profile
    def work() -> None:
        spin(0.15)
        time.sleep(0.15)

    work()
    profile = captured.one()
    waiting = sum(sample.wall for sample in profile.samples if sample.state is State.WAITING)
    assert waiting == pytest.approx(0.15, abs=0.06)
    if profile.cpu is not None:
        assert 0.02 < profile.cpu < 0.2


def test_a_fast_function_leaves_none(captured: Any) -> None:
    @captured.profiler.profile
    def work() -> None:
        pass

    for _ in range(1_000):
        work()
    assert captured.all() == []
    assert captured.profiler.stats()["operations"] == 1_000


def test_the_threshold_of_a_call_site_goes_before_that_of_the_settings(captured: Any) -> None:
    @captured.profiler.profile(threshold=0.0)
    def always() -> None:
        pass

    @captured.profiler.profile(threshold=10.0)
    def never() -> None:
        time.sleep(0.06)

    always()
    never()
    assert captured.one().operation.endswith("always")


def test_a_coroutine_is_seen_running_and_suspended(
    captured: Any, spin: Spin, seconds_of: Any, roots_of: Any, assert_conserved: Any
) -> None:
    async def innermost() -> None:
        await asyncio.sleep(0.1)

    async def query() -> None:
        await innermost()

    def compute() -> None:
        spin(0.1)

    @captured.profiler.profile
    async def work() -> str:
        await query()
        compute()
        return "done"

    assert asyncio.run(work()) == "done"
    profile = captured.one()
    seconds = seconds_of(profile)
    assert seconds["innermost"] == pytest.approx(0.1, abs=0.03)
    assert seconds["compute"] == pytest.approx(0.1, abs=0.03)
    assert roots_of(profile) == {"work"}
    assert {frame.qualname for frame in profile.frames if frame.origin is Origin.SYNTHETIC} == {"[await]"}
    assert_conserved(profile)


def test_another_tasks_code_never_appears(
    captured: Any, spin: Spin, seconds_of: Any, roots_of: Any, assert_conserved: Any
) -> None:
    async def neighbour(stop: asyncio.Event) -> None:
        while not stop.is_set():
            spin(0.01)
            await asyncio.sleep(0.001)

    @captured.profiler.profile
    async def work(seconds: float) -> None:
        await asyncio.sleep(seconds)
        spin(0.02)

    async def main() -> None:
        stop = asyncio.Event()
        busy = asyncio.create_task(neighbour(stop))
        await asyncio.gather(work(0.2), work(0.15), work(0.1))
        stop.set()
        await busy

    asyncio.run(main())
    profiles = captured.all()
    assert len(profiles) == 3
    for profile in profiles:
        assert "neighbour" not in seconds_of(profile)
        assert roots_of(profile) == {"work"}
        assert_conserved(profile)


@pytest.mark.parametrize("asynchronous", [False, True])
def test_a_with_block_starts_at_the_function_that_entered_it(
    captured: Any, spin: Spin, seconds_of: Any, roots_of: Any, asynchronous: bool
) -> None:
    def compute() -> None:
        spin(0.08)

    def handler() -> None:
        with captured.profiler.operation("block", category="db", rows=3) as operation:
            compute()
            operation.tag(password="hunter2-hunter2")

    async def handler_awaiting() -> None:
        async with captured.profiler.operation("block", category="db", rows=3) as operation:
            await asyncio.sleep(0.08)
            compute()
            operation.tag(password="hunter2-hunter2")

    def caller() -> None:
        asyncio.run(handler_awaiting()) if asynchronous else handler()

    caller()
    profile = captured.one()
    assert roots_of(profile) == {"handler_awaiting" if asynchronous else "handler"}
    assert profile.tags["rows"] == 3
    assert "hunter2" not in str(profile.tags)
    assert seconds_of(profile)["compute"] == pytest.approx(0.08, abs=0.03)


def test_a_with_block_entered_by_a_helper_takes_no_foreign_frames(
    captured: Any, assert_conserved: Any
) -> None:
    operation = captured.profiler.operation("block")

    def helper() -> None:
        operation.__enter__()

    helper()
    time.sleep(0.1)
    operation.__exit__(None, None, None)
    profile = captured.one()
    assert_conserved(profile)
    assert {frame.qualname.rpartition(".")[2] for frame in profile.frames} <= {"helper", "__enter__"}
    assert profile.sampling.unobserved > 0.08


def test_a_with_block_inside_a_context_manager_starts_at_its_user(captured: Any, roots_of: Any) -> None:
    @contextlib.contextmanager
    def request() -> Iterator[None]:
        with captured.profiler.operation("block"):
            yield

    def handler() -> None:
        with request():
            time.sleep(0.06)

    def handler_with_stack() -> None:
        with contextlib.ExitStack() as stack:
            stack.enter_context(captured.profiler.operation("block"))
            time.sleep(0.06)

    handler()
    handler_with_stack()
    first, second = captured.all()
    assert roots_of(first) == {"handler"}
    assert roots_of(second) == {"handler_with_stack"}


def test_nested_operations_are_children_and_profiles_of_their_own(
    captured: Any, roots_of: Any, assert_conserved: Any
) -> None:
    @captured.profiler.profile("inner", category="db")
    def inner() -> None:
        time.sleep(0.06)

    @captured.profiler.profile("quick", category="llm", threshold=9)
    def quick() -> None:
        with captured.profiler.operation("deeper", threshold=9):
            pass

    @captured.profiler.profile("outer")
    def outer() -> None:
        inner()
        quick()

    outer()
    outside, inside = captured.all()
    assert (outside.operation, inside.operation) == ("outer", "inner")
    assert [(child.name, child.category, child.parent) for child in outside.children] == [
        ("inner", "db", -1),
        ("quick", "llm", -1),
        ("deeper", "", 1),
    ]
    assert outside.children[0].end - outside.children[0].start == pytest.approx(inside.wall)
    assert roots_of(outside) == {"outer"}
    assert roots_of(inside) == {"inner"}
    assert_conserved(outside)
    names = {frame.qualname for frame in outside.frames}
    assert not any(frame.module.startswith("profkit.") for frame in outside.frames), names


def test_children_are_bounded_and_the_rest_counted(make_captured: Any) -> None:
    captured = make_captured(max_children=10, threshold=0.0)

    @captured.profiler.profile(threshold=9)
    def query() -> None:
        pass

    @captured.profiler.profile("loop")
    def loop() -> None:
        for _ in range(25):
            query()

    loop()
    profile = captured.one()
    assert len(profile.children) == 10
    assert profile.sampling.dropped_children == 15


def test_recursion_is_one_operation_a_call(captured: Any, roots_of: Any) -> None:
    @captured.profiler.profile
    def down(levels: int) -> None:
        if levels:
            down(levels - 1)
        else:
            time.sleep(0.06)

    down(4)
    profiles = captured.all()
    assert len(profiles) == 5
    depths = [
        max(len(list(profile.stack(sample.node))) for sample in profile.samples) for profile in profiles
    ]
    assert depths == sorted(depths, reverse=True)
    assert len(set(depths)) == 5
    assert all(roots_of(profile) == {"down"} for profile in profiles)


def test_operations_of_many_threads_at_once(
    captured: Any, roots_of: Any, seconds_of: Any, assert_conserved: Any
) -> None:
    barrier = threading.Barrier(8)

    @captured.profiler.profile
    def work(number: int) -> int:
        barrier.wait()
        time.sleep(0.06 + number * 0.01)
        return number

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(work, range(8))) == list(range(8))
    profiles = captured.all()
    assert len(profiles) == 8
    for profile in profiles:
        assert roots_of(profile) == {"work"}
        assert_conserved(profile)


def test_an_exception_is_the_applications_own(captured: Any) -> None:
    @captured.profiler.profile
    def fails() -> None:
        time.sleep(0.06)
        raise LookupError("mine")

    with pytest.raises(LookupError, match="mine") as raised:
        fails()
    assert traceback.extract_tb(raised.value.__traceback__)[-1].name == "fails"
    assert raised.value.__cause__ is None
    assert raised.value.__context__ is None
    profile = captured.one()
    assert profile.status is Status.ERROR
    assert profile.tags == {"error": "LookupError"}


def test_a_cancelled_coroutine_is_cancelled_and_said_so(captured: Any) -> None:
    @captured.profiler.profile
    async def work() -> None:
        await asyncio.sleep(10)

    async def main() -> None:
        task = asyncio.create_task(work())
        await asyncio.sleep(0.1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(main())
    assert captured.one().status is Status.CANCELLED


def test_a_decorated_function_is_what_it_was(captured: Any) -> None:
    profile = captured.profiler.profile

    class Service:
        @profile
        def method(self, a: int, *, b: str = "x") -> tuple[object, int, str]:
            """Say so."""
            return self, a, b

        @profile
        @classmethod
        def made(cls) -> type:
            return cls

        @staticmethod
        @profile
        def inside() -> int:
            return 1

        @profile
        @staticmethod
        def outside() -> int:
            return 2

    service = Service()
    assert service.method(1, b="y") == (service, 1, "y")
    assert (Service.made(), Service.inside(), Service.outside(), service.outside()) == (Service, 1, 2, 2)
    assert (
        str(inspect.signature(Service.method))
        == "(self, a: 'int', *, b: 'str' = 'x') -> 'tuple[object, int, str]'"
    )
    assert Service.method.__doc__ == "Say so."

    @profile
    async def coroutine() -> int:
        return 3

    assert inspect.iscoroutinefunction(coroutine)
    assert asyncio.run(coroutine()) == 3


def test_what_cannot_be_an_operation_is_said_at_decoration(captured: Any) -> None:
    profile = captured.profiler.profile

    for wrong in (int, 3):
        with pytest.raises(ConfigurationError, match="decorate a function"):
            profile(wrong)
    with pytest.raises(ConfigurationError, match="threshold=-1"):
        profile(threshold=-1)
    with pytest.raises(ConfigurationError, match="name=''"):
        profile("")


def test_an_operation_is_entered_once(captured: Any) -> None:
    operation = captured.profiler.operation("once")
    with operation:
        pass
    with pytest.raises(RuntimeError, match="entered once"), operation:
        pass


def test_a_chain_of_tasks_keeps_no_ended_operation_alive(captured: Any) -> None:
    parents: list[object] = []
    profiler: PerformanceProfiler = captured.profiler

    async def link(left: int) -> None:
        with profiler.operation(f"link {left}") as operation:
            parents.append(operation.parent)
            following = asyncio.get_running_loop().create_task(link(left - 1)) if left else None
        if following:
            await following

    asyncio.run(link(5))
    assert parents == [None] * 6


def test_operations_in_flight_are_listed_with_their_stacks(captured: Any) -> None:
    ready, go = threading.Event(), threading.Event()

    @captured.profiler.profile("waits", category="db")
    def waits() -> None:
        ready.set()
        go.wait()

    thread = threading.Thread(target=waits, name="worker")
    thread.start()
    ready.wait()
    time.sleep(0.1)  # it has been running until now
    (one,) = captured.profiler.in_flight()
    go.set()
    thread.join()
    assert (one.name, one.category, one.thread, one.threshold) == ("waits", "db", "worker", 0.05)
    assert one.state is State.WAITING
    assert "waits (" in one.stack[0]
    assert "Event.wait" in one.stack[1]


def test_an_operation_in_flight_says_what_it_does(captured: Any) -> None:
    stop = threading.Event()

    @captured.profiler.profile("computes")
    def computes() -> None:
        while not stop.is_set():
            sum(range(1_000))

    thread = threading.Thread(target=computes)
    thread.start()
    states: list[State] = []
    for _ in range(20):
        time.sleep(0.05)
        states += [one.state for one in captured.profiler.in_flight()]
    stop.set()
    thread.join()
    assert states.count(State.RUNNING) > 10


def test_the_longest_children_are_kept(make_captured: Any) -> None:
    captured = make_captured(max_children=3, threshold=0.0)
    with captured.profiler.operation("loop"):
        for number in range(20):
            with captured.profiler.operation(f"child {number}", threshold=9):
                time.sleep(0.02 if number in (2, 17) else 0)
    profile = captured.one()
    assert {"child 2", "child 17"} < {child.name for child in profile.children}
    assert len(profile.children) == 3
    assert profile.sampling.dropped_children == 17


def test_a_profile_knows_the_operations_it_ran_inside(captured: Any) -> None:
    with (
        captured.profiler.operation("outermost", threshold=9),
        captured.profiler.operation("outer"),
        captured.profiler.operation("inner"),
    ):
        time.sleep(0.06)
    outer, inner = captured.all()
    assert inner.enclosing[0] == (outer.number, True)
    assert [one.slow for one in inner.enclosing] == [True, False]
    assert len(outer.enclosing) == 1


def test_what_had_ended_was_not_slow_because_its_task_went_on(captured: Any) -> None:
    @captured.profiler.profile
    async def background() -> None:
        await asyncio.sleep(0.1)

    async def main() -> None:
        with captured.profiler.operation("quick"):
            task = asyncio.create_task(background())
            await asyncio.sleep(0)
        await task

    asyncio.run(main())
    assert [one.slow for one in captured.one().enclosing] == [False]
