"""What an operation is told of: the tasks and threads it starts, and the work it hands to worker threads.

Half of these tests are about what the application must not notice of it.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import contextvars
import functools
import gc
import inspect
import operator
import subprocess
import sys
import textwrap
import threading
import time
import traceback
import weakref
from collections.abc import Callable, Coroutine, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextvars import ContextVar
from types import FrameType
from typing import Any, Self

import anyio
import anyio.to_thread
import pytest
import uvloop

from profkit import Operation, PerformanceProfiler, Settings, handover
from profkit.operations import current
from profkit.sampling.branches import Branch
from profkit.sampling.threads import WatchedThread, this

HAS_EAGER = sys.version_info >= (3, 12)
Run = Callable[[Callable[[], Coroutine[Any, Any, Any]]], Any]


@pytest.fixture
def profiler() -> Iterator[PerformanceProfiler]:
    profiler = PerformanceProfiler(Settings(on_profile=lambda _: None, threshold=60.0))
    handover.install()
    yield profiler
    handover.uninstall()
    profiler.shutdown()
    assert not profiler.registry
    assert threading.Thread.start is START
    assert ThreadPoolExecutor.submit is SUBMIT


START, SUBMIT = threading.Thread.start, ThreadPoolExecutor.submit


def own_factory(loop: asyncio.AbstractEventLoop, coro: Any, **kwargs: Any) -> asyncio.Task[Any]:
    return asyncio.Task(coro, loop=loop, **kwargs)


def runner(kind: str) -> Run:
    """Return what runs a coroutine on a loop of this kind."""

    def run(main: Callable[[], Coroutine[Any, Any, Any]]) -> Any:
        new_loop = uvloop.new_event_loop if kind == "uvloop" else asyncio.new_event_loop
        with asyncio.Runner(loop_factory=new_loop) as one:
            if kind == "eager":
                one.get_loop().set_task_factory(asyncio.eager_task_factory)  # type: ignore[attr-defined]
            elif kind == "own":
                one.get_loop().set_task_factory(own_factory)  # type: ignore[arg-type]
            return one.run(main())

    return run


KINDS = ["asyncio", "uvloop", "own", *(["eager"] if HAS_EAGER else [])]


@pytest.fixture(params=KINDS)
def run(request: pytest.FixtureRequest) -> Run:
    return runner(request.param)


def branches_of(operation: Operation) -> list[Branch]:
    return list(operation.branches or ())


def names(branches: list[Branch]) -> list[str]:
    return sorted(branch.name.rpartition(".")[2] for branch in branches)


async def work(seconds: float = 0.003) -> float:
    await asyncio.sleep(seconds)
    return seconds


async def at_once() -> str:
    return "at once"


# Tasks: what the operation is told


async def with_create_task() -> None:
    await asyncio.create_task(work())


async def with_ensure_future() -> None:
    await asyncio.ensure_future(work())


async def with_gather() -> None:
    await asyncio.gather(work(), work())


async def with_task_group() -> None:
    async with asyncio.TaskGroup() as group:
        group.create_task(work())
        group.create_task(work(), name="named")


async def with_wait() -> None:
    await asyncio.wait([asyncio.create_task(work()), asyncio.create_task(work())])


async def with_as_completed() -> None:
    for one in asyncio.as_completed([work(0.003), work(0.004)]):
        await one


async def with_wait_for() -> None:
    await asyncio.wait_for(asyncio.create_task(work()), 5)


async def with_context() -> None:
    await asyncio.create_task(work(), context=contextvars.copy_context())


async def with_anyio() -> None:
    async with anyio.create_task_group() as group:
        group.start_soon(work, 0.003)
        group.start_soon(work, 0.004, name="named")


async def in_a_callback() -> None:
    tasks: list[asyncio.Task[float]] = []
    loop = asyncio.get_running_loop()
    loop.call_soon(lambda: tasks.append(loop.create_task(work())))
    await asyncio.sleep(0)
    await tasks[0]


async def without_tasks() -> None:
    await work()


@pytest.mark.parametrize(
    ("start", "count"),
    [
        (with_create_task, 1), (with_ensure_future, 1), (with_gather, 2), (with_task_group, 2), (with_wait, 2),
        (with_as_completed, 2), (with_wait_for, 1), (with_context, 1), (with_anyio, 2), (in_a_callback, 1),
        (without_tasks, 0),
    ],
)  # fmt: skip
def test_every_way_of_starting_tasks(profiler: PerformanceProfiler, run: Run, start: Any, count: int) -> None:
    async def main() -> tuple[list[Branch], float, float]:
        before = time.perf_counter()
        async with profiler.operation("all") as operation:
            await start()
            await asyncio.sleep(0)  # done callbacks come a step later
            return branches_of(operation), before, time.perf_counter()

    branches, before, after = run(main)
    assert names(branches) == ["work"] * count
    for branch in branches:
        assert before < branch.started < branch.ended < after
        assert branch.ended - branch.started > 0.0015  # uvloop's clock goes by milliseconds
        assert branch.thread is this.thread
        assert branch.parent is None
        assert branch.root == 0


def test_ends_are_clocked_when_they_are(profiler: PerformanceProfiler, run: Run) -> None:
    ends: list[float] = []

    async def timed(seconds: float) -> None:
        await asyncio.sleep(seconds)
        ends.append(time.perf_counter())

    async def main() -> list[Branch]:
        async with profiler.operation("all") as operation:
            await asyncio.gather(timed(0.01), timed(0.05), timed(0.15))
            ends.append(time.perf_counter())
            return branches_of(operation)

    first, second, third = run(main)
    assert ends[0] <= first.ended <= second.ended < ends[2] <= third.ended < ends[3]
    assert ends[1] <= second.ended


def test_a_pending_branch_is_found_by_its_task(profiler: PerformanceProfiler, run: Run) -> None:
    async def main() -> None:
        async with profiler.operation("all") as operation:
            task = asyncio.create_task(work())
            await asyncio.sleep(0)
            (branch,) = branches_of(operation)
            assert branch.task is not None and branch.task() is task
            assert branch.ended == 0.0
            await task

    run(main)


def test_a_branch_knows_the_one_that_started_it(profiler: PerformanceProfiler, run: Run) -> None:
    async def leaf() -> None:
        await asyncio.sleep(0.001)

    async def inner() -> None:
        first = asyncio.create_task(leaf())  # in an eager task: before anybody has this one
        await asyncio.sleep(0)
        await asyncio.gather(first, leaf(), asyncio.to_thread(in_thread))

    def in_thread() -> None:
        asyncio.run(main_there())

    async def main_there() -> None:
        await asyncio.create_task(leaf())
        await in_a_callback()

    async def main() -> list[Branch]:
        async with profiler.operation("all") as operation:
            await asyncio.gather(inner(), work())
            return branches_of(operation)

    def name(branch: Branch | None) -> str:
        return branch.name.rpartition(".")[2] if branch else ""

    found = sorted((name(branch), name(branch.parent)) for branch in run(main))
    # The end of `asyncio.run` has tasks of its own.
    assert [one for one in found if "shutdown" not in one[0]] == [
        ("in_thread", "to_thread"), ("inner", ""), ("leaf", "inner"), ("leaf", "inner"), ("leaf", "main_there"),
        ("main_there", "in_thread"), ("to_thread", "inner"), ("work", ""), ("work", "in_thread"),
    ]  # fmt: skip


@pytest.mark.skipif(not HAS_EAGER, reason="eager tasks came with 3.12")
def test_an_eager_task_that_is_done_at_once_has_ended(profiler: PerformanceProfiler) -> None:
    async def spin() -> None:
        time.sleep(0.01)  # noqa: ASYNC251 - it blocks

    async def main() -> Branch:
        async with profiler.operation("all") as operation:
            task = asyncio.create_task(spin())
            assert task.done()
            (branch,) = branches_of(operation)
            assert branch.ended
            return branch

    branch = runner("eager")(main)
    assert branch.ended - branch.started > 0.009
    assert branch.task is not None and branch.task() is None  # and nobody complains that it is gone


def test_no_operation_no_branches_and_no_trace(profiler: PerformanceProfiler, run: Run) -> None:
    async def main() -> None:
        handover.watch_loop(asyncio.get_running_loop())
        task = asyncio.create_task(work())
        await task
        assert task.get_coro().__name__ == "work"
        assert task._callbacks is None if hasattr(task, "_callbacks") else True

    run(main)


def test_what_is_started_after_the_operation_belongs_to_the_one_around(profiler: PerformanceProfiler) -> None:
    async def later() -> list[int]:
        await asyncio.sleep(0.01)
        await asyncio.create_task(work())
        await asyncio.to_thread(time.sleep, 0.001)
        return []

    async def main() -> None:
        async with profiler.operation("outer") as outer:
            async with profiler.operation("inner") as inner:
                background = asyncio.create_task(later())
                of_inner = inner.branches
            await background
            assert names(branches_of(outer)) == ["later", "sleep", "work"]
            assert of_inner is not None
            assert names(of_inner) == ["later"]
            started_in_outer = outer.branches
        assert started_in_outer is not None
        count = len(started_in_outer)
        orphan = asyncio.create_task(later())
        await orphan
        assert len(started_in_outer) == count

    asyncio.run(main())


def test_what_goes_on_after_every_operation_is_nobodys(profiler: PerformanceProfiler) -> None:
    async def later() -> None:
        await asyncio.sleep(0.01)
        task = asyncio.create_task(work())
        assert not task._callbacks  # type: ignore[attr-defined]  # nobody listens for its end
        await task
        await asyncio.to_thread(time.sleep, 0.001)

    async def main() -> tuple[list[Branch], asyncio.Task[None]]:
        async with profiler.operation("all") as operation:
            task = asyncio.create_task(later())
            await asyncio.sleep(0)
            assert operation.branches is not None
            branches = operation.branches
        await task
        return branches, task

    branches, _ = asyncio.run(main())
    assert names(branches) == ["later"]
    assert branches[0].ended


def test_names(profiler: PerformanceProfiler) -> None:
    class Awkward:
        """A coroutine by its methods alone."""

        def send(self, value: None) -> None:
            raise StopIteration(1)

        def throw(self, *error: Any) -> None:
            raise error[0]

        def close(self) -> None: ...

        def __await__(self) -> Iterator[Any]:
            yield from ()

        def __getattr__(self, name: str) -> Any:
            raise OSError(name)

    class Method:
        async def run(self) -> None: ...

        def __call__(self) -> None: ...

    async def main() -> list[str]:
        async with profiler.operation("all") as operation:
            loop = asyncio.get_running_loop()
            await loop.create_task(Awkward())  # type: ignore[arg-type]
            await loop.create_task(Method().run())
            context = contextvars.copy_context()
            with ThreadPoolExecutor(1) as pool:
                pool.submit(functools.partial(functools.partial(operator.add, 1), 2))
                pool.submit(context.run, functools.partial(Method(), *()))
                pool.submit(Method().__call__)
                pool.submit(functools.partial(context.run, sorted, ()))
            return [branch.name.replace("test_names.<locals>.", "") for branch in branches_of(operation)]

    found = asyncio.run(main())
    assert found == ["Awkward", "Method.run", "_operator.add", "Method", "Method.__call__", "sorted"]


# Tasks: what the application does not notice


def outcome(coroutine: Callable[[], Coroutine[Any, Any, Any]], kind: str, prepare: Callable[[], Any]) -> Any:
    """Return all that can be told of a run: result or error, and what the loop's exception handler heard."""
    heard: list[str] = []

    async def main() -> Any:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(
            lambda _, context: heard.append(f"{context['message']} {context.get('exception')!r}")
        )
        async with contextlib.AsyncExitStack() as stack:
            around = prepare()
            if around is not None:
                await stack.enter_async_context(around)
            try:
                result = await coroutine()
            except BaseException as error:  # noqa: BLE001 - compared
                result = type(error), str(error), [type(one) for one in getattr(error, "exceptions", ())]
        gc.collect()  # abandoned tasks are heard of
        await asyncio.sleep(0.001)
        return result

    return runner(kind)(main), heard


