"""What applications do to the interpreter, and interruptions at any moment: operations go on, and so does the watch."""

from __future__ import annotations

import asyncio
import contextlib
import ctypes
import dis
import gc
import os
import random
import re
import subprocess
import sys
import textwrap
import threading
import time
import tracemalloc
import weakref
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from types import CodeType, FrameType
from typing import Any

import pytest

from profkit import ConfigurationError, PerformanceProfiler, Settings
from profkit.operations import current
from profkit.sampling import switching
from profkit_storage import Profile, State, Status, open_storage

Spin = Callable[[float], None]


@pytest.fixture(autouse=True)
def no_operation_around() -> Iterator[None]:
    """What one test leaves is none of the next one's."""
    token = current.set(None)
    yield
    current.reset(token)


def wait_for(condition: Callable[[], object], seconds: float = 20) -> None:
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until, "waited for nothing"
        time.sleep(0.002)


def names(profile: Profile) -> set[str]:
    return {frame.qualname.rpartition(".")[2] for frame in profile.frames}


# The stack, and the hooks of the interpreter


def deep(levels: int, then: Callable[[], None]) -> None:
    if levels:
        deep(levels - 1, then)
    else:
        then()


def run_in_thread(function: Callable[[], object]) -> None:
    """Run with a stack of one's own: that of a test is 50 deep already."""
    errors: list[BaseException] = []

    def body() -> None:
        try:
            function()
        except BaseException as error:  # noqa: BLE001 - told in the test's own thread
            errors.append(error)

    thread = threading.Thread(target=body)
    thread.start()
    thread.join(30)
    assert not errors, errors


def test_recursion_900_deep_below_an_operation(
    captured: Any, spin: Spin, roots_of: Any, assert_conserved: Any
) -> None:
    @captured.profiler.profile
    def work() -> None:
        deep(900, lambda: (spin(0.1), wait_for(lambda: captured.profiler.sampler.ticks > 5)))

    run_in_thread(work)
    profile = captured.one()
    assert roots_of(profile) == {"work"}
    assert {"spin", "deep"} <= names(profile)
    assert max(len(list(profile.stack(sample.node))) for sample in profile.samples) <= 402
    assert_conserved(profile)


def test_an_operation_that_recurses(make_captured: Any) -> None:
    captured = make_captured(max_profiles=0, max_profiles_per_operation=0)

    @captured.profiler.profile
    def work(levels: int) -> None:
        if levels:
            work(levels - 1)
        else:
            time.sleep(0.1)
            wait_for(lambda: captured.profiler.sampler.ticks > 30)

    run_in_thread(lambda: work(60))
    profiles = captured.all()
    assert len(profiles) == 61
    assert all(profile.samples for profile in profiles)
    depths = sorted(
        max(len(list(profile.stack(sample.node))) for sample in profile.samples) for profile in profiles
    )
    assert depths[-1] - depths[0] >= 55, "each begins at its own call"


def test_a_recursion_without_end_fails_as_it_would(captured: Any) -> None:
    """Wherever the end comes: with each number of frames between, in another place of ours."""

    def between(frames: int) -> None:
        if frames:
            between(frames - 1)
        else:
            endless(0)

    @captured.profiler.profile(threshold=9)
    def endless(frames: int) -> None:
        if frames:
            between(frames - 1)
        else:
            endless(0)

    def body() -> None:
        for frames in range(8):
            with pytest.raises(RecursionError):
                endless(frames)
            assert current.get() is None

    run_in_thread(body)
    assert not captured.profiler.registry
    with captured.profiler.operation("next"):
        time.sleep(0.1)
    assert captured.one().operation == "next"


