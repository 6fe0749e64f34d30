"""Generators as operations: the consumer sees what it would see without, and its own time is not theirs."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import subprocess
import sys
import time
import weakref
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Generator, Iterator
from typing import Any, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from profkit import PerformanceProfiler, Settings
from profkit.operations import current
from profkit_storage import Profile, Status

Spin = Callable[[float], None]


class Odd(BaseException):
    """An exception of the consumer's own."""


THROWN = [ValueError, KeyError, StopIteration, StopAsyncIteration, GeneratorExit, KeyboardInterrupt, Odd]


class Stage(NamedTuple):
    """One `yield` of a generator under test: what of what comes in there it catches, and what it does then."""

    catches: tuple[type[BaseException], ...]
    reaction: str


stages = st.lists(
    st.builds(
        Stage,
        st.sampled_from([(), (Exception,), (BaseException,), (GeneratorExit,)]),
        st.sampled_from(["go on", "raise another", "raise from", "raise it again", "return", "raise later"]),
    ),
    max_size=4,
)
actions = st.lists(
    st.one_of(
        st.just(("next",)),
        st.tuples(st.just("send"), st.integers(0, 9)),
        st.tuples(st.just("throw"), st.sampled_from(THROWN)),
        st.just(("close",)),
    ),
    min_size=1,
    max_size=6,
)
TO_THE_END = [("close",)] * 5
"""What ends a generator of four stages, even if it goes on where it is told to close."""


def react(stage: Stage, error: BaseException) -> bool:
    """Do as the stage says; true to return."""
    if stage.reaction == "raise another":
        raise RuntimeError("another")
    if stage.reaction == "raise from":
        raise RuntimeError("another") from error
    if stage.reaction == "raise it again":
        raise error
    return stage.reaction == "return"


def body(plan: list[Stage]) -> Generator[Any, Any, str]:
    got: Any = None
    for number, stage in enumerate(plan):
        try:
            got = yield (number, got, type(sys.exc_info()[1]))
        except stage.catches as error:
            if react(stage, error):
                return "early"
            got = type(error)
        if stage.reaction == "raise later":
            raise KeyError(number)
    return "done"


async def async_body(plan: list[Stage]) -> AsyncGenerator[Any, Any]:
    got: Any = None
    for number, stage in enumerate(plan):
        await asyncio.sleep(0)
        try:
            got = yield (number, got, type(sys.exc_info()[1]))
        except stage.catches as error:
            await asyncio.sleep(0)
            # Closed by `aclose`: one that goes on nevertheless can be closed by nothing any more.
            if react(stage, error) or (isinstance(error, GeneratorExit) and not error.args):
                return
            got = type(error)
        if stage.reaction == "raise later":
            raise KeyError(number)


def told(error: BaseException | None, thrown: BaseException | None, depth: int = 3) -> object:
    """What can be told of an exception: whether it is the one that was thrown in, and what it hangs together with."""
    if error is None or not depth:
        return None
    return (
        error is thrown,
        type(error),
        error.args,
        told(error.__context__, thrown, depth - 1),
        told(error.__cause__, thrown, depth - 1),
        error.__suppress_context__,
    )


def consume(generator: Generator[Any, Any, Any], script: list[Any]) -> list[object]:
    seen: list[object] = []
    for action, *arguments in [*script, *TO_THE_END]:
        thrown = arguments[0]("thrown") if action == "throw" else None
        try:
            if action == "next":
                seen.append(next(generator))
            elif action == "close":
                seen.append(("closed", generator.close()))
            else:
                seen.append(getattr(generator, action)(thrown or arguments[0]))
        except BaseException as error:  # noqa: BLE001
            seen.append(told(error, thrown))
    return seen


async def consume_async(generator: AsyncGenerator[Any, Any], script: list[Any]) -> list[object]:
    seen: list[object] = []
    for action, *arguments in [*script, *TO_THE_END]:
        thrown = arguments[0]("thrown") if action == "throw" else None
        call: Any = getattr(generator, {"next": "__anext__"}.get(action, "a" + action))
        try:
            seen.append(await call(*([thrown] if thrown is not None else arguments)))
        except BaseException as error:  # noqa: BLE001
            seen.append(told(error, thrown))
    return seen