var: ContextVar[str] = ContextVar("var", default="default")


async def results() -> Any:
    return await asyncio.gather(work(0.002), work(0.001), at_once())


async def an_error() -> Any:
    async def fails() -> None:
        raise LookupError("mine")

    await asyncio.gather(work(), fails())


async def errors_as_results() -> Any:
    async def fails() -> None:
        await asyncio.sleep(0)
        raise LookupError("mine")

    return [repr(one) for one in await asyncio.gather(work(), fails(), return_exceptions=True)]


async def error_in_a_group() -> Any:
    async def fails() -> None:
        await asyncio.sleep(0.001)
        raise LookupError("mine")

    async with asyncio.TaskGroup() as group:
        group.create_task(fails())
        group.create_task(work(5))


async def never_retrieved() -> Any:
    async def fails() -> None:
        raise LookupError("forgotten")

    task = asyncio.create_task(fails())
    await asyncio.sleep(0.001)
    return task.done()


async def abandoned() -> Any:
    async def waits_for_nobody() -> None:
        await asyncio.get_running_loop().create_future()

    task = asyncio.create_task(waits_for_nobody())
    await asyncio.sleep(0.001)
    return task.done()


async def cancelled() -> Any:
    task = asyncio.create_task(work(5))
    await asyncio.sleep(0.001)
    task.cancel("enough")
    try:
        await task
    except asyncio.CancelledError as error:
        return error.args, task.cancelled()