@pytest.mark.parametrize("hook", ["profile", "trace"])
def test_a_function_that_sets_a_hook_of_its_own(captured: Any, spin: Spin, hook: str) -> None:
    events: list[str] = []

    def own(frame: FrameType, event: str, argument: object) -> Any:
        if frame.f_code is called.__code__:
            events.append(event)
        return own

    def called() -> None:
        pass

    put, get = getattr(sys, f"set{hook}"), getattr(sys, f"get{hook}")

    @captured.profiler.profile
    def work() -> None:
        put(own)
        called()
        time.sleep(0.1)

    before = get()
    try:
        work()
        assert get() is own
        called()
    finally:
        put(before)
    assert events.count("call") == 2
    assert captured.one().samples


def test_hooks_set_for_threads_are_called_in_them_and_not_lost(captured: Any) -> None:
    seen: list[str] = []

    def own(frame: FrameType, event: str, argument: object) -> None:
        seen.append(frame.f_code.co_name)

    @captured.profiler.profile
    def worker() -> None:
        time.sleep(0.1)

    @captured.profiler.profile
    def work() -> None:
        threading.setprofile(own)
        thread = threading.Thread(target=worker)
        thread.start()
        thread.join()

    try:
        work()
        assert threading.getprofile() is own
    finally:
        threading.setprofile(None)  # type: ignore[arg-type]
    assert "worker" in seen
    assert {profile.operation.rpartition(".")[2] for profile in captured.all()} == {"work", "worker"}


# The switch interval


@pytest.fixture
def switch_interval() -> Iterator[None]:
    """What a test sets is taken back."""
    assert sys.getswitchinterval() == switching.USUAL, "another test left its own"
    yield
    sys.setswitchinterval(switching.USUAL)


def intervals_for(seconds: float) -> set[float]:
    """Return the switch intervals seen in some time, with pauses in which the sampler runs."""
    seen: set[float] = set()
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        seen.add(round(sys.getswitchinterval(), 6))
        time.sleep(0.0005)
    return seen


def test_the_switch_interval_is_shorter_while_something_is_in_flight_and_then_the_usual_one(
    captured: Any, switch_interval: None
) -> None:
    with captured.profiler.operation("work"):
        wait_for(lambda: sys.getswitchinterval() == pytest.approx(0.0002))
    wait_for(lambda: sys.getswitchinterval() == switching.USUAL)
    with captured.profiler.operation("again"):
        wait_for(lambda: sys.getswitchinterval() == pytest.approx(0.0002))
    captured.profiler.shutdown()
    assert sys.getswitchinterval() == switching.USUAL


def test_threads_that_compute_at_once_have_the_usual_one_meanwhile(
    captured: Any, switch_interval: None
) -> None:
    """They would take turns 5,000 times a second, and have a tenth less done."""
    stop = threading.Event()

    def compute() -> None:
        while not stop.is_set():
            sum(range(1_000))

    threads = [threading.Thread(target=compute) for _ in range(3)]
    with captured.profiler.operation("waits"):
        wait_for(lambda: sys.getswitchinterval() == pytest.approx(0.0002))
        for thread in threads:
            thread.start()
        # For longer than a tick: in each it is the usual one in any case.
        wait_for(lambda: intervals_for(0.1) == {switching.USUAL})
        stop.set()
        for thread in threads:
            thread.join()
        wait_for(lambda: sys.getswitchinterval() == pytest.approx(0.0002))


def test_one_thread_that_computes_is_in_nobodys_way(captured: Any, switch_interval: None) -> None:
    with captured.profiler.operation("computes"):
        until = time.perf_counter() + 0.5
        while time.perf_counter() < until:
            sum(range(1_000))
        assert sys.getswitchinterval() == pytest.approx(0.0002)


def test_a_switch_interval_of_the_application_is_never_touched(captured: Any, switch_interval: None) -> None:
    sys.setswitchinterval(0.003)
    with captured.profiler.operation("work"):
        assert intervals_for(0.2) == {0.003}
    assert captured.profiler.sampler.ticks > 5
    assert intervals_for(0.1) == {0.003}


