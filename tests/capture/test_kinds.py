"""Every kind of callable that can be decorated runs, fails, is interrupted and is cancelled as without."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import inspect
import signal
import sys
import time
import types
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import pytest

from profkit.operations import current
from profkit_storage import Profile, Status

Act = Callable[[], Any]
Decorate = Callable[[Any], Any]
Kind = Callable[[Decorate, Act], Callable[[], Any]]

KINDS: dict[str, tuple[Kind, str, str]] = {}
"""By name: what decorates by the first argument something that calls the second, and returns what runs it; the
operation's name and the function that its stacks start at."""


def kind(operation: str, root: str = "work") -> Callable[[Kind], Kind]:
    def add(make: Kind) -> Kind:
        KINDS[make.__name__] = (make, operation, root)
        return make

    return add


def drive(coroutine: Any) -> Any:
    """Run a coroutine to its end without a loop that would have an opinion of its own about exceptions."""
    try:
        while True:
            coroutine.send(None)
    except StopIteration as stop:
        return stop.value


@kind("function.work")
def function(profile: Decorate, act: Act) -> Callable[[], Any]:
    def work() -> Any:
        return act()

    return profile(work)


@kind("coroutine_function.work")
def coroutine_function(profile: Decorate, act: Act) -> Callable[[], Any]:
    async def work() -> Any:
        await asyncio.sleep(0)
        return act()

    work = profile(work)
    return lambda: drive(work())


@kind("generator_function.work")
def generator_function(profile: Decorate, act: Act) -> Callable[[], Any]:
    def work() -> Iterator[None]:
        yield
        act()
        yield

    work = profile(work)
    return lambda: list(work())


@kind("async_generator_function.work")
def async_generator_function(profile: Decorate, act: Act) -> Callable[[], Any]:
    async def work() -> AsyncIterator[None]:
        yield
        await asyncio.sleep(0)
        act()
        yield

    work = profile(work)

    async def consume() -> list[None]:
        return [item async for item in work()]

    return lambda: drive(consume())


@kind("partial.work")
def partial(profile: Decorate, act: Act) -> Callable[[], Any]:
    def work(one: int, two: int) -> Any:
        return act()

    return functools.partial(profile(functools.partial(work, 1)), two=2)


@kind("partial_coroutine_function.work")
def partial_coroutine_function(profile: Decorate, act: Act) -> Callable[[], Any]:
    async def work(one: int) -> Any:
        return act()

    work = profile(functools.partial(work, 1))
    return lambda: drive(work())


@kind("partial_generator_function.work")
def partial_generator_function(profile: Decorate, act: Act) -> Callable[[], Any]:
    def work(one: int) -> Iterator[Any]:
        yield act()

    work = profile(functools.partial(work, 1))
    return lambda: list(work())


@kind("instance.Worker", "__call__")
def instance(profile: Decorate, act: Act) -> Callable[[], Any]:
    class Worker:
        def __call__(self) -> Any:
            return act()

    return profile(Worker())


@kind("async_instance.Worker", "__call__")
def async_instance(profile: Decorate, act: Act) -> Callable[[], Any]:
    class Worker:
        async def __call__(self) -> Any:
            await asyncio.sleep(0)
            return act()

    work = profile(Worker())
    return lambda: drive(work())


@kind("partial_async_instance.Worker", "__call__")
def partial_async_instance(profile: Decorate, act: Act) -> Callable[[], Any]:
    class Worker:
        async def __call__(self, one: int) -> Any:
            return act()

    work = profile(functools.partial(Worker(), 1))
    return lambda: drive(work())


@kind("generator_instance.Worker", "__call__")
def generator_instance(profile: Decorate, act: Act) -> Callable[[], Any]:
    class Worker:
        def __call__(self) -> Iterator[Any]:
            yield act()

    work = profile(Worker())
    return lambda: list(work())


@kind("decorated_call.Worker.__call__", "__call__")
def decorated_call(profile: Decorate, act: Act) -> Callable[[], Any]:
    class Worker:
        @profile
        async def __call__(self) -> Any:
            return act()

    return lambda: drive(Worker()())