async def cancelled_before_its_first_step() -> Any:
    task = asyncio.create_task(work(0.001))
    task.cancel()
    return [type(one).__name__ for one in await asyncio.gather(task, return_exceptions=True)]


async def timed_out() -> Any:
    await asyncio.wait_for(work(5), 0.001)


async def first_completed() -> Any:
    tasks = [asyncio.create_task(work(one)) for one in (0.001, 0.5)]
    done, pending = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
    for task in pending:
        task.cancel()
    return len(done), len(pending)


async def contexts() -> Any:
    async def child() -> str:
        seen = var.get()
        var.set("child")
        await asyncio.sleep(0)
        return seen + " " + var.get()

    var.set("parent")
    own = contextvars.copy_context()
    own.run(var.set, "own")
    tasks = [asyncio.create_task(child()), asyncio.create_task(child(), context=own)]
    seen = await asyncio.gather(*tasks)
    return seen, var.get(), own[var]


async def task_names() -> Any:
    async def name() -> str:
        task = asyncio.current_task()
        assert task is not None
        return task.get_name()

    loop = asyncio.get_running_loop()
    made = loop.create_task(name(), name="mine"), asyncio.create_task(name(), name="yours")
    return [task.get_name() for task in made], [type(task) for task in made]


async def order_of_steps() -> Any:
    seen: list[str] = []

    async def step(name: str) -> None:
        for index in range(3):
            seen.append(f"{name}{index}")
            await asyncio.sleep(0)

    first, second = asyncio.create_task(step("a")), asyncio.create_task(step("b"))
    first.add_done_callback(lambda _: seen.append("a done"))
    second.add_done_callback(lambda _: seen.append("b done"))
    await asyncio.gather(first, second)
    return seen


async def no_coroutine() -> Any:
    asyncio.get_running_loop().create_task(42)  # type: ignore[arg-type]


async def unknown_keyword() -> Any:
    coroutine = at_once()
    try:
        asyncio.get_running_loop().create_task(coroutine, colour="red")  # type: ignore[call-arg]
    finally:
        coroutine.close()


async def all_tasks() -> Any:
    tasks = [asyncio.create_task(work()) for _ in range(3)]
    await asyncio.sleep(0)
    count = len(asyncio.all_tasks())
    await asyncio.gather(*tasks)
    return count, len(asyncio.all_tasks())


async def in_threads() -> Any:
    def named(name: str, *, end: str) -> str:
        var.set(name)
        return name + end

    var.set("task")
    loop = asyncio.get_running_loop()
    return [
        await asyncio.to_thread(named, "to_thread", end="!"),
        await asyncio.to_thread(var.get),
        await loop.run_in_executor(None, var.get),
        await anyio.to_thread.run_sync(var.get),
        var.get(),
    ]


async def errors_in_threads() -> Any:
    def fails() -> None:
        raise LookupError("there")

    loop = asyncio.get_running_loop()
    starts = (
        lambda: asyncio.to_thread(fails),
        lambda: loop.run_in_executor(None, fails),
        lambda: anyio.to_thread.run_sync(fails),
        lambda: loop.run_in_executor(None, None),  # type: ignore[arg-type]
    )
    seen: list[str] = []
    for start in starts:
        try:
            await start()
        except (LookupError, TypeError) as error:
            frames = traceback.extract_tb(error.__traceback__)
            seen.append(f"{error!r} {[frame.name for frame in frames if frame.filename == __file__][1:]}")
    return seen


SCENARIOS = [
    results, an_error, errors_as_results, error_in_a_group, never_retrieved, abandoned, cancelled,
    cancelled_before_its_first_step, timed_out, first_completed, contexts, task_names, order_of_steps, no_coroutine,
    unknown_keyword, all_tasks, in_threads, errors_in_threads, *[
        with_create_task, with_gather, with_task_group, with_wait, with_as_completed, with_wait_for, with_anyio,
    ],
]  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("scenario", SCENARIOS)
def test_the_same_happens_as_without_us(profiler: PerformanceProfiler, scenario: Any, kind: str) -> None:
    watched = outcome(scenario, kind, lambda: profiler.operation("all"))
    idle = outcome(scenario, kind, lambda: handover.watch_loop(asyncio.get_running_loop()))
    handover.uninstall()
    bare = outcome(scenario, kind, lambda: None)
    assert watched == bare
    assert idle == bare


@pytest.mark.parametrize("kind", KINDS)
def test_in_debug_mode_a_task_says_where_it_was_made(profiler: PerformanceProfiler, kind: str) -> None:
    async def main() -> list[str]:
        asyncio.get_running_loop().set_debug(True)
        operation = contextlib.nullcontext() if bare else profiler.operation("all")
        async with operation:
            task = asyncio.create_task(at_once())
            await task
        return [frame.name for frame in task._source_traceback]  # type: ignore[attr-defined]

    bare = False
    watched = runner(kind)(main)
    bare = True
    frames = runner(kind)(main)
    if kind in {"asyncio", "uvloop"}:
        assert watched == frames
    else:  # beside the factory that was there, ours may be seen
        assert set(frames) <= set(watched)


def test_errors_of_a_factory_pass(profiler: PerformanceProfiler) -> None:
    def refuses(loop: asyncio.AbstractEventLoop, coro: Any, **_: Any) -> Any:
        coro.close()
        raise PermissionError("no more tasks")

    async def main() -> None:
        asyncio.get_running_loop().set_task_factory(refuses)
        async with profiler.operation("all") as operation:
            with pytest.raises(PermissionError, match="no more tasks"):
                await asyncio.create_task(at_once())
            assert not operation.branches
        asyncio.get_running_loop().set_task_factory(None)

    asyncio.run(main())


def test_what_a_factory_returns_is_returned(profiler: PerformanceProfiler) -> None:
    class NoTask:
        __slots__ = ()

        def set_name(self, name: object) -> None: ...

    only = NoTask()

    def makes(loop: asyncio.AbstractEventLoop, coro: Any, **_: Any) -> Any:
        coro.close()
        return only

    async def main() -> None:
        asyncio.get_running_loop().set_task_factory(makes)
        async with profiler.operation("all") as operation:
            assert asyncio.get_running_loop().create_task(at_once()) is only  # type: ignore[comparison-overlap]
            assert not operation.branches
        asyncio.get_running_loop().set_task_factory(None)

    asyncio.run(main())


def test_a_loop_without_factories_is_left_alone(profiler: PerformanceProfiler) -> None:
    class Bare(asyncio.AbstractEventLoop):
        pass

    handover.watch_loop(Bare())
    assert not handover.watched(Bare())
    handover.unwatch_loop(Bare())