def test_nor_is_one_it_sets_in_the_middle(captured: Any, switch_interval: None) -> None:
    with captured.profiler.operation("work"):
        wait_for(lambda: sys.getswitchinterval() == pytest.approx(0.0002))
        sys.setswitchinterval(0.002)
        ticks = captured.profiler.sampler.ticks
        assert intervals_for(0.2) == {0.002}
        assert captured.profiler.sampler.ticks > ticks + 5
    assert intervals_for(0.2) == {0.002}
    with captured.profiler.operation("again"):
        assert intervals_for(0.1) == {0.002}


def test_two_profilers_share_the_switch_interval(make_captured: Any, switch_interval: None) -> None:
    one, other = make_captured(threshold=0.0), make_captured(threshold=0.0, switch_interval=0.001)
    with one.profiler.operation("one"):
        with other.profiler.operation("other"):
            wait_for(lambda: other.profiler.sampler.ticks > 3)
            wait_for(lambda: sys.getswitchinterval() == pytest.approx(0.0002))
        wait_for(lambda: not switching._shortened.get(other.profiler.sampler))
        wait_for(lambda: sys.getswitchinterval() == pytest.approx(0.0002))
    wait_for(lambda: sys.getswitchinterval() == switching.USUAL)
    assert [profile.operation for profile in one.all()] == ["one"]
    assert [profile.operation for profile in other.all()] == ["other"]


# The garbage collector


@pytest.fixture
def collecting() -> Iterator[None]:
    assert gc.isenabled()
    yield
    gc.enable()


def make_garbage(rings: int) -> None:
    for _ in range(rings):
        ring: list[object] = []
        ring.append({"ring": ring})


@pytest.mark.parametrize("kind", ["automatic", "called"])
def test_a_long_collection_has_a_state_of_its_own(
    captured: Any, collecting: None, assert_conserved: Any, kind: str
) -> None:
    seconds = 0.0
    began = 0.0

    def clock(phase: str, info: object) -> None:
        nonlocal seconds, began
        if phase == "start":
            began = time.perf_counter()
        else:
            seconds += time.perf_counter() - began

    @captured.profiler.profile
    def work() -> None:
        gc.disable()
        make_garbage(150_000)
        gc.callbacks.append(clock)
        if kind == "called":
            gc.collect()
        else:
            gc.enable()
            make_garbage(5_000)
        gc.callbacks.remove(clock)
        time.sleep(0.05)

    work()
    profile = captured.one()
    collected = sum(sample.wall for sample in profile.samples if sample.state is State.GC)
    assert seconds > 0.02, "too little garbage for a test"
    assert 0.7 * seconds - 0.05 < collected < 1.1 * seconds + 0.05
    assert "work" in names(profile)
    assert_conserved(profile)


def test_the_collector_stays_as_the_application_has_it(captured: Any, collecting: None, spin: Spin) -> None:
    """But for a tick that is interrupted for over 5 ms, as the machine may do: then its end may come too late."""
    wrong = times = 0
    until = time.monotonic() + 1.5
    with captured.profiler.operation("work"):
        while time.monotonic() < until:
            for change, enabled in ((gc.disable, False), (gc.enable, True)):
                change()
                for _ in range(20):
                    spin(0.0001)
                    time.sleep(0.0001)
                    wrong += gc.isenabled() is not enabled
                times += 20
    assert captured.profiler.sampler.ticks > 20
    assert wrong <= 0.1 * times
    assert gc.isenabled()


def test_a_free_threaded_python_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "_is_gil_enabled", lambda: False, raising=False)
    profiler = PerformanceProfiler()
    with pytest.raises(ConfigurationError, match="free-threaded"):
        profiler.configure(storage="memory://")
    assert not profiler.stats()["active"]
    with profiler.operation("goes on"):
        pass


# Interruptions: an exception of a signal handler may come wherever the interpreter looks for signals