@kind("methods.Worker.work")
def methods(profile: Decorate, act: Act) -> Callable[[], Any]:
    class Worker:
        @profile
        def work(self) -> Any:
            return act()

    return Worker().work


@kind("bound_method.Worker.work")
def bound_method(profile: Decorate, act: Act) -> Callable[[], Any]:
    class Worker:
        def work(self) -> Any:
            return act()

    return profile(Worker().work)


@kind("static_above.Worker.work")
def static_above(profile: Decorate, act: Act) -> Callable[[], Any]:
    class Worker:
        @staticmethod
        @profile
        def work() -> Any:
            return act()

    return Worker().work


@kind("static_below.Worker.work")
def static_below(profile: Decorate, act: Act) -> Callable[[], Any]:
    class Worker:
        @profile
        @staticmethod
        async def work() -> Any:
            return act()

    return lambda: drive(Worker.work())


@kind("class_above.Worker.work")
def class_above(profile: Decorate, act: Act) -> Callable[[], Any]:
    class Worker:
        @classmethod
        @profile
        def work(cls) -> Any:
            assert cls is Worker
            return act()

    return Worker().work


@kind("class_below.Worker.work")
def class_below(profile: Decorate, act: Act) -> Callable[[], Any]:
    class Worker:
        @profile
        @classmethod
        def work(cls) -> Iterator[Any]:
            assert cls is Worker
            yield act()

    return lambda: list(Worker.work())


@kind("partial_method_above.Worker.work")
def partial_method_above(profile: Decorate, act: Act) -> Callable[[], Any]:
    class Worker:
        @profile
        def work(self, one: int) -> Any:
            return act()

        again = functools.partialmethod(work, 1)

    return Worker().again


@kind("partial_method_below.Worker.work")
def partial_method_below(profile: Decorate, act: Act) -> Callable[[], Any]:
    class Worker:
        async def work(self, one: int) -> Any:
            return act()

        again = profile(functools.partialmethod(work, one=1))

    return lambda: drive(Worker().again())


@kind("getter.Worker.work")
def getter(profile: Decorate, act: Act) -> Callable[[], Any]:
    class Worker:
        @property
        @profile
        def work(self) -> Any:
            return act()

    return lambda: Worker().work


@kind("cached_getter.Worker.work")
def cached_getter(profile: Decorate, act: Act) -> Callable[[], Any]:
    class Worker:
        @functools.cached_property
        @profile
        def work(self) -> Any:
            return act()

    return lambda: Worker().work


@kind("cached.work")
def cached(profile: Decorate, act: Act) -> Callable[[], Any]:
    @profile
    @functools.cache
    def work() -> Any:
        return act()

    return work


@kind("awaitable_generator.work")
def awaitable_generator(profile: Decorate, act: Act) -> Callable[[], Any]:
    @profile
    @types.coroutine
    def work() -> Iterator[None]:
        yield
        return act()

    async def wait() -> Any:
        return await work()

    return lambda: drive(wait())


@kind("wrapped_by_others.work", "again")
def wrapped_by_others(profile: Decorate, act: Act) -> Callable[[], Any]:
    def retried(function: Callable[..., Awaitable[Any]]) -> Callable[..., Awaitable[Any]]:
        @functools.wraps(function)
        async def again(*args: Any) -> Any:
            return await function(*args)

        return again

    @retried
    @profile
    @retried
    async def work() -> Any:
        return act()

    return lambda: drive(work())


@kind("context_manager.work")
def context_manager(profile: Decorate, act: Act) -> Callable[[], Any]:
    @contextlib.contextmanager
    @profile
    def work() -> Iterator[Any]:
        yield act()

    def enter() -> Any:
        with work() as result:
            return result

    return enter


if sys.version_info >= (3, 12):

    @kind("marked.work", "waits")
    def marked(profile: Decorate, act: Act) -> Callable[[], Any]:
        async def waits() -> Any:
            return act()

        def work() -> Awaitable[Any]:
            return waits()

        inspect.markcoroutinefunction(work)
        work = profile(work)
        assert inspect.iscoroutinefunction(work)
        return lambda: drive(work())