def test_watching_twice_is_watching_once(profiler: PerformanceProfiler, run: Run) -> None:
    async def main() -> int:
        loop = asyncio.get_running_loop()
        handover.watch_loop(loop)
        factory = loop.get_task_factory()
        handover.watch_loop(loop)
        assert loop.get_task_factory() == factory
        async with profiler.operation("all") as operation:
            await with_gather()
            return len(branches_of(operation))

    assert run(main) == 2


def test_a_factory_set_over_ours(profiler: PerformanceProfiler, run: Run) -> None:
    seen: list[str] = []

    async def wrapped(coro: Coroutine[Any, Any, Any]) -> Any:
        return await coro

    async def main() -> None:
        loop = asyncio.get_running_loop()
        async with profiler.operation("first"):
            ours: Any = loop.get_task_factory()

        def theirs(loop: asyncio.AbstractEventLoop, coro: Any, **kwargs: Any) -> Any:
            seen.append("theirs")
            return ours(loop, wrapped(coro), **kwargs)

        loop.set_task_factory(theirs)
        assert not handover.watched(loop)
        async with profiler.operation("before") as operation:  # their factory still calls ours
            await asyncio.create_task(work())
            assert names(branches_of(operation)) == ["wrapped"]
        handover.watch_loop(loop)
        assert handover.watched(loop)
        async with profiler.operation("after") as operation:
            await with_gather()
            assert names(branches_of(operation)) == ["work", "work"]
            assert seen == ["theirs"] * 3
        loop.set_task_factory(ours)  # they take theirs away again
        assert handover.watched(loop)
        async with profiler.operation("at last") as operation:
            await with_gather()
            assert names(branches_of(operation)) == ["work", "work"]

    run(main)


def test_unwatching_gives_the_factory_back(profiler: PerformanceProfiler, run: Run) -> None:
    async def main() -> None:
        loop = asyncio.get_running_loop()
        before = loop.get_task_factory()
        handover.watch_loop(loop)
        ours: Any = loop.get_task_factory()
        handover.unwatch_loop(loop)
        assert loop.get_task_factory() is before
        assert not handover.watched(loop)
        handover.watch_loop(loop)
        ours = loop.get_task_factory()
        async with profiler.operation("unwatched") as operation:
            loop.set_task_factory(functools.partial(ours))
            handover.unwatch_loop(loop)  # under another it stays
            await with_gather()
            assert not operation.branches
            handover.watch_loop(loop)
            await with_gather()
            assert len(branches_of(operation)) == 2

    run(main)


def test_a_factory_lent_to_another_loop(profiler: PerformanceProfiler) -> None:
    heard: list[dict[str, Any]] = []
    lent: list[Any] = []

    async def lends() -> None:
        async with profiler.operation("here") as operation:
            lent.append(asyncio.get_running_loop().get_task_factory())
            # While a done callback of this loop runs: the other's must not want the same context.
            callback = operation_context(lent[0])
            thread = threading.Thread(target=callback.run, args=(in_another_thread,))
            thread.start()
            thread.join()
            assert names(branches_of(operation)) == ["run"]

    def operation_context(factory: Any) -> contextvars.Context:
        context = factory.__self__.watch.context
        assert isinstance(context, contextvars.Context)
        return context

    def in_another_thread() -> None:
        asyncio.run(borrows())

    async def borrows() -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: heard.append(context))
        loop.set_task_factory(lent[0])
        async with profiler.operation("there") as operation:
            await with_gather()
            await asyncio.sleep(0)
            assert [bool(branch.ended) for branch in branches_of(operation)] == [True, True]

    asyncio.run(lends())
    assert not heard


@pytest.mark.skipif(not HAS_EAGER, reason="eager tasks came with 3.12")
def test_anyio_knows_an_eager_factory_behind_ours(profiler: PerformanceProfiler) -> None:
    async def scoped() -> str:
        with anyio.fail_after(1):  # needs the state that anyio gives its tasks after they are made
            await anyio.sleep(0.001)
        return "in time"

    async def main() -> None:
        async with profiler.operation("all") as operation:
            async with anyio.create_task_group() as group:
                group.start_soon(scoped)
                group.start_soon(scoped)
            await asyncio.sleep(0)
            assert names(branches_of(operation)) == ["scoped", "scoped"]
            assert all(branch.ended for branch in branches_of(operation))
        async with anyio.create_task_group() as group:  # and without an operation
            group.start_soon(scoped)

    runner("eager")(main)


def test_a_factory_keeps_its_attributes(profiler: PerformanceProfiler) -> None:
    class Counting:
        def __init__(self) -> None:
            self.made = 0

        def __call__(self, loop: asyncio.AbstractEventLoop, coro: Any, **kwargs: Any) -> asyncio.Task[Any]:
            self.made += 1
            return asyncio.Task(coro, loop=loop, **kwargs)

    async def main() -> None:
        loop = asyncio.get_running_loop()
        loop.set_task_factory(Counting())  # type: ignore[arg-type]
        async with profiler.operation("all"):
            await with_gather()
        factory: Any = loop.get_task_factory()
        assert factory.made == 2
        assert not hasattr(factory, "broken")

    asyncio.run(main())


# Work handed to threads: what the operation is told


class Seen:
    """What a piece of work sees of itself."""

    thread: WatchedThread
    branch: Branch | None
    operation: Operation | None
    parent: Operation | None
    above: str

    def __call__(self) -> None:
        self.thread = this.thread
        self.branch = self.thread.branch
        self.operation = current.get()
        frame: FrameType | None = inspect.currentframe()
        while frame is not None and (self.branch is None or id(frame) != self.branch.root):
            frame = frame.f_back
        self.above = frame.f_globals["__name__"] if frame else ""
        self.ended = self.branch.ended if self.branch else None
        time.sleep(0.002)


Hand = Callable[[Callable[[], Any]], Coroutine[Any, Any, Any]]


async def to_thread(function: Callable[[], Any]) -> None:
    await asyncio.to_thread(function)


async def run_in_executor(function: Callable[[], Any]) -> None:
    await asyncio.get_running_loop().run_in_executor(None, function)


async def submit(function: Callable[[], Any]) -> None:
    with ThreadPoolExecutor(1) as pool:
        pool.submit(function).result()


async def pool_map(function: Callable[[], Any]) -> None:
    with ThreadPoolExecutor(1) as pool:
        assert list(pool.map(lambda _: function(), [0])) == [None]


async def pool_of_a_subclass(function: Callable[[], Any]) -> None:
    class Pool(ThreadPoolExecutor):
        def submit(self, fn: Any, /, *args: Any, **kwargs: Any) -> Future[Any]:
            assert fn is function
            return super().submit(fn, *args, **kwargs)

    with Pool(1) as pool:
        pool.submit(function).result()


async def run_sync(function: Callable[[], Any]) -> None:
    await anyio.to_thread.run_sync(function)


async def thread(function: Callable[[], Any]) -> None:
    one = threading.Thread(target=function)
    one.start()
    one.join()


