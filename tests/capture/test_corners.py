"""Corners that an attack on the engine has found: each was wrong once."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import signal
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from operator import itemgetter
from typing import Any

import pytest

from profkit import ConfigurationError, PerformanceProfiler, Settings
from profkit.operations import Operation, current
from profkit.sampling.callsites import native_name
from profkit_analyzers import ProfileAnalyzer
from profkit_storage import MemoryStorage, Profile

Spin = Callable[[float], None]
DATA = os.urandom(12_000_000)


def leaves(profile: Profile) -> dict[str, float]:
    """Seconds by the name of the leaf."""
    found: dict[str, float] = {}
    for sample in profile.samples:
        name = profile.frames[profile.nodes[sample.node].frame].qualname
        found[name] = found.get(name, 0.0) + sample.wall
    return found


# C functions that no Python function calls


@pytest.mark.parametrize("how", ["submit", "to_thread", "executor"])
def test_a_c_function_handed_to_a_thread_is_seen_by_its_name(captured: Any, how: str) -> None:
    async def handed_over() -> None:
        if how == "to_thread":
            await asyncio.to_thread(zlib.compress, DATA, 6)
        else:
            await asyncio.get_running_loop().run_in_executor(None, partial(zlib.compress, DATA), 6)

    with captured.profiler.operation("work"):
        if how == "submit":
            with ThreadPoolExecutor(1) as pool:
                pool.submit(zlib.compress, DATA, 6).result()
        else:
            asyncio.run(handed_over())
    profile = captured.one()
    assert leaves(profile)["zlib.compress"] > 0.8 * profile.wall - 0.1
    assert "zlib.compress" in [branch.name for branch in profile.branches]
    assert profile.cpu is not None
    assert profile.cpu > 0.1, "its thread's own clock"


def test_a_c_function_decorated_is_seen_by_its_name(captured: Any) -> None:
    captured.profiler.profile("pause")(time.sleep)(0.1)
    profile = captured.one()
    assert leaves(profile)["time.sleep"] == pytest.approx(profile.wall, abs=0.03)


def test_which_callables_are_native() -> None:
    class Mine:
        def __call__(self) -> None: ...

        def method(self) -> None: ...

    assert [native_name(one) for one in (zlib.compress, len, time.sleep, [].append)] == [
        "zlib.compress", "len", "time.sleep", "list.append",
    ]  # fmt: skip
    assert native_name(itemgetter(1)) == "operator.itemgetter"
    for one in (Mine(), Mine().method, Mine.method, Mine, lambda: 1, test_which_callables_are_native):
        assert native_name(one) == "", one


# Crowds


def test_thousands_of_pending_tasks_cost_their_starter_little(captured: Any) -> None:
    async def start() -> tuple[float, list[asyncio.Task[None]]]:
        async def wait() -> None:
            await asyncio.sleep(0.5)

        began = time.thread_time()
        tasks = [asyncio.create_task(wait()) for _ in range(6_000)]
        return time.thread_time() - began, tasks

    async def main() -> float:
        bare, tasks = await start()
        await asyncio.gather(*tasks)
        with captured.profiler.operation("crowd"):
            spent, tasks = await start()
            await asyncio.gather(*tasks)
        return spent / bare

    gc.disable()  # a collection of all that 5,000 tests left takes longer than what is measured
    try:
        assert asyncio.run(main()) < 12, "it was 50: each new one cost more with every one before it"
    finally:
        gc.enable()
    assert len(captured.one().branches) <= 1_001


def test_what_ended_inside_keeps_nothing_of_what_was_seen(make_captured: Any) -> None:
    captured = make_captured(threshold=60.0, max_profiles=1)
    profiler = captured.profiler
    profiler.set_threshold(0.0, "slow")

    @profiler.profile("fast")
    def fast() -> None:
        time.sleep(0.012)

    @profiler.profile("slow")
    def slow() -> None:
        time.sleep(0.012)

    with profiler.operation("outer") as outer:
        for _ in range(5):
            fast()
            slow()
        assert profiler.flush(5)
        time.sleep(0.05)
        assert outer.children is not None
        kept = [one for one in outer.children if one.recording or one.branches or one.children]
        assert (len(outer.children), kept) == (10, [])


# Entering, leaving, standing still


@pytest.mark.parametrize("engine", ["watchdog", "pyinstrument"])
def test_entering_twice_leaves_what_is_running_alone(captured: Any, spin: Spin, engine: str) -> None:
    operation = captured.profiler.operation("work", engine=engine)
    with operation:
        with pytest.raises(RuntimeError, match="entered once"):
            operation.__enter__()
        with pytest.raises(RuntimeError, match="entered once"):
            asyncio.run(operation.__aenter__())
        assert captured.profiler.registry == {operation}
        assert current.get() is operation
        spin(0.1)
    assert captured.one().sampling.unobserved < 0.05


def test_a_generator_holds_what_ran_in_its_steps(spin: Spin) -> None:
    store = MemoryStorage()
    profiler = PerformanceProfiler(Settings(storage=store, threshold=0.05, interval=0.002))

    @profiler.profile("inner", category="db")
    def inner() -> None:
        spin(0.1)

    @profiler.profile("stream")
    def stream() -> Iterator[int]:
        yield 1
        inner()
        yield 2

    for _ in stream():
        time.sleep(0.15)
    assert profiler.flush(5)
    found = {entry.operation: store.load(entry.id) for entry in store.scan()}
    assert found["stream"].paused == pytest.approx(0.3, abs=0.1)
    assert found["stream"].start_ns < found["inner"].start_ns
    report = ProfileAnalyzer(store).analyze()
    assert report.nested == 1
    profiler.shutdown()


def test_a_generator_goes_on_while_it_is_switched_off(captured: Any, spin: Spin) -> None:
    profiler = captured.profiler

    @profiler.profile("steps")
    def steps() -> Iterator[int]:
        for number in range(4):
            spin(0.06)
            yield number

    for number in steps():
        profiler.enabled = number % 2 == 1
        time.sleep(0.15)
    profiler.enabled = True
    assert captured.one().wall < 0.4, "four pauses are 0.6 s"


def test_a_generator_that_stood_still_while_the_table_of_codes_was_renewed(
    captured: Any, spin: Spin, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("profkit.sampling.sampler._MANY_CODES", 1)
    monkeypatch.setattr("profkit.sampling.sampler._ASLEEP_AFTER", 2)
    monkeypatch.setattr("profkit.sampling.sampler._QUIET_INTERVAL", 0.005)
    sampler = captured.profiler.sampler

    @captured.profiler.profile("steps")
    def steps() -> Iterator[int]:
        spin(0.06)
        yield 1
        spin(0.06)

    running = steps()
    next(running)
    codes = sampler.codes
    deadline = time.monotonic() + 10
    while sampler.codes is codes:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    list(running)
    profile = captured.one()
    assert {"steps", "spin"} >= {
        frame.qualname.rpartition(".")[2] for frame in profile.frames if frame.filename
    }


# Signals, threads and forks


def test_a_handler_that_flushes_wherever_it_comes(captured: Any) -> None:
    recorder = captured.profiler._recorder
    with captured.profiler.operation("work"):
        time.sleep(0.06)
    alive, flushed = recorder._is_alive, []

    def interrupted() -> bool:
        recorder._is_alive = alive
        flushed.append(captured.profiler.flush(5))
        return bool(alive())

    recorder._is_alive = interrupted
    assert captured.profiler.flush(5)
    assert flushed == [True]


@pytest.mark.parametrize("handler", ["partial", "object"])
def test_what_a_handler_of_any_kind_raises_reaches_the_application(captured: Any, handler: str) -> None:
    class Timeout(Exception):
        pass

    def fail(*_: object) -> None:
        raise Timeout

    class Handler:
        def __call__(self, *_: object) -> None:
            raise Timeout

    @captured.profiler.profile(engine="pyinstrument")
    def work() -> None:
        while True:
            len([])

    before = signal.signal(signal.SIGALRM, partial(fail) if handler == "partial" else Handler())
    try:
        for _ in range(20):
            signal.setitimer(signal.ITIMER_REAL, 0.012)
            with pytest.raises(Timeout):
                work()
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert not captured.profiler.registry


def test_a_callback_may_change_the_threshold_while_it_is_shut_down() -> None:
    profiler = PerformanceProfiler()
    profiler.configure(
        Settings(on_profile=lambda _: profiler.set_threshold(5.0, "other"), threshold=0.0, rollup_interval=0)
    )
    with profiler.operation("work"):
        pass
    began = time.perf_counter()
    assert profiler.shutdown(5)
    assert time.perf_counter() - began < 2


@pytest.mark.filterwarnings("ignore:This process.*is multi-threaded:DeprecationWarning")
def test_a_child_does_not_count_the_calls_it_was_forked_in(captured: Any) -> None:
    profiler = captured.profiler
    read, write = os.pipe()

    @profiler.profile("forking")
    def forking() -> int:
        child = os.fork()
        if not child:
            with profiler.operation("inside"):
                assert profiler.in_flight()[0].name == "inside"
        return child

    with profiler.operation("around"):
        child = forking()
        if not child:
            assert current.get() is None or current.get().ended
    if not child:
        with profiler.operation("later") as later:
            os.write(write, repr((profiler.stats()["operations"], later.parent)).encode())
        os._exit(0)
    os.waitpid(child, 0)
    assert os.read(read, 1000) == b"(1, None)", "what was inside it, and no other"
    os.close(read)
    os.close(write)
    assert profiler.stats()["operations"] == 2


def test_stacks_are_walked_without_collections_for_a_look_at_what_is_in_flight(
    captured: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    from profkit import inflight

    enabled: list[bool] = []
    see = inflight.see
    monkeypatch.setattr(inflight, "see", lambda *one: enabled.append(gc.isenabled()) or see(*one))
    with captured.profiler.operation("work"):
        assert captured.profiler.in_flight()[0].stack
    assert gc.isenabled()
    from profkit.sampling.sampler import _COLLECTS_ANYWHERE

    assert enabled == [not _COLLECTS_ANYWHERE]


# Event loops


def test_a_task_factory_set_in_between_is_noticed(captured: Any) -> None:
    def factory(loop: asyncio.AbstractEventLoop, coro: Any, **kwargs: Any) -> asyncio.Task[Any]:
        return asyncio.Task(coro, loop=loop, **kwargs)

    async def query() -> None:
        await asyncio.sleep(0.1)

    async def main() -> None:
        async with captured.profiler.operation("first"):
            await asyncio.sleep(0.06)
        asyncio.get_running_loop().set_task_factory(factory)
        async with captured.profiler.operation("second"):
            await asyncio.sleep(0.06)
            await asyncio.gather(query(), query())

    asyncio.run(main())
    assert [len(profile.branches) for profile in captured.all()] == [0, 2]


# pyinstrument's engine


def test_work_in_threads_is_left_to_the_watchdog(captured: Any, spin: Spin) -> None:
    @captured.profiler.profile("handing", engine="pyinstrument")
    def handing() -> None:
        with ThreadPoolExecutor(1) as pool:
            pool.submit(spin, 0.1).result()

    handing()
    assert captured.profiler.flush(5)
    (profile,) = captured.profiles
    assert profile.sampling.engine == "watchdog"
    assert "threads" in str(profile.tags["engine_fallback"])
    stacks = [[frame.qualname for frame, _ in profile.stack(sample.node)] for sample in profile.samples]
    assert any("spin" in name for stack in stacks for name in stack)


def test_many_at_once_do_not_stop_the_loop(captured: Any) -> None:
    @captured.profiler.profile("one", engine="pyinstrument", threshold=9.0)
    async def one() -> None:
        await asyncio.sleep(0.3)

    async def main() -> None:
        await asyncio.gather(*(one() for _ in range(150)))

    began = time.perf_counter()
    asyncio.run(main())
    assert time.perf_counter() - began < 5, "it was minutes"


# What is told, and what is refused


def test_names_are_masked_in_logs_and_tags(make_captured: Any, caplog: pytest.LogCaptureFixture) -> None:
    captured = make_captured(threshold=0.0, queue_size=1)
    gate = threading.Event()
    profiler = PerformanceProfiler(
        Settings(on_profile=lambda _: gate.wait(5), threshold=0.0, queue_size=1, max_profiles_per_operation=0)
    )
    name = "GET https://api.example/x?api_key=sk-live-1234567890abcdef"
    with caplog.at_level(logging.WARNING, "profkit"):
        for _ in range(5):
            with profiler.operation(name, **{"postgres://u:hunter2secret@db/x": 1, "n" * 10_000: 2}):
                pass
        gate.set()
        profiler.shutdown()
    assert "queue_full" in caplog.text
    assert "sk-live" not in caplog.text
    with captured.profiler.operation("work", **{"postgres://u:hunter2secret@db/x": 1, "n" * 10_000: 2}):
        pass
    assert captured.profiler.flush(5)
    (profile,) = captured.profiles
    assert all("hunter2secret" not in tag and len(tag) <= 200 for tag in profile.tags)


def test_a_tag_of_ones_own_stays_when_it_fails(captured: Any) -> None:
    def fail() -> None:
        with captured.profiler.operation("work", error="mine"):
            time.sleep(0.06)
            raise LookupError

    with pytest.raises(LookupError):
        fail()
    assert captured.one().tags == {"error": "mine"}


async def tell(_: Profile) -> None: ...


@pytest.mark.parametrize(
    ("attempt", "named"),
    [
        (lambda: PerformanceProfiler().configure("/path"), "give one Settings, or arguments"),
        (lambda: PerformanceProfiler("/path"), "give one Settings, or arguments"),  # type: ignore[arg-type]
        (lambda: Settings(on_profile=tell), "no coroutine function"),
        (lambda: PerformanceProfiler().profile("x", threshold=1e12), "from 0 to 86400"),
        (lambda: PerformanceProfiler().capture("1"), "seconds='1'"),  # type: ignore[arg-type]
    ],
)
def test_refusals(attempt: Callable[[], object], named: str) -> None:
    with pytest.raises(ConfigurationError, match=named):
        attempt()


def test_names_of_functions_are_made_printable(captured: Any) -> None:
    @captured.profiler.profile("two\nlines" * 100, category=None)
    def work() -> None:
        time.sleep(0.06)

    work()
    profile = captured.one()
    assert profile.operation.isprintable()
    assert (len(profile.operation), profile.category) == (200, "")


def test_nothing_of_it_is_left() -> None:
    assert current.get() is None
    assert not [one for one in gc.get_objects() if type(one) is Operation and one.started and not one.ended]