@pytest.fixture(scope="module", params=[True, False], ids=["watched", "unwatched"])
def profiler(request: pytest.FixtureRequest) -> Iterator[PerformanceProfiler]:
    profiler = PerformanceProfiler(Settings(on_profile=lambda _: None, enabled=request.param))
    yield profiler
    profiler.shutdown()


@settings(max_examples=200, deadline=None)
@given(plan=stages, script=actions)
def test_a_generator_behaves_as_it_does_without(
    profiler: PerformanceProfiler, plan: list[Stage], script: list[Any]
) -> None:
    decorated = profiler.profile(body)(plan)
    assert consume(decorated, script) == consume(body(plan), script)
    assert not profiler.registry
    assert current.get() is None


@settings(max_examples=200, deadline=None)
@given(plan=stages, script=actions)
def test_an_async_generator_behaves_as_it_does_without(
    profiler: PerformanceProfiler, plan: list[Stage], script: list[Any]
) -> None:
    async def both() -> None:
        decorated = profiler.profile(async_body)(plan)
        seen = await consume_async(decorated, script)
        assert seen == await consume_async(async_body(plan), script)
        assert not profiler.registry
        assert current.get() is None

    asyncio.run(both())


class Clock:
    """What the steps of generators really took, within and as their consumer has it: the machine is crowded."""

    def __init__(self, spin: Spin) -> None:
        self._spin = spin
        self.within: list[float] = []
        self.outside: list[float] = []

    def spin(self, seconds: float) -> None:
        with self.add(self.within):
            self._spin(seconds)

    @contextlib.contextmanager
    def add(self, seconds: list[float]) -> Iterator[None]:
        began = time.perf_counter()
        yield
        seconds.append(time.perf_counter() - began)

    def steps(self, generator: Iterator[Any]) -> Iterator[Any]:
        """Yield what a generator does, or one of several that take turns."""
        while True:
            with self.add(self.outside):
                value = next(generator, self)
            if value is self:
                return
            yield value

    def bounds(self, profile: Profile) -> bool:
        """Tell whether an operation took its steps' time, and no more."""
        assert sum(self.within) <= profile.wall <= sum(self.outside)
        return True


@pytest.fixture
def clock(spin: Spin) -> Clock:
    return Clock(spin)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # the bare one's too
def test_an_async_generator_that_ignores_its_close_says_so(captured: Any) -> None:
    async def stubborn() -> AsyncIterator[int]:
        try:
            yield 1
        except GeneratorExit:
            yield 2

    async def close(generator: Any) -> str:
        await anext(generator)
        with pytest.raises(RuntimeError) as raised:
            await generator.aclose()
        return str(raised.value)

    said = asyncio.run(close(stubborn()))
    assert asyncio.run(close(captured.profiler.profile(stubborn)())) == said
    gc.collect()  # what is left complains now, where it is expected to


def test_the_consumers_time_is_not_the_generators(
    captured: Any, clock: Clock, spin: Spin, seconds_of: Any, roots_of: Any, assert_conserved: Any
) -> None:
    def compute() -> None:
        clock.spin(0.05)

    @captured.profiler.profile
    def rows() -> Iterator[int]:
        for row in range(3):
            compute()
            yield row

    def consume() -> None:
        spin(0.1)

    for _ in clock.steps(rows()):
        consume()
    profile: Profile = captured.one()
    assert clock.bounds(profile)
    assert roots_of(profile) == {"rows"}
    seen = profile.wall - profile.sampling.unobserved
    assert seen > profile.wall / 2
    assert seconds_of(profile)["compute"] == pytest.approx(seen, rel=0.1)
    assert "consume" not in seconds_of(profile)
    assert profile.status is Status.OK
    assert_conserved(profile)