async def daemon(function: Callable[[], Any]) -> None:
    one = threading.Thread(target=functools.partial(function), daemon=True)
    one.start()
    one.join()


async def thread_of_a_subclass(function: Callable[[], Any]) -> None:
    class Own(threading.Thread):
        def run(self) -> None:
            assert "run" not in vars(self)
            function()

    one = Own()
    one.start()
    one.join()


async def thread_with_a_run_of_its_own(function: Callable[[], Any]) -> None:
    one = threading.Thread()
    one.run = function  # type: ignore[method-assign]
    one.start()
    one.join()
    assert vars(one)["run"] is function


async def timer(function: Callable[[], Any]) -> None:
    one = threading.Timer(0.001, function)
    one.start()
    one.join()


HANDS = [
    to_thread, run_in_executor, submit, pool_map, pool_of_a_subclass, run_sync, thread, daemon, thread_of_a_subclass,
    thread_with_a_run_of_its_own, timer,
]  # fmt: skip


@pytest.mark.parametrize("hand", HANDS)
def test_every_way_of_handing_work_over(profiler: PerformanceProfiler, hand: Hand) -> None:
    seen = Seen()

    async def main() -> tuple[list[Branch], Operation, float, float]:
        before = time.perf_counter()
        async with profiler.operation("all") as operation:
            await hand(seen)
            after = time.perf_counter()
            return branches_of(operation), operation, before, after

    (branch,), operation, before, after = asyncio.run(main())
    assert branch is seen.branch
    assert branch.thread is seen.thread is not this.thread
    assert seen.above == "profkit.handover.work"
    assert seen.operation is operation
    assert seen.ended == 0.0
    assert before < branch.started < branch.ended
    assert branch.ended - branch.started > 0.0019
    assert branch.ended < after or hand in {thread_of_a_subclass, thread}  # joined, or nearly


@pytest.mark.parametrize("hand", HANDS)
def test_without_an_operation_nothing_is_handed_over(profiler: PerformanceProfiler, hand: Hand) -> None:
    seen = Seen()
    asyncio.run(hand(seen))
    assert seen.branch is None
    assert seen.operation is None


@pytest.mark.parametrize("hand", HANDS)
def test_decorated_work_is_a_child(profiler: PerformanceProfiler, hand: Hand) -> None:
    @profiler.profile
    def decorated() -> None:
        time.sleep(0.001)

    async def main() -> list[str]:
        async with profiler.operation("all") as operation:
            await hand(decorated)
            return [child.tally.name for child in operation.children or ()]

    (name,) = asyncio.run(main())
    assert name.endswith("decorated")


def test_time_in_the_queue_is_the_branchs(profiler: PerformanceProfiler) -> None:
    with ThreadPoolExecutor(1) as pool, profiler.operation("all") as operation:
        blocker = pool.submit(time.sleep, 0.05)
        queued = pool.submit(time.sleep, 0.001)
        first, second = branches_of(operation)
        assert second.thread is None and second.root == 0
        assert not second.ended
        blocker.result()
        queued.result()
        assert second.started < first.ended < second.ended
        assert first.thread is second.thread
        assert first.root != 0 != second.root


def test_a_worker_is_its_own_again_after_the_work(profiler: PerformanceProfiler) -> None:
    seen, after = Seen(), Seen()
    with ThreadPoolExecutor(1) as pool:
        with profiler.operation("all"):
            pool.submit(seen).result()
        pool.submit(after).result()
        assert seen.thread is after.thread
    assert after.branch is None
    assert after.operation is None


def test_work_that_fails_leaves_the_worker_as_it_was(profiler: PerformanceProfiler) -> None:
    after = Seen()
    with ThreadPoolExecutor(1) as pool:
        with profiler.operation("all") as operation:
            failed = pool.submit(divmod, 1, 0)
            assert isinstance(failed.exception(), ZeroDivisionError)
            (branch,) = branches_of(operation)
            assert branch.ended
        pool.submit(after).result()
    assert after.branch is None
    assert after.operation is None


def test_work_within_work(profiler: PerformanceProfiler) -> None:
    def outer() -> None:
        mine = this.thread.branch
        with ThreadPoolExecutor(1) as pool:
            pool.submit(inner).result()
        assert this.thread.branch is mine

    def inner() -> None:
        pass

    with profiler.operation("all") as operation:
        with ThreadPoolExecutor(1) as pool:
            pool.submit(outer).result()
        first, second = branches_of(operation)
    assert first.parent is None
    assert second.parent is first


def test_work_that_runs_when_its_operation_has_ended_is_nobodys(profiler: PerformanceProfiler) -> None:
    seen = Seen()
    with ThreadPoolExecutor(1) as pool:
        blocker = pool.submit(time.sleep, 0.05)
        with profiler.operation("all"):
            late = pool.submit(seen)
        blocker.result()
        late.result()
    assert seen.branch is None
    assert seen.operation is None


def test_an_operation_that_has_ended_hands_nothing_over(profiler: PerformanceProfiler) -> None:
    with profiler.operation("all") as operation:
        pass
    token = current.set(operation)
    with ThreadPoolExecutor(1) as pool:
        pool.submit(time.sleep, 0.05)
        pool.submit(len, ())
        item: Any = pool._work_queue.get_nowait()
        pool._work_queue.put(item)
    current.reset(token)
    assert item.fn in {len, time.sleep}


def test_work_that_is_cancelled_before_it_runs_has_ended(profiler: PerformanceProfiler) -> None:
    with ThreadPoolExecutor(1) as pool, profiler.operation("all") as operation:
        pool.submit(time.sleep, 0.05)
        queued = pool.submit(time.sleep, 0.001)
        first, branch = branches_of(operation)
        assert queued.cancel()
        assert branch.ended
        assert not first.ended


def test_work_that_a_pool_drops_at_its_shutdown_has_ended(profiler: PerformanceProfiler) -> None:
    with profiler.operation("all") as operation:
        pool = ThreadPoolExecutor(1)
        pool.submit(time.sleep, 0.02)
        dropped = [pool.submit(time.sleep, 0.001) for _ in range(3)]
        pool.shutdown(wait=False, cancel_futures=True)
        assert all(future.cancelled() for future in dropped)
        assert [bool(branch.ended) for branch in branches_of(operation)] == [False, True, True, True]
        pool.shutdown()


def test_work_of_a_pool_that_is_broken_has_ended(profiler: PerformanceProfiler, caplog: Any) -> None:
    def fails() -> None:
        time.sleep(0.01)
        raise OSError("no")

    with ThreadPoolExecutor(1, initializer=fails) as pool, profiler.operation("all") as operation:
        future = pool.submit(time.sleep, 0.001)
        with pytest.raises(concurrent.futures.BrokenExecutor):
            future.result()
        (branch,) = branches_of(operation)
        assert branch.ended