class Interrupted(BaseException):
    """What a signal handler raises."""


class Interrupter:
    """Raises at the n-th place, within profkit's functions, where a signal handler could.

    That is at the start of a Python function, and after a call of another one. Left out is the start of a block's
    `__exit__`, where Python itself leaves the block without leaving it (bugs.python.org/issue29988), and where a loop
    goes back, which tracing puts into a gap of the exception table that signals do not fall into; those are sent below.
    Where Python calls back about a collection it prints what is raised, and drops it.
    """

    def __init__(self, place: int) -> None:
        self._left = place
        self._before: dict[FrameType, str] = {}
        self.raised = ""

    def __enter__(self) -> None:
        sys._getframe().f_trace_opcodes = True  # from 3.12 on, before it is set
        sys.settrace(self._trace)

    def __exit__(self, *error: object) -> None:
        sys.settrace(None)
        self._before.clear()

    def _trace(self, frame: FrameType, event: str, argument: object) -> Any:
        code = frame.f_code
        if event == "call":
            name = frame.f_globals.get("__name__", "")
            if not name.startswith("profkit") or name == "profkit.sampling.pauses":
                return None
            frame.f_trace_opcodes = True
            frame.f_trace_lines = False
        elif event == "return" and frame.f_back is not None:
            self._before[frame.f_back] = ""  # the interpreter goes on with the caller at once
        elif event == "opcode":
            before = self._before.get(frame, "RESUME")
            self._before[frame] = _instructions(code).get(frame.f_lasti, "")
            if before.startswith(("CALL", "RESUME")) and not (
                before == "RESUME" and code.co_name in {"__exit__", "__aexit__"}
            ):
                self._left -= 1
                if self._left < 0:
                    self.raised = (
                        f"{code.co_qualname} at {frame.f_lasti} (line {frame.f_lineno}), after {before}"
                    )
                    raise Interrupted(self.raised)
        return self._trace


_OPCODES: dict[CodeType, dict[int, str]] = {}


def _instructions(code: CodeType) -> dict[int, str]:
    if code not in _OPCODES:
        _OPCODES[code] = {one.offset: one.opname for one in dis.get_instructions(code)}
    return _OPCODES[code]


def kinds_of_operations(profiler: PerformanceProfiler) -> dict[str, Callable[[], object]]:
    @profiler.profile
    def function() -> None:
        pass

    @profiler.profile
    async def coroutine() -> None:
        pass

    @profiler.profile
    def generator() -> Iterator[int]:
        yield 1

    @profiler.profile
    async def async_generator() -> AsyncIterator[int]:
        yield 1

    def block() -> None:
        with profiler.operation("block"):
            pass

    async def async_block() -> None:
        async with profiler.operation("async block"):
            pass

    async def consume() -> None:
        async for _ in async_generator():
            pass

    def step(coroutine: Any) -> None:
        with contextlib.suppress(StopIteration):
            coroutine.send(None)

    return {
        "function": function,
        "coroutine": lambda: step(coroutine()),
        "generator": lambda: list(generator()),
        "async generator": lambda: step(consume()),
        "block": block,
        "async block": lambda: step(async_block()),
    }


def warm_up(work: Callable[[], object]) -> None:
    """Run once under tracing: 3.13 traces the instructions of a function from its next call on."""
    for _ in range(2):
        with Interrupter(1_000_000):
            work()


KINDS = ["function", "coroutine", "generator", "async generator", "block", "async block"]


