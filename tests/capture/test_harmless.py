"""What the application must never notice: nothing kept alive, nothing raised, nothing of another's charged to it."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import gc
import inspect
import logging
import multiprocessing
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from pathlib import Path
from typing import Any

import anyio.to_thread
import pytest

from profkit import ConfigurationError, Operation, PerformanceProfiler, Settings
from profkit.sampling import sampler as sampler_module
from profkit_storage import Profile, open_storage

Spin = Callable[[float], None]


def alive(kind: type, among: Callable[[Any], bool] = lambda _: True) -> int:
    gc.collect()
    return sum(type(one) is kind and among(one) for one in gc.get_objects())


def test_tasks_that_begin_tasks_keep_no_operation_alive(captured: Any) -> None:
    before = alive(Operation)
    found: list[int] = []
    tasks: list[asyncio.Task[None]] = []

    async def link(left: int, done: asyncio.Event) -> None:
        with captured.profiler.operation("link"):
            if left:
                tasks[:] = [asyncio.get_running_loop().create_task(link(left - 1, done))]
                return
            await asyncio.sleep(0)
            found.append(alive(Operation) - before)
            done.set()

    async def main() -> None:
        done = asyncio.Event()
        await link(200, done)
        await done.wait()

    asyncio.run(main())
    assert found[0] < 5


def test_a_task_begun_in_an_operation_keeps_neither_its_task_nor_its_context(captured: Any) -> None:
    class Session:
        pass

    sessions: weakref.WeakSet[Session] = weakref.WeakSet()
    of_request: ContextVar[Session | None] = ContextVar("of_request", default=None)

    @captured.profiler.profile
    async def request(stop: asyncio.Event) -> asyncio.Task[bool]:
        session = Session()
        sessions.add(session)
        background = asyncio.create_task(stop.wait())
        of_request.set(session)  # after the background task took its copy of the context
        await asyncio.sleep(0)
        return background

    async def main() -> int:
        stop = asyncio.Event()
        tasks = [await asyncio.create_task(request(stop)) for _ in range(50)]
        gc.collect()
        left = len(sessions)
        stop.set()
        await asyncio.gather(*tasks)
        return left

    assert asyncio.run(main()) <= 1  # a context variable remembers what it last looked up


def test_an_abandoned_task_is_collected_as_it_would_be(captured: Any) -> None:
    tasks: weakref.WeakSet[asyncio.Task[None]] = weakref.WeakSet()

    @captured.profiler.profile
    async def waits_for_nobody() -> None:
        await asyncio.get_running_loop().create_future()

    async def main() -> None:
        for _ in range(20):
            tasks.add(asyncio.create_task(waits_for_nobody()))
        await asyncio.sleep(0.02)

    loop = asyncio.new_event_loop()
    loop.set_exception_handler(lambda *_: None)  # "Task was destroyed but it is pending"
    loop.run_until_complete(main())
    gc.collect()
    loop.close()
    assert len(tasks) == 0
    assert not captured.profiler.registry


def test_a_task_that_failed_says_so_in_its_own_thread(captured: Any) -> None:
    heard: list[str] = []

    @captured.profiler.profile
    async def fails() -> None:
        await asyncio.sleep(0.06)
        raise LookupError

    async def main() -> None:
        asyncio.get_running_loop().set_exception_handler(
            lambda *_: heard.append(threading.current_thread().name)
        )
        task = asyncio.create_task(fails())
        await asyncio.wait([task])
        del task
        gc.collect()

    asyncio.run(main())
    captured.all()
    assert heard == ["MainThread"]


def test_a_context_entered_by_a_worker_thread_takes_nothing_of_that_thread(
    captured: Any, spin: Spin, assert_conserved: Any
) -> None:
    @contextlib.contextmanager
    def dependency() -> Iterator[None]:
        with captured.profiler.operation("request"):
            yield

    def of_another_request() -> None:
        spin(0.1)

    async def main() -> None:
        context = dependency()
        await anyio.to_thread.run_sync(context.__enter__)
        await anyio.to_thread.run_sync(of_another_request)
        await anyio.to_thread.run_sync(context.__exit__, None, None, None)

    asyncio.run(main())
    profile: Profile = captured.one()
    assert "of_another_request" not in str(profile.frames)
    assert_conserved(profile)


def test_a_with_block_in_a_generator_takes_nothing_of_its_consumer(captured: Any, spin: Spin) -> None:
    def rows() -> Iterator[int]:
        with captured.profiler.operation("rows"):
            spin(0.05)
            yield 1
            spin(0.05)

    def consume() -> None:
        for _ in rows():
            time.sleep(0.1)

    consume()
    profile = captured.one()
    names = {frame.qualname.rpartition(".")[2] for frame in profile.frames}
    assert "rows" in names
    assert "consume" not in names
    assert profile.sampling.unobserved == pytest.approx(0.1, abs=0.04)


def test_what_was_not_seen_is_not_made_up(make_captured: Any) -> None:
    captured = make_captured(interval=0.01)

    def first() -> None:
        time.sleep(0.05)

    def second() -> None:
        time.sleep(0.5)

    @captured.profiler.profile
    def work() -> None:
        first()
        with captured.profiler.sampler.lock:  # no tick can be had
            second()

    work()
    profile = captured.one()
    seconds = sum(
        sample.wall
        for sample in profile.samples
        if "first" in [frame.qualname.rpartition(".")[2] for frame, _ in profile.stack(sample.node)]
    )
    assert seconds < 0.15
    assert profile.sampling.unobserved + sum(one.wall for one in profile.samples) == pytest.approx(
        profile.wall
    )


def test_an_awaitable_of_an_odd_kind_blinds_nobody_else(captured: Any, roots_of: Any) -> None:
    def begin() -> asyncio.Future[None]:
        return asyncio.ensure_future(asyncio.sleep(0.1))

    async def as_coroutine() -> None: ...

    as_coroutine_function = functools.wraps(as_coroutine)(begin)
    odd = captured.profiler.profile(as_coroutine_function)
    if not inspect.iscoroutinefunction(as_coroutine_function):
        odd = captured.profiler.profile(_marked(begin))

    @captured.profiler.profile("neighbour")
    async def neighbour() -> None:
        await asyncio.sleep(0.1)

    async def main() -> None:
        await asyncio.gather(odd(), neighbour())

    asyncio.run(main())
    (profile,) = [profile for profile in captured.all() if profile.operation == "neighbour"]
    assert roots_of(profile) == {"neighbour"}
    assert profile.sampling.unobserved < 0.05


def _marked(function: Callable[[], asyncio.Future[None]]) -> Callable[[], Any]:
    mark = getattr(inspect, "markcoroutinefunction", None)  # 3.12
    if mark is not None:
        return mark(function)

    async def awaits() -> None:
        await function()

    return awaits


class BrokenHandler(logging.Handler):
    def emit(self, record: logging.LogRecord) -> None:
        raise OSError("log pipe gone")


def test_a_log_handler_that_raises_does_not_reach_the_operation() -> None:
    logger, handler = logging.getLogger("profkit"), BrokenHandler()
    logger.addHandler(handler)
    profiler = PerformanceProfiler(
        Settings(on_profile=lambda _: time.sleep(0.05), threshold=0.0, queue_size=1)
    )
    work = profiler.profile(lambda: 42)
    try:
        assert [work() for _ in range(5)] == [42] * 5
    finally:
        profiler.shutdown()
        logger.removeHandler(handler)
    assert profiler.stats()["faults"]


def test_a_callback_that_is_itself_an_operation_does_not_feed_itself() -> None:
    seen: list[Profile] = []
    profiler = PerformanceProfiler(Settings(threshold=0.01, on_profile=lambda profile: callback(profile)))  # noqa: PLW0108 - not defined yet

    @profiler.profile
    def callback(profile: Profile) -> None:
        time.sleep(0.03)
        seen.append(profile)

    with profiler.operation("work"):
        time.sleep(0.02)
    assert profiler.flush(5)
    time.sleep(0.1)
    assert profiler.flush(5)
    assert [profile.operation for profile in seen] == ["work"]
    profiler.shutdown()


@pytest.mark.parametrize("error", [SystemExit, KeyboardInterrupt, RecursionError])
def test_whatever_a_callback_raises_the_next_profile_is_kept(error: type[BaseException]) -> None:
    seen: list[str] = []

    def callback(profile: Profile) -> None:
        seen.append(profile.operation)
        raise error

    profiler = PerformanceProfiler(Settings(threshold=0.0, on_profile=callback))
    for name in ("first", "second"):
        with profiler.operation(name):
            pass
    assert profiler.flush(5)
    assert seen == ["first", "second"]
    assert profiler.faults.counts() == {"on_profile_error": 2}
    profiler.shutdown()


def test_an_operation_goes_on_being_watched_through_configure(tmp_path: Path) -> None:
    settings = Settings(storage=str(tmp_path), threshold=0.1, interval=0.005, max_overhead=1.0)
    profiler = PerformanceProfiler(settings)
    with profiler.operation("work"):
        time.sleep(0.05)
        profiler.configure(settings)
        time.sleep(0.25)
    profiler.shutdown()
    storage = open_storage(tmp_path)
    (profile,) = [storage.load(entry.id) for entry in storage.scan()]
    assert profile.sampling.unobserved < 0.05


def test_shutdown_does_not_wait_for_a_tick() -> None:
    profiler = PerformanceProfiler(Settings(on_profile=print, interval=1.0))
    with profiler.operation("work"):
        started = time.monotonic()
        assert profiler.shutdown()
    assert time.monotonic() - started < 0.5
    assert "profkit-sampler" not in {thread.name for thread in threading.enumerate()}


def test_a_thread_that_cannot_be_had_is_asked_for_again(
    captured: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr("profkit.sampling.sampler._TRY_AGAIN", 0.3)
    profiler = captured.profiler
    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        for _ in range(20):
            with profiler.operation("unseen"):
                pass
        assert profiler.faults.counts() == {"sampler_not_started": 1}, "not asked for at every operation"
        until = time.monotonic() + 1.0
        while time.monotonic() < until:
            with profiler.operation("unseen"):
                pass
        assert len(profiler.rollups.tally("unseen", "", None).durations) < 500_000 / 2, "counted now and then"
    time.sleep(0.3)
    profiler.faults.reset()
    with profiler.operation("seen"):
        time.sleep(0.1)
    assert captured.one().samples


def exits_at_once(folder: str) -> None:
    profiler = PerformanceProfiler(Settings(storage=folder, threshold=0.0))
    with profiler.operation("last"):
        pass


@pytest.mark.parametrize("method", ["fork", "forkserver", "spawn"])
@pytest.mark.filterwarnings("ignore:This process.*is multi-threaded:DeprecationWarning")
def test_a_child_of_multiprocessing_stores_its_last_profile(tmp_path: Path, method: str) -> None:
    child = multiprocessing.get_context(method).Process(target=exits_at_once, args=(str(tmp_path),))
    child.start()
    child.join(30)
    assert child.exitcode == 0
    assert [entry.operation for entry in open_storage(tmp_path).scan()] == ["last"]


def test_a_forked_child_of_multiprocessing_stores_with_its_parents_profiler(tmp_path: Path) -> None:
    profiler = PerformanceProfiler(Settings(storage=str(tmp_path), threshold=0.0))

    def work() -> None:
        with profiler.operation("in the child"):
            pass

    child = multiprocessing.get_context("fork").Process(target=work)
    child.start()
    child.join(30)
    profiler.shutdown()
    assert [entry.operation for entry in open_storage(tmp_path).scan()] == ["in the child"]


def test_the_table_of_functions_is_let_go_when_nothing_is_in_flight(
    make_captured: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sampler_module, "_MANY_CODES", 3)
    captured = make_captured(interval=0.001)
    with captured.profiler.operation("work"):
        json_like = functools.partial(sorted, key=lambda one: one)
        for _ in range(30):
            json_like(range(1000))
            time.sleep(0.002)
    assert captured.one().samples
    deadline = time.monotonic() + 10
    while captured.profiler.sampler.codes.entries and time.monotonic() < deadline:
        time.sleep(0.01)
    assert len(captured.profiler.sampler.codes.entries) == 0


def test_names_and_tags_made_at_run_time_break_nothing(captured: Any) -> None:
    for name in ("", None, 123, "a\x1b[2J" + "b" * 500):
        with captured.profiler.operation(name, threshold=0.0, name="a tag", self="another") as operation:
            operation.tag(self=1, key=2)
    assert [profile.operation for profile in captured.all()] == [
        "unnamed",
        "None",
        "123",
        "a?[2J" + "b" * 195,
    ]
    assert captured.profiles[0].tags == {"name": "a tag", "self": 1, "key": 2}


def test_what_would_be_measured_wrongly_is_refused(captured: Any) -> None:
    @contextlib.contextmanager
    def context() -> Iterator[None]:
        yield

    with pytest.raises(ConfigurationError, match="cannot watch"):
        captured.profiler.profile(context)
    with pytest.raises(ConfigurationError, match="threshold='1'"):
        captured.profiler.operation("x", threshold="1")