def test_a_task_cancelled_while_it_waits_for_a_worker(profiler: PerformanceProfiler) -> None:
    async def main() -> None:
        limiter = anyio.CapacityLimiter(1)
        run_one = functools.partial(anyio.to_thread.run_sync, limiter=limiter)
        async with profiler.operation("all") as operation:
            first = asyncio.create_task(run_one(time.sleep, 0.05))
            await asyncio.sleep(0.01)
            second = asyncio.create_task(run_one(time.sleep, 0.001))
            await asyncio.sleep(0.01)
            second.cancel()
            await asyncio.wait([second])
            works = [branch for branch in branches_of(operation) if branch.name == "time.sleep"]
            assert [bool(branch.ended) for branch in works] == [False, True]
            await first

    asyncio.run(main())


def test_abandoned_work_goes_on(profiler: PerformanceProfiler) -> None:
    async def main() -> None:
        goes_on = threading.Lock()
        goes_on.acquire()
        async with profiler.operation("all") as operation:
            with anyio.move_on_after(0.01):
                await anyio.to_thread.run_sync(goes_on.acquire, abandon_on_cancel=True)
            (branch,) = branches_of(operation)
            assert not branch.ended
            goes_on.release()
            async with asyncio.timeout(10):
                while not branch.ended:  # noqa: ASYNC110 - it has no event to wait for
                    await asyncio.sleep(0.001)
            assert branch.ended - branch.started > 0.0099

    asyncio.run(main())


# Threads that serve everybody


def test_workers_belong_to_nobody(profiler: PerformanceProfiler) -> None:
    seen: list[Operation | None] = []

    class Pool(ThreadPoolExecutor):
        """Starts workers of its own."""

        def _adjust_thread_count(self) -> None:
            if not self._threads:
                worker = threading.Thread(target=self.serve)
                worker.start()
                self._threads.add(worker)

        def serve(self) -> None:
            seen.append(current.get())
            while (item := self._work_queue.get()) is not None:
                item.run()

    async def main() -> None:
        async with profiler.operation("all") as operation:
            with Pool(1) as pool:
                pool.submit(time.sleep, 0.001).result()
            await asyncio.to_thread(time.sleep, 0.001)
            await anyio.to_thread.run_sync(time.sleep, 0.001)
            assert names(branches_of(operation)) == ["sleep", "sleep", "sleep"]
        after = Seen()
        await asyncio.to_thread(after)
        assert after.operation is None
        await anyio.to_thread.run_sync(after)
        assert after.operation is None

    asyncio.run(main())
    assert seen == [None]


def test_process_pools_are_left_alone(profiler: PerformanceProfiler) -> None:
    script = """
        import concurrent.futures, multiprocessing
        from profkit import PerformanceProfiler, Settings

        if __name__ == "__main__":
            profiler = PerformanceProfiler(Settings(on_profile=print, threshold=60.0))
            with profiler.operation("all") as operation:
                context = multiprocessing.get_context("spawn")
                with concurrent.futures.ProcessPoolExecutor(1, mp_context=context) as pool:
                    print(pool.submit(divmod, 7, 2).result(), list(pool.map(abs, [-1, -2])))
                with context.Pool(1) as pool:
                    print(pool.apply(divmod, (9, 2)))
                print([branch.name for branch in operation.branches or ()])
    """
    assert in_a_process(script) == ["(3, 1) [1, 2]", "(4, 1)", "[]"]


def test_our_own_threads_are_no_branches(profiler: PerformanceProfiler) -> None:
    with profiler.operation("all") as operation:
        before = threading.active_count()
        other = PerformanceProfiler(Settings(on_profile=lambda _: None))
        with other.operation("other"):
            time.sleep(0.02)
        other.flush(1)
        assert threading.active_count() > before
        assert not operation.branches
        other.shutdown()


# Threads: what the application does not notice


def test_a_thread_that_cannot_be_started(profiler: PerformanceProfiler) -> None:
    one = threading.Thread(target=time.sleep, args=(0.001,))
    before = threading.stack_size()
    with profiler.operation("all") as operation:
        threading.stack_size(2**46)  # more than a machine has addresses for
        try:
            with pytest.raises(RuntimeError, match="can't start new thread"):
                one.start()
        finally:
            threading.stack_size(before)
        assert not operation.branches
        assert "run" not in vars(one)


def test_a_thread_is_started_once(profiler: PerformanceProfiler) -> None:
    one = threading.Thread(target=time.sleep, args=(0.02,))
    with profiler.operation("all") as operation:
        one.start()
        with pytest.raises(RuntimeError, match="threads can only be started once"):
            one.start()
        one.join()
        with pytest.raises(RuntimeError, match="threads can only be started once"):
            one.start()
        assert len(branches_of(operation)) == 1
        assert "run" not in vars(one)


def test_a_thread_that_was_not_made(profiler: PerformanceProfiler) -> None:
    class Unmade(threading.Thread):
        def __init__(self) -> None:
            pass

    with profiler.operation("all"), pytest.raises(RuntimeError, match="not called"):
        Unmade().start()


def test_the_excepthook_hears_of_a_threads_error(
    profiler: PerformanceProfiler, monkeypatch: pytest.MonkeyPatch
) -> None:
    heard: list[Any] = []
    monkeypatch.setattr(threading, "excepthook", heard.append)

    def fails() -> None:
        raise LookupError("there")

    one = threading.Thread(target=fails)
    with profiler.operation("all"):
        one.start()
        one.join()
    (args,) = heard
    assert args.exc_type is LookupError
    assert args.thread is one
    assert traceback.extract_tb(args.exc_traceback)[-1].name == "fails"


def test_signatures_are_what_they_were(profiler: PerformanceProfiler) -> None:
    for hooked, bare in ((ThreadPoolExecutor.submit, SUBMIT), (threading.Thread.start, START)):
        assert hooked is not bare
        assert inspect.signature(hooked) == inspect.signature(bare)
        assert hooked.__doc__ == bare.__doc__
        assert hooked.__qualname__ == bare.__qualname__


def test_arguments_and_results_pass(profiler: PerformanceProfiler) -> None:
    def echo(*args: Any, **kwargs: Any) -> Any:
        return args, kwargs

    with ThreadPoolExecutor(2) as pool, profiler.operation("all"):
        assert pool.submit(echo, 1, self=2, fn=3, function=4).result() == (
            (1,),
            {"self": 2, "fn": 3, "function": 4},
        )
        assert list(pool.map(divmod, [7, 8], [2, 3])) == [(3, 1), (2, 2)]
        with pytest.raises(TypeError, match="submit"):
            pool.submit()  # type: ignore[call-arg]
    with profiler.operation("all"), pytest.raises(RuntimeError, match="after shutdown"):
        pool.submit(echo)