@pytest.mark.filterwarnings("ignore:coroutine .* was never awaited")
@pytest.mark.parametrize("slow", [True, False], ids=["slow", "fast"])
@pytest.mark.parametrize("kind", KINDS)
def test_an_exception_at_any_place_leaves_no_operation_behind(kind: str, slow: bool) -> None:
    profiler = PerformanceProfiler(Settings(on_profile=lambda _: None, threshold=0.0 if slow else 9.0))
    work = kinds_of_operations(profiler)[kind]
    warm_up(work)
    wait_for(lambda: not profiler.sampler.idle)
    places = 0
    while True:
        interrupter = Interrupter(places)
        try:
            with interrupter:
                work()
        except Interrupted:
            pass
        assert not profiler.registry, interrupter.raised
        assert current.get() is None, interrupter.raised
        if not interrupter.raised:
            break
        places += 1
    assert places > 2
    assert profiler.flush(10)
    profiler.shutdown()


def test_an_exception_at_any_place_where_the_sampler_is_woken_strands_it_never(captured: Any) -> None:
    profiler, sampler = captured.profiler, captured.profiler.sampler
    samplers = _count_samplers() + 1
    warm_up(lambda: (sampler.stop(5), sampler.wake()))
    place = 0
    while True:
        sampler.stop(5)  # it has to be begun
        interrupter = Interrupter(place)
        with contextlib.suppress(Interrupted), interrupter:
            sampler.wake()
        ticks = sampler.ticks
        with profiler.operation("next", threshold=9):
            wait_for(lambda ticks=ticks: sampler.ticks > ticks, 5)
        if not interrupter.raised:
            break
        place += 1
    assert place > 1
    wait_for(lambda: _count_samplers() == samplers)