each_kind = pytest.mark.parametrize("name", KINDS)


@each_kind
def test_every_kind_runs_and_returns(captured: Any, name: str) -> None:
    make, _, _ = KINDS[name]
    results = []
    for decorate in (lambda function: function, captured.profiler.profile):
        run = make(decorate, lambda: 42)
        results.append(run())
    assert results[0] == results[1]
    assert results[0] in (42, [42], [None, None])


@each_kind
def test_every_kind_has_its_name_and_its_stack(
    captured: Any, spin: Any, roots_of: Any, assert_conserved: Any, name: str
) -> None:
    make, operation, root = KINDS[name]
    sampler = captured.profiler.sampler

    def until_seen() -> None:
        spin(0.08)
        until = time.monotonic() + 5
        seen = sampler.ticks + 5
        while sampler.ticks < seen and time.monotonic() < until:  # the machine may be crowded
            spin(0.01)

    make(captured.profiler.profile, until_seen)()
    profile: Profile = captured.one()
    assert profile.operation == operation
    assert profile.status is Status.OK
    # A marked function has returned before the sampler looks; what it is seen in is what it returned.
    assert roots_of(profile) == {root}
    assert_conserved(profile)


class Stop(BaseException):
    """An exception that no framework knows."""


def interrupt() -> None:
    signal.raise_signal(signal.SIGINT)


@each_kind
@pytest.mark.parametrize("error", [ValueError, KeyboardInterrupt, SystemExit, asyncio.CancelledError, Stop])
def test_every_kind_fails_as_it_does_without(
    make_captured: Any, name: str, error: type[BaseException]
) -> None:
    captured = make_captured(threshold=0.0)
    make, _, _ = KINDS[name]
    raised, cause = error("inside"), KeyError()

    def fail() -> None:
        raise raised from cause

    run = make(captured.profiler.profile, fail)
    with pytest.raises(error) as caught:
        run()
    assert caught.value is raised
    assert (raised.args, raised.__context__, raised.__cause__) == (("inside",), None, cause)
    assert not hasattr(raised, "__notes__")
    assert not captured.profiler.registry
    assert current.get() is None
    cancelled = error is asyncio.CancelledError
    assert captured.one().status is (Status.CANCELLED if cancelled else Status.ERROR)


@each_kind
def test_every_kind_is_interrupted_as_it_is_without(make_captured: Any, name: str) -> None:
    captured = make_captured(threshold=0.0)
    make, _, _ = KINDS[name]
    run = make(captured.profiler.profile, interrupt)
    with pytest.raises(KeyboardInterrupt):
        run()
    assert not captured.profiler.registry
    assert current.get() is None
    assert captured.one().tags["error"] == "KeyboardInterrupt"


def test_cancellation_reaches_what_waits(make_captured: Any) -> None:
    captured = make_captured(threshold=0.0)
    profile = captured.profiler.profile
    seen: list[str] = []

    async def wait(name: str) -> None:
        try:
            await asyncio.sleep(10)
        except asyncio.CancelledError:
            seen.append(name)
            raise

    class Worker:
        async def __call__(self) -> None:
            await wait("instance")

    @profile
    async def coroutine() -> None:
        await wait("coroutine")

    @profile
    async def generator() -> AsyncIterator[None]:
        await wait("generator")
        yield

    @profile
    @types.coroutine
    def awaitable() -> Any:
        yield from wait("awaitable").__await__()

    async def cancel(waiting: Any) -> None:
        task = asyncio.ensure_future(waiting)
        await asyncio.sleep(0.01)
        assert len(captured.profiler.registry) == 1
        task.cancel("enough")
        with pytest.raises(asyncio.CancelledError, match="enough"):
            await task
        assert not captured.profiler.registry

    async def main() -> None:
        for waiting in (profile(Worker())(), coroutine(), anext(generator()), awaitable()):
            await cancel(waiting)

    asyncio.run(main())
    assert seen == ["instance", "coroutine", "generator", "awaitable"]
    assert {one.status for one in captured.all()} == {Status.CANCELLED}