class Wrapper:
    """A descriptor in the place of a method, equal to what it wraps, as wrapt makes them."""

    def __init__(self, wrapped: Any, calls: list[str]) -> None:
        self.__wrapped__ = wrapped
        self.calls = calls

    def __eq__(self, other: object) -> bool:
        return bool(self.__wrapped__ == other)

    def __hash__(self) -> int:
        return hash(self.__wrapped__)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.__wrapped__, name)

    def __get__(self, instance: Any, owner: type) -> Any:
        bound = self.__wrapped__.__get__(instance, owner)

        def call(*args: Any, **kwargs: Any) -> Any:
            self.calls.append("called")
            return bound(*args, **kwargs)

        return call


def with_a_function(original: Any, calls: list[str]) -> Any:
    @functools.wraps(original)
    def wrapper(self: Any, *args: Any, **kwargs: Any) -> Any:
        calls.append("called")
        return original(self, *args, **kwargs)

    return wrapper


def with_a_silent_function(original: Any, calls: list[str]) -> Any:
    wrapper = with_a_function(original, calls)
    del wrapper.__wrapped__
    return wrapper


@pytest.fixture(params=[(ThreadPoolExecutor, "submit", submit), (threading.Thread, "start", thread)])
def hooked(request: pytest.FixtureRequest, profiler: PerformanceProfiler) -> Iterator[Any]:
    """A method that is hooked, and what hands work over by it."""
    yield request.param
    owner, name, _ = request.param
    handover.uninstall()
    setattr(owner, name, {"submit": SUBMIT, "start": START}[name])


@pytest.mark.parametrize("wrap", [with_a_function, with_a_silent_function, Wrapper])
def test_others_patched_before_us(profiler: PerformanceProfiler, hooked: Any, wrap: Any) -> None:
    owner, name, hand = hooked
    calls: list[str] = []
    handover.uninstall()
    theirs = wrap(vars(owner)[name], calls)
    setattr(owner, name, theirs)
    handover.install()
    assert vars(owner)[name] is not theirs
    assert count_branches(profiler, hand) == 1
    handover.uninstall()
    assert vars(owner)[name] is theirs
    assert calls


@pytest.mark.parametrize("wrap", [with_a_function, Wrapper])
def test_others_patched_after_us(profiler: PerformanceProfiler, hooked: Any, wrap: Any) -> None:
    owner, name, hand = hooked
    calls: list[str] = []
    theirs = wrap(vars(owner)[name], calls)
    setattr(owner, name, theirs)
    assert count_branches(profiler, hand) == 1
    handover.install()
    assert vars(owner)[name] is theirs  # ours is known to be under it
    handover.uninstall()
    assert vars(owner)[name] is theirs
    assert count_branches(profiler, hand) == 0
    handover.install()
    assert vars(owner)[name] is theirs
    assert count_branches(profiler, hand) == 1
    assert calls


def test_others_patched_after_us_and_do_not_say_so(profiler: PerformanceProfiler, hooked: Any) -> None:
    owner, name, hand = hooked
    setattr(owner, name, with_a_silent_function(vars(owner)[name], []))
    handover.install()  # once more, above theirs
    assert count_branches(profiler, hand) == 1
    handover.uninstall()


def test_others_who_wrap_the_run_of_a_thread(profiler: PerformanceProfiler) -> None:
    """As Sentry does: it takes the function of `run`, and calls that with the thread."""

    started: list[threading.Thread] = []

    def start(self: threading.Thread) -> None:
        started.append(self)
        run = getattr(self.run, "__func__", self.run)

        def wrapped(*_: Any) -> Any:
            return run(threading.current_thread())

        self.run = wrapped  # type: ignore[method-assign]
        START(self)

    handover.uninstall()
    threading.Thread.start = start  # type: ignore[method-assign]
    try:
        handover.install()
        assert count_branches(profiler, thread) == 1
        assert count_branches(profiler, timer) == 1
        assert all("run" in vars(one) for one in started)  # theirs, as without us
        handover.uninstall()
    finally:
        threading.Thread.start = START  # type: ignore[method-assign]


def count_branches(profiler: PerformanceProfiler, hand: Hand) -> int:
    async def main() -> int:
        async with profiler.operation("all") as operation:
            await hand(lambda: None)
            return len(branches_of(operation))

    return asyncio.run(main())


def test_installing_twice_is_installing_once(profiler: PerformanceProfiler) -> None:
    hooked = ThreadPoolExecutor.submit, threading.Thread.start
    handover.install()
    assert (ThreadPoolExecutor.submit, threading.Thread.start) == hooked
    handover.uninstall()
    handover.uninstall()
    assert (ThreadPoolExecutor.submit, threading.Thread.start) == (SUBMIT, START)


# What is kept alive: without a sampler, which holds what it looks at for the length of a look


class Flight:
    """As much of an operation in flight as is told."""

    ended = 0.0
    parent = None
    branches: list[Branch] | None = None

    def __enter__(self) -> Self:
        self._token = current.set(self)  # type: ignore[arg-type]
        return self

    def __exit__(self, *_: object) -> None:
        current.reset(self._token)
        assert self.branches
        self.ended = 1.0


def lifetimes(flight: Flight | None, make: Callable[[], Any], count: int) -> int:
    """Return how many of the things made are alive, without a garbage collection, when they are done."""
    gc.collect()
    gc.disable()
    try:
        alive: weakref.WeakSet[Any] = weakref.WeakSet()
        with flight or contextlib.nullcontext():
            for _ in range(count):
                alive.add(make())
        return len(alive)
    finally:
        gc.enable()


class Payload:
    pass


def a_thread() -> threading.Thread:
    one = threading.Thread(target=int)
    one.start()
    one.join()
    return one


def a_thread_of_a_subclass() -> threading.Thread:
    class Own(threading.Thread):
        def run(self) -> None: ...

    one = Own()
    one.start()
    one.join()
    return one


@pytest.mark.parametrize(("make", "count"), [(a_thread, 10_000), (a_thread_of_a_subclass, 200)])
def test_threads_are_freed_as_before(profiler: PerformanceProfiler, make: Any, count: int) -> None:
    handover.uninstall()
    before = lifetimes(None, make, count)
    handover.install()
    assert lifetimes(Flight(), make, count) <= before + 1


def test_work_is_freed_with_its_arguments_and_errors(profiler: PerformanceProfiler) -> None:
    def fails(payload: Payload) -> None:
        del payload
        raise LookupError

    with ThreadPoolExecutor(1) as pool:
        errors: list[BaseException | None] = []

        def make() -> Payload:
            payload = Payload()
            errors.append(pool.submit(fails, payload).exception())
            return payload

        handover.uninstall()
        before = lifetimes(None, make, 100)
        handover.install()
        assert lifetimes(Flight(), make, 100) <= before + 1
        assert len(errors) == 200