def test_the_consumers_time_is_not_the_async_generators(
    captured: Any, clock: Clock, spin: Spin, seconds_of: Any, roots_of: Any, assert_conserved: Any
) -> None:
    def compute() -> None:
        clock.spin(0.05)

    async def query() -> None:
        with clock.add(clock.within):
            await asyncio.sleep(0.05)

    @captured.profiler.profile
    async def rows() -> AsyncIterator[int]:
        for row in range(3):
            await query()
            compute()
            yield row

    async def consume() -> None:  # what it runs on the same loop is not the generator's either
        spin(0.1)
        await asyncio.sleep(0.05)

    async def main() -> None:
        generator = rows()
        for row in range(4):
            with clock.add(clock.outside):
                assert await anext(generator, 3) == row
            await consume()

    asyncio.run(main())
    profile: Profile = captured.one()
    assert clock.bounds(profile)
    seconds = seconds_of(profile)
    assert seconds["query"] == pytest.approx(sum(clock.within[0::2]), abs=0.08)
    assert seconds["compute"] == pytest.approx(sum(clock.within[1::2]), abs=0.08)
    assert roots_of(profile) == {"rows"}
    assert not {"consume", "main"} & set(seconds)
    assert_conserved(profile)


def test_the_first_step_of_an_async_generator_has_its_stack(
    captured: Any, seconds_of: Any, roots_of: Any
) -> None:
    async def query() -> None:
        await asyncio.sleep(0.1)

    @captured.profiler.profile
    async def rows() -> AsyncIterator[int]:
        await query()
        yield 1

    async def main() -> list[int]:
        return [row async for row in rows()]

    asyncio.run(main())
    profile: Profile = captured.one()
    assert seconds_of(profile)["query"] > profile.wall / 2
    assert roots_of(profile) == {"rows"}


def in_flight(profiler: PerformanceProfiler) -> list[str]:
    return sorted(operation.tally.name.rpartition(".")[2] for operation in profiler.registry)


def innermost() -> str:
    operation = current.get()
    return "" if operation is None else operation.tally.name.rpartition(".")[2]


def test_a_generator_is_in_flight_in_its_steps_only(captured: Any) -> None:
    profiler: PerformanceProfiler = captured.profiler
    seen: list[object] = []

    @profiler.profile
    def numbers() -> Iterator[int]:
        for number in range(2):
            seen.append((in_flight(profiler), innermost()))
            yield number

    with profiler.operation("outer"):
        for _ in numbers():
            seen.append((in_flight(profiler), innermost()))  # noqa: PERF401 - between two steps
    assert seen == [(["numbers", "outer"], "numbers"), (["outer"], "outer")] * 2


def test_an_async_generator_is_in_flight_in_its_steps_only(captured: Any) -> None:
    profiler: PerformanceProfiler = captured.profiler
    seen: list[object] = []

    @profiler.profile
    async def numbers() -> AsyncIterator[int]:
        for number in range(2):
            await asyncio.sleep(0)
            seen.append((in_flight(profiler), innermost()))
            yield number

    async def main() -> None:
        with profiler.operation("outer"):
            async for _ in numbers():
                await asyncio.sleep(0)
                seen.append((in_flight(profiler), innermost()))

    asyncio.run(main())
    assert seen == [(["numbers", "outer"], "numbers"), (["outer"], "outer")] * 2


def test_interleaved_generators_have_their_own_time_each(
    captured: Any, spin: Spin, assert_conserved: Any
) -> None:
    clocks = Clock(spin), Clock(spin)

    def work(clock: Clock, seconds: float) -> Iterator[None]:
        for _ in range(3):
            clock.spin(seconds)
            yield

    first = captured.profiler.profile("first")(work)(clocks[0], 0.03)
    second = captured.profiler.profile("second")(work)(clocks[1], 0.06)
    for _ in zip(clocks[0].steps(first), clocks[1].steps(second), strict=True):
        assert current.get() is None
    profiles = sorted(captured.all(), key=lambda profile: profile.operation)
    for clock, profile in zip(clocks, profiles, strict=True):
        assert clock.bounds(profile)
        assert profile.enclosing == ()
        assert_conserved(profile)


def test_a_recursive_generator_is_an_operation_at_every_level(make_captured: Any) -> None:
    captured = make_captured(threshold=0.0)

    @captured.profiler.profile("walk")
    def walk(depth: int) -> Iterator[int]:
        yield depth
        if depth:
            yield from walk(depth - 1)

    assert list(walk(3)) == [3, 2, 1, 0]
    profiles = captured.all()
    assert [len(profile.enclosing) for profile in profiles] == [0, 1, 2, 3]
    assert [len(profile.children) for profile in profiles] == [3, 2, 1, 0]