def test_an_exception_while_a_sleeping_sampler_is_woken(
    captured: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("profkit.sampling.sampler._ASLEEP_AFTER", 1)
    profiler, sampler = captured.profiler, captured.profiler.sampler
    warm_up(sampler.wake)
    place = 0
    while True:
        with profiler.operation("before", threshold=9):
            wait_for(lambda: not sampler.idle)
        wait_for(lambda: sampler.idle)
        interrupter = Interrupter(place)
        with contextlib.suppress(Interrupted), interrupter:
            sampler.wake()
        ticks = sampler.ticks
        with profiler.operation("next", threshold=9):
            wait_for(lambda ticks=ticks: sampler.ticks > ticks, 5)
        if not interrupter.raised:
            break
        place += 1
    assert place or sys.version_info >= (3, 13), "its tracing is coarser"


def _count_samplers() -> int:
    return sum(thread.name == "profkit-sampler" for thread in threading.enumerate())


SIGINTS = """
    import os, random, signal, sys, threading, time
    import profkit
    from profkit.operations import current

    kept = []
    profkit.configure(on_profile=kept.append, threshold=9, interval=0.001, max_overhead=1.0)
    armed = False

    def interrupt(*_):
        global armed
        if armed:  # one at a time: the test has to catch it too
            armed = False
            raise KeyboardInterrupt

    @profkit.profile
    def function(levels=3):
        if levels:
            function(levels - 1)

    @profkit.profile
    def generator():
        yield from range(3)

    @profkit.profile
    async def coroutine(levels=3):
        if levels:
            await coroutine(levels - 1)

    @profkit.profile(threshold=0)
    def slow():
        pass

    def step():
        try:
            coroutine().send(None)
        except StopIteration:
            pass

    def block():
        operation = profkit.operation("block")
        try:
            with operation:
                function()
        except KeyboardInterrupt as error:
            innermost = error.__traceback__
            while innermost.tb_next and innermost.tb_next.tb_frame.f_code is not interrupt.__code__:
                innermost = innermost.tb_next
            # Python called __exit__, and the signal came before its first instruction.
            code = innermost.tb_frame.f_code
            if operation in registry and code.co_name == "__exit__" and innermost.tb_lineno == code.co_firstlineno:
                operation.__exit__(None, None, None)
            raise

    registry = profkit.default_profiler().registry
    works = [function, step, block, slow, lambda: list(generator())]
    signal.signal(signal.SIGINT, interrupt)
    stop = threading.Event()

    def send():
        while not stop.wait(random.uniform(0.0002, 0.002)):
            os.kill(os.getpid(), signal.SIGINT)

    sender = threading.Thread(target=send, daemon=True)
    sender.start()
    calls = interrupts = 0
    until = time.monotonic() + SECONDS
    while time.monotonic() < until:
        try:
            armed = True
            for _ in range(50):
                works[calls % len(works)]()
                calls += 1
            armed = False
        except KeyboardInterrupt:
            interrupts += 1
            assert not registry, [one.tally.name for one in registry]
            assert current.get() is None
    stop.set()
    sender.join()
    assert not registry and current.get() is None
    with profkit.operation("last", threshold=0):
        time.sleep(0.2)
    assert profkit.flush(20)
    assert kept[-1].operation == "last" and kept[-1].samples
    assert sum(thread.name == "profkit-sampler" for thread in threading.enumerate()) == 1
    print(calls, interrupts, profkit.stats()["faults"])
"""


def interrupted(seconds: float) -> None:
    script = textwrap.dedent(SIGINTS).replace("SECONDS", str(seconds))
    done = subprocess.run(
        [sys.executable, "-W", "ignore:coroutine:RuntimeWarning", "-c", script],
        capture_output=True,
        text=True,
        timeout=seconds + 60,
        check=False,
        env={name: value for name, value in os.environ.items() if not name.startswith("PROFKIT_")},
    )
    # What a signal's handler raises while Python calls back about a collection, Python prints and drops.
    dropped = re.compile(
        r"Exception ignored in: <function _on_collection.*?\nKeyboardInterrupt: \n", re.DOTALL
    )
    assert (done.returncode, dropped.sub("", done.stderr)) == (0, "")
    calls, interrupts, faults = done.stdout.split(maxsplit=2)
    assert len(dropped.findall(done.stderr)) <= 0.005 * int(interrupts)
    assert int(calls) > 500 * seconds
    assert int(interrupts) > 10 * seconds
    assert faults == "{}\n"


def test_interrupts_from_the_keyboard_at_random_moments() -> None:
    interrupted(2)


@pytest.mark.soak
def test_interrupts_from_the_keyboard_for_a_minute() -> None:
    interrupted(60)


def test_cancellation_at_random_moments(make_captured: Any, assert_conserved: Any) -> None:
    captured = make_captured(threshold=0.02, queue_size=10_000, max_profiles=0, max_profiles_per_operation=0)
    profiler = captured.profiler
    chance = random.Random(7)
    ended: Counter[str] = Counter()

    @profiler.profile
    async def inner(levels: int) -> None:
        await asyncio.sleep(chance.random() * 0.01)
        if levels:
            async with asyncio.TaskGroup() as group:
                group.create_task(inner(levels - 1))
                await inner(levels - 1)

    @profiler.profile
    async def outer() -> None:
        try:
            with profiler.operation("block"):
                await inner(2)
            ended["ok"] += 1
        except asyncio.CancelledError:
            ended["cancelled"] += 1
            raise

    async def main() -> None:
        for _ in range(30):
            tasks = [asyncio.create_task(outer()) for _ in range(5)]
            await asyncio.sleep(chance.random() * 0.03)
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    asyncio.run(main())
    assert not profiler.registry
    profiles = captured.all()
    assert ended["cancelled"] > 20
    outers = [profile for profile in profiles if profile.operation.endswith("outer")]
    assert {Status.CANCELLED} <= {profile.status for profile in outers} <= {Status.CANCELLED, Status.OK}
    list(map(assert_conserved, profiles))


def test_generators_that_are_never_exhausted(captured: Any) -> None:
    @captured.profiler.profile
    def endless() -> Iterator[int]:
        while True:
            yield 1

    held = [endless() for _ in range(100)]
    for one in held:
        next(one)
    assert not captured.profiler.registry
    assert current.get() is None
    wait_for(lambda: captured.profiler.sampler.idle)  # nothing is in flight
    watched = weakref.WeakSet(held)
    del one
    held.clear()
    gc.collect()
    assert not watched
    assert captured.profiler.stats()["operations"] == 100


# Everything at once, and nothing for long


def test_ten_thousand_operations_from_fifty_threads_while_profiles_are_stored(
    tmp_path: Path, assert_conserved: Any
) -> None:
    profiler = PerformanceProfiler(
        Settings(
            storage=str(tmp_path), threshold=9.0, thresholds={"slow": 0.0}, interval=0.002, queue_size=1_000,
            max_profiles=0, max_profiles_per_operation=0,
        )
    )  # fmt: skip

    @profiler.profile("fast")
    def fast() -> None:
        deep(5, lambda: None)

    @profiler.profile("slow")
    def slow() -> None:
        fast()
        time.sleep(0.01)

    def body() -> None:
        start.wait()
        for number in range(100):
            if number % 25 == 0:
                slow()
            else:
                fast()
            with profiler.operation("block"):
                pass

    start = threading.Barrier(50)
    threads = [threading.Thread(target=body) for _ in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert profiler.flush(30)
    stats = profiler.stats()
    assert (stats["operations"], stats["slow"], stats["recorded"]) == (50 * 204, 200, 200)
    assert stats["faults"] == {}
    assert stats["in_flight"] == 0
    profiler.shutdown()
    storage = open_storage(str(tmp_path))
    profiles = [storage.load(entry.id) for entry in storage.scan()]
    assert len(profiles) == 200
    for profile in profiles:
        assert_conserved(profile)
        assert "body" not in names(profile)
        assert [child.name for child in profile.children] == ["fast"]


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
@pytest.mark.parametrize("error", [MemoryError, SystemExit])
def test_a_sampler_that_dies_is_begun_anew(captured: Any, error: type[BaseException]) -> None:
    profiler, sampler = captured.profiler, captured.profiler.sampler
    for number in range(10):
        with profiler.operation("wounded", threshold=9):
            wait_for(lambda: not sampler.idle)
            thread = sampler._thread
            ident = ctypes.c_ulong(thread.ident)
            ctypes.pythonapi.PyThreadState_SetAsyncExc(ident, ctypes.py_object(error))
            time.sleep(0.005 * number % 0.02)
        if error is SystemExit:
            thread.join(20)
            assert not thread.is_alive()
        ticks = sampler.ticks
        with profiler.operation("next", threshold=9):
            wait_for(lambda ticks=ticks: sampler.ticks > ticks)
    assert set(profiler.faults.counts()) <= {"sampler_error"}
    profiler.faults.reset()


def test_a_stopped_sampler_that_slept_wakes_for_the_next_configuration(
    captured: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("profkit.sampling.sampler._ASLEEP_AFTER", 1)
    profiler, sampler = captured.profiler, captured.profiler.sampler
    with profiler.operation("before", threshold=9):
        wait_for(lambda: not sampler.idle)
    wait_for(lambda: sampler.idle)
    settings = profiler.settings
    profiler.shutdown()
    time.sleep(0.05)
    profiler.configure(settings)
    with profiler.operation("after"):
        time.sleep(0.1)
    assert captured.one().samples


IDLE = """
    import resource, time, profkit
    profkit.configure(on_profile=lambda profile: None, threshold=0)

    def switches(seconds):
        before = resource.getrusage(resource.RUSAGE_SELF).ru_nvcsw
        time.sleep(seconds)
        return resource.getrusage(resource.RUSAGE_SELF).ru_nvcsw - before

    with profkit.operation("work"):
        time.sleep(0.1)
    profkit.flush()
    time.sleep(0.3)
    first = switches(1)
    time.sleep(3.5)
    print(first, switches(2), profkit.stats()["sampler"]["asleep"])
"""


def test_an_idle_process_is_woken_at_most_20_times_a_second_and_soon_not_at_all() -> None:
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(IDLE)],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.stderr == ""
    first, later, asleep = done.stdout.split()
    assert 5 < int(first) <= 25, "one is the main thread's"
    assert (int(later) <= 3, asleep) == (True, "True")


def test_short_operations_leave_nothing_in_memory(make_captured: Any) -> None:
    captured = make_captured(threshold=9.0, interval=0.001)
    profiler = captured.profiler

    @profiler.profile
    def leaf(number: int) -> list[int]:
        return [number]

    @profiler.profile
    def work(number: int) -> object:
        with profiler.operation("block", number=number):
            return leaf(number)

    @profiler.profile
    async def awaited(number: int) -> object:
        return work(number)

    def run(count: int) -> None:
        for number in range(count):
            work(number)
            with contextlib.suppress(StopIteration):
                awaited(number).send(None)
            if not number % 100:
                time.sleep(0.002)  # ten minutes have ticks in between

    run(200)
    tracemalloc.start()
    try:
        run(200)
        wait_for(lambda: profiler.stats()["in_flight"] == 0)
        before = tracemalloc.get_traced_memory()[0]
        run(1_500)
        profiler.stats()
        gc.collect()
        grown = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    assert grown < 60_000, f"{grown / 10_500:.1f} bytes an operation"


def test_nothing_of_the_application_is_held_beyond_a_tick(
    captured: Any, collecting: None, spin: Spin
) -> None:
    class Thing:
        pass

    things: weakref.WeakSet[Thing] = weakref.WeakSet()

    def uses(thing: Thing) -> Thing:
        local = Thing()
        things.add(local)
        spin(0.01)
        return thing

    @captured.profiler.profile
    def work() -> Thing:
        thing = Thing()
        things.add(thing)
        return uses(thing)

    gc.disable()  # cycles would show
    for _ in range(20):
        result = work()
        assert result in things
        del result
    wait_for(lambda: not things, 2)
    assert captured.profiler.sampler.ticks > 20


def test_results_and_errors_are_not_held_by_profiles_that_wait(make_captured: Any) -> None:
    class Thing(Exception):
        pass

    captured = make_captured(threshold=0.0)
    things: weakref.WeakSet[Thing] = weakref.WeakSet()

    @captured.profiler.profile
    def returns(thing: Thing) -> Thing:
        return thing

    @captured.profiler.profile
    def fails() -> None:
        thing = Thing()
        things.add(thing)
        raise thing

    with captured.profiler.sampler.lock:  # the recorder waits for it
        thing = Thing()
        things.add(thing)
        assert returns(thing) is thing
        del thing
        with contextlib.suppress(Thing):
            fails()
        gc.collect()  # an error and its traceback are a cycle
        assert not things, "held while it waits to be stored"


def test_origins_are_known_without_the_sampler_importing_anything() -> None:
    """A child forked in the middle of an import waits for ever where it imports the same."""
    script = """
        import asyncio, logging, sys, tempfile, threading, time
        imported = []

        def hook(event, arguments):
            if event == "import" and threading.current_thread().name.startswith("profkit"):
                imported.append(arguments[0])

        import profkit
        logging.basicConfig(level=logging.INFO, stream=sys.stdout)
        profkit.configure(storage=tempfile.mkdtemp(), threshold=0.05, on_profile=lambda profile: None)
        sys.addaudithook(hook)

        @profkit.profile(category="db")
        def fails():
            time.sleep(0.1)
            with profkit.operation("inner", password="hunter2hunter2"):
                time.sleep(0.06)
            raise LookupError

        async def sleep():
            await asyncio.sleep(0.1)

        @profkit.profile
        async def gathers():
            await asyncio.gather(sleep(), sleep(), asyncio.to_thread(time.sleep, 0.1))

        try:
            fails()
        except LookupError:
            pass
        asyncio.run(gathers())
        assert profkit.flush(20)
        assert profkit.stats()["recorded"] == 3
        assert not imported, imported
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