def test_an_error_that_is_kept_keeps_no_operation(profiler: PerformanceProfiler) -> None:
    def fails() -> None:
        raise LookupError

    with ThreadPoolExecutor(1) as pool:
        with profiler.operation("all") as operation:
            error = pool.submit(fails).exception()
        pool.submit(int).result()
        assert error is not None
        frame = error.__traceback__
        kept: list[Any] = []
        while frame is not None:
            kept += frame.tb_frame.f_locals.values()
            frame = frame.tb_next
        assert operation not in kept
        assert not any(type(one).__module__.startswith("profkit") for one in kept)


@pytest.mark.parametrize("kind", KINDS)
def test_tasks_are_freed_as_before(profiler: PerformanceProfiler, kind: str) -> None:
    def alive(flight: Flight | None) -> tuple[int, int]:
        async def main() -> tuple[int, int]:
            tasks: weakref.WeakSet[Any] = weakref.WeakSet()
            if flight:
                handover.watch_loop(asyncio.get_running_loop())
            with flight or contextlib.nullcontext():
                for _ in range(100):
                    made = [asyncio.create_task(at_once()) for _ in range(100)]
                    tasks.update(made)
                    await asyncio.gather(*made)
                    del made
                await asyncio.sleep(0)
                done = len(tasks)
                waiting = [asyncio.create_task(work(5)) for _ in range(100)]
                tasks.update(waiting)
                await asyncio.sleep(0)
                for task in waiting:
                    task.cancel()
                await asyncio.wait(waiting)
                del waiting, task
                await asyncio.sleep(0)
            return done, len(tasks)

        gc.collect()
        gc.disable()
        try:
            return runner(kind)(main)  # type: ignore[no-any-return]
        finally:
            gc.enable()

    assert alive(Flight()) == alive(None)


def test_a_task_keeps_no_value_of_the_context_it_was_made_in(profiler: PerformanceProfiler, run: Run) -> None:
    holder: ContextVar[Payload | None] = ContextVar("holder", default=None)

    async def lets_go(stop: asyncio.Event) -> None:
        holder.set(None)
        await stop.wait()

    async def main() -> bool:
        async with profiler.operation("all"):
            stop = asyncio.Event()
            payload = Payload()
            alive = weakref.ref(payload)
            holder.set(payload)
            task = asyncio.create_task(lets_go(stop))
            holder.set(None)
            del payload
            await asyncio.sleep(0.001)
            holder.get()  # a context variable remembers what it last looked up
            freed = alive() is None
            stop.set()
            await task
            return freed

    assert run(main)


# Processes


def in_a_process(script: str) -> list[str]:
    command = [sys.executable, "-W", "error", "-c", textwrap.dedent(script)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 0, done.stderr
    assert not done.stderr
    return done.stdout.splitlines()


def test_anyio_that_is_imported_later(profiler: PerformanceProfiler) -> None:
    script = """
        import asyncio, sys, time
        from profkit import PerformanceProfiler, Settings

        profiler = PerformanceProfiler(Settings(on_profile=print, threshold=60.0))

        async def bare():
            with profiler.operation("all"):
                await asyncio.sleep(0)

        asyncio.run(bare())
        print("anyio" in sys.modules)
        import anyio.to_thread

        async def main():
            async with profiler.operation("all") as operation:
                await anyio.to_thread.run_sync(time.sleep, 0.001)
                print([branch.name for branch in operation.branches])

        asyncio.run(main())
    """
    assert in_a_process(script) == ["False", "['time.sleep']"]


def test_anyio_that_is_imported_in_the_middle_of_a_loop(profiler: PerformanceProfiler) -> None:
    script = """
        import asyncio, time
        from profkit import PerformanceProfiler, Settings

        profiler = PerformanceProfiler(Settings(on_profile=print, threshold=60.0))

        async def main():
            async with profiler.operation("all") as operation:
                await asyncio.sleep(0)
                import anyio.to_thread

                await anyio.to_thread.run_sync(time.sleep, 0.001)  # starts the worker, which is seen
                await anyio.to_thread.run_sync(time.sleep, 0.001)
                print([branch.name for branch in operation.branches])

        asyncio.run(main())
    """
    assert in_a_process(script) == ["['time.sleep']"]


def test_anyio_on_trio(profiler: PerformanceProfiler) -> None:
    script = """
        import time
        import anyio, anyio.to_thread, anyio._backends._trio
        from profkit import PerformanceProfiler, Settings

        profiler = PerformanceProfiler(Settings(on_profile=print, threshold=60.0))

        async def main():
            async with profiler.operation("all") as operation:
                await anyio.to_thread.run_sync(time.sleep, 0.001)
                print([branch.name for branch in operation.branches])

        anyio.run(main, backend="trio")
    """
    assert in_a_process(script) == ["['time.sleep']"]


def test_a_pool_used_while_the_interpreter_shuts_down(profiler: PerformanceProfiler) -> None:
    script = """
        import atexit, threading
        from concurrent.futures import ThreadPoolExecutor
        from profkit import PerformanceProfiler, Settings

        profiler = PerformanceProfiler(Settings(on_profile=print, threshold=60.0))
        pool = ThreadPoolExecutor(1)

        def late():
            with profiler.operation("all") as operation:
                try:
                    pool.submit(print, "never")
                except RuntimeError as error:
                    print(str(error)[:33], operation.branches)

        with profiler.operation("all"):
            pool.submit(print, "work")
            atexit.register(late)
    """
    assert in_a_process(script) == ["work", "cannot schedule new futures after None"]


def test_a_daemon_thread_at_the_end_of_the_interpreter(profiler: PerformanceProfiler) -> None:
    script = """
        import threading, time
        from profkit import PerformanceProfiler, Settings

        profiler = PerformanceProfiler(Settings(on_profile=print, threshold=60.0))
        with profiler.operation("all"):
            threading.Thread(target=time.sleep, args=(60,), daemon=True).start()
        print("over")
    """
    assert in_a_process(script) == ["over"]


def test_a_forked_child_hands_over_too(profiler: PerformanceProfiler) -> None:
    script = """
        import asyncio, os, time, warnings
        from profkit import PerformanceProfiler, Settings

        warnings.simplefilter("ignore", DeprecationWarning)  # the sampler's thread makes the process one of several
        profiler = PerformanceProfiler(Settings(on_profile=print, threshold=60.0))

        async def main():
            async with profiler.operation("all") as operation:
                await asyncio.gather(asyncio.sleep(0.001), asyncio.to_thread(time.sleep, 0.001))
                print(sorted(branch.name for branch in operation.branches), flush=True)

        asyncio.run(main())
        child = os.fork()
        if not child:
            asyncio.run(main())
            os._exit(0)
        os.waitpid(child, 0)
    """
    assert in_a_process(script) == ["['sleep', 'time.sleep', 'to_thread']"] * 2