def test_what_a_generator_runs_is_inside_it_and_nothing_else_is(make_captured: Any) -> None:
    captured = make_captured(threshold=0.0)
    profile = captured.profiler.profile

    @profile("query")
    def query() -> None:
        pass

    @profile("rows")
    def rows() -> Iterator[int]:
        query()
        yield 1
        yield 2
        query()

    @profile("consumer")
    def consumer(generator: Iterator[int]) -> None:
        for _ in generator:
            query()

    generator = rows()

    @profile("beginning")
    def beginning() -> None:
        next(generator)

    beginning()
    consumer(generator)
    profiles = captured.all()
    names = {one.number: one.operation for one in profiles}
    within = [(one.operation, names[one.enclosing[0].number]) for one in profiles if one.operation == "query"]
    assert sorted(within) == [("query", "consumer"), ("query", "rows"), ("query", "rows")]
    children = {one.operation: [child.name for child in one.children] for one in profiles}
    assert children["rows"] == ["query", "query"]
    assert children["consumer"] == ["query"]


def consumed(generator: Any) -> None:
    list(generator)


def closed(generator: Any) -> None:
    next(generator)
    generator.close()


def let_go(generator: Any) -> None:
    next(generator)


def thrown(generator: Any) -> None:
    next(generator)
    with pytest.raises(Odd):
        generator.throw(Odd())


def cancelled(generator: Any) -> None:
    next(generator)
    with pytest.raises(asyncio.CancelledError):
        generator.throw(asyncio.CancelledError())


@pytest.mark.parametrize(
    ("use", "status", "error"),
    [
        (consumed, Status.OK, None),
        (closed, Status.OK, None),
        (let_go, Status.OK, None),
        (thrown, Status.ERROR, "Odd"),
        (cancelled, Status.CANCELLED, None),
    ],
)
def test_how_a_generator_ends(make_captured: Any, use: Any, status: Status, error: str | None) -> None:
    captured = make_captured(threshold=0.0)

    @captured.profiler.profile
    def numbers() -> Iterator[int]:
        yield 1
        yield 2

    use(numbers())
    profile = captured.one()
    assert (profile.status, profile.tags.get("error")) == (status, error)


def test_how_an_async_generator_ends(make_captured: Any) -> None:
    captured = make_captured(threshold=0.0)

    @captured.profiler.profile
    async def numbers(failing: bool = False) -> AsyncGenerator[int, None]:
        yield 1
        await asyncio.sleep(0 if failing else 10)
        raise ValueError

    async def main() -> None:
        await anext(numbers())  # let go of: closed by the loop
        await asyncio.sleep(0.01)
        generator = numbers()
        await anext(generator)
        await generator.aclose()
        with pytest.raises(ValueError, match=r"^$"):
            [number async for number in numbers(failing=True)]
        generator = numbers()
        await anext(generator)
        waiting = asyncio.ensure_future(anext(generator))
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting

    asyncio.run(main())
    assert [one.status for one in captured.all()] == [Status.OK, Status.OK, Status.ERROR, Status.CANCELLED]


def test_a_generator_may_be_stepped_by_any_thread(captured: Any, clock: Clock, seconds_of: Any) -> None:
    def compute() -> None:
        clock.spin(0.05)

    @captured.profiler.profile
    def rows() -> Iterator[int]:
        for row in range(3):
            compute()
            yield row

    async def main() -> list[int]:
        generator = clock.steps(rows())
        return [await asyncio.to_thread(next, generator, 9) for _ in range(4)]

    assert asyncio.run(main()) == [0, 1, 2, 9]
    profile = captured.one()
    assert clock.bounds(profile)
    assert seconds_of(profile)["compute"] == pytest.approx(sum(clock.within), rel=0.4)


class Kept:
    """What can be referred to weakly."""


def test_nothing_is_kept_alive_by_a_paused_generator(captured: Any) -> None:
    @captured.profiler.profile
    def pairs() -> Generator[Kept, object, None]:
        while True:
            yield Kept()

    @captured.profiler.profile
    async def async_pairs() -> AsyncGenerator[Kept, object]:
        while True:
            yield Kept()

    gc.disable()  # at once, by counting
    try:
        generator = pairs()
        next(generator)
        sent = Kept()
        kept = [weakref.ref(sent), weakref.ref(generator.send(sent))]
        del sent
        assert [one() for one in kept] == [None, None]
        kept = [weakref.ref(generator)]
        del generator
        assert kept[0]() is None

        async def main() -> None:
            generator = async_pairs()
            await anext(generator)
            sent = Kept()
            kept: list[Any] = [weakref.ref(sent), weakref.ref(await generator.asend(sent))]
            del sent
            assert [one() for one in kept] == [None, None]
            kept = [weakref.ref(generator)]
            del generator
            await asyncio.sleep(0.01)  # the loop closes it
            assert kept[0]() is None

        asyncio.run(main())
    finally:
        gc.enable()


def test_an_exception_thrown_in_is_not_kept_alive(captured: Any) -> None:
    @captured.profiler.profile
    def numbers() -> Iterator[int]:
        yield 1

    class Error(Exception):
        pass

    def throw() -> weakref.ref[Error]:
        generator = numbers()
        next(generator)
        try:
            generator.throw(Error())  # type: ignore[attr-defined]
        except Error as error:
            return weakref.ref(error)
        raise AssertionError

    gc.disable()
    try:
        assert throw()() is None
    finally:
        gc.enable()


def test_a_loop_closes_each_async_generator_once(captured: Any) -> None:
    complaints: list[Any] = []
    closed: list[str] = []

    @captured.profiler.profile
    async def numbers() -> AsyncIterator[int]:
        try:
            yield 1
        finally:
            await asyncio.sleep(0.01)
            closed.append("once")

    async def main() -> list[Any]:
        asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
        generators = [numbers() for _ in range(20)]
        for generator in generators:
            await anext(generator)
        return generators  # still there when the loop shuts down

    asyncio.run(main())
    assert closed == ["once"] * 20
    assert complaints == []


def test_a_generator_below_contextmanager_is_its_beginning_and_its_end(
    captured: Any, clock: Clock, spin: Spin, seconds_of: Any
) -> None:
    @contextlib.contextmanager
    @captured.profiler.profile("session")
    def session() -> Iterator[str]:
        clock.spin(0.04)
        try:
            yield "open"
        except KeyError:
            clock.spin(0.04)

    def body() -> None:
        spin(0.1)

    with clock.add(clock.outside):
        inside: list[float] = []
        with session() as opened:
            assert opened == "open"
            with clock.add(inside):
                body()
            raise KeyError
    profile = captured.one()
    assert sum(clock.within) <= profile.wall <= clock.outside[0] - inside[0]
    assert "body" not in seconds_of(profile)
    for error in (StopIteration(3), ValueError()):
        with pytest.raises(type(error)) as raised, session():
            raise error
        assert raised.value is error


def test_an_async_generator_below_asynccontextmanager(captured: Any) -> None:
    @contextlib.asynccontextmanager
    @captured.profiler.profile("session")
    async def session() -> AsyncIterator[str]:
        await asyncio.sleep(0.03)
        yield "open"
        await asyncio.sleep(0.03)

    async def main() -> None:
        async with session() as opened:
            assert opened == "open"
            await asyncio.sleep(0.1)
        for error in (StopAsyncIteration(3), StopIteration(3), ValueError()):
            with pytest.raises(type(error)) as raised:
                async with session():
                    raise error
            assert raised.value is error

    asyncio.run(main())
    ended_well = captured.all()[0]
    assert 0.06 <= ended_well.wall < 0.16


def test_one_that_is_paused_when_the_process_ends_ends_in_silence() -> None:
    program = """
import asyncio, profkit
from profkit_storage import open_storage

profkit.configure(storage="memory://", threshold=0.0)

@profkit.profile
def numbers():
    try:
        yield 1
    finally:
        print("closed")

@profkit.profile
async def async_numbers():
    yield 1

paused = numbers()
next(paused)
never_begun = numbers()
loop = asyncio.new_event_loop()
async_paused = async_numbers()
loop.run_until_complete(anext(async_paused))
loop.close()
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
