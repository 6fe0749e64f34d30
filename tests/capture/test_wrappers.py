"""What decorating keeps of a function, what it refuses, and how the environment switches it off."""

from __future__ import annotations

import abc
import asyncio
import contextlib
import dataclasses
import functools
import inspect
import logging
import os
import pickle
import subprocess
import sys
import typing
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any
from unittest import mock

import orjson
import pytest

import profkit
from profkit import ConfigurationError, PerformanceProfiler, wrappers
from profkit_storage import Profile


def drive(coroutine: Any) -> Any:
    """Run a coroutine to its end without a loop that would have an opinion of its own about exceptions."""
    try:
        while True:
            coroutine.send(None)
    except StopIteration as stop:
        return stop.value


def plain(first: int, /, second: str = "b", *rest: float, key: bool, **others: bytes) -> dict[str, int]:
    """Do this."""
    raise NotImplementedError


async def coroutine(first: Profile, *, key: list[str] | None = None) -> Profile:
    """Do that."""
    raise NotImplementedError


def generator(first: int) -> Iterator[int]:
    """Give these."""
    yield first


async def async_generator(first: int) -> AsyncIterator[int]:
    """Give those."""
    yield first


def returns_an_awaitable(first: int) -> Awaitable[int]:
    """Begin."""
    raise NotImplementedError


PREDICATES = [
    inspect.isfunction, inspect.iscoroutinefunction, inspect.isgeneratorfunction, inspect.isasyncgenfunction,
    asyncio.iscoroutinefunction if sys.version_info < (3, 12) else inspect.iscoroutinefunction,
]  # fmt: skip


@pytest.mark.parametrize(
    "bare", [plain, coroutine, generator, async_generator, returns_an_awaitable, Profile.stack]
)
def test_introspection_finds_what_was_there(captured: Any, bare: Any) -> None:
    bare.favourite = "colour"
    decorated = captured.profiler.profile("name", category="db")(bare)
    assert inspect.signature(decorated) == inspect.signature(bare)
    assert inspect.signature(decorated, eval_str=True) == inspect.signature(bare, eval_str=True)
    assert typing.get_type_hints(decorated) == typing.get_type_hints(bare)
    assert inspect.unwrap(decorated) is bare
    for name in ("__name__", "__qualname__", "__module__", "__doc__", "__annotations__", "favourite"):
        assert getattr(decorated, name) == getattr(bare, name)
    assert decorated.__wrapped__ is bare
    assert [holds(decorated) for holds in PREDICATES] == [holds(bare) for holds in PREDICATES]
    assert inspect.getsource(decorated) == inspect.getsource(bare)
    if sys.version_info >= (3, 12):
        assert decorated.__type_params__ == bare.__type_params__


def test_introspection_of_what_has_no_name(captured: Any) -> None:
    profile = captured.profiler.profile

    class Handler:
        """Handles."""

        async def __call__(self, request: int) -> str:
            return str(request)

    handler = profile(Handler())
    assert handler.__name__ == "Handler"
    assert handler.__doc__ == "Handles."
    assert inspect.signature(handler) == inspect.signature(Handler())
    assert inspect.iscoroutinefunction(handler)
    partly = profile(functools.partial(plain, 1, key=True))
    assert partly.__name__ == "plain"
    assert inspect.signature(partly) == inspect.signature(functools.partial(plain, 1, key=True))
    assert profile(len).__name__ == "len"
    assert inspect.signature(profile(len)) == inspect.signature(len)


def test_builtins_are_operations(make_captured: Any) -> None:
    captured = make_captured(threshold=0.0)
    assert captured.profiler.profile(len)([1, 2]) == 2
    assert captured.profiler.profile("encode")(orjson.dumps)({"a": 1}) == b'{"a":1}'
    with pytest.raises(TypeError):
        captured.profiler.profile(len)(3)
    assert [one.operation for one in captured.all()] == ["len", "encode", "len"]


def test_a_cached_function_keeps_its_cache(captured: Any) -> None:
    calls: list[int] = []

    @captured.profiler.profile
    @functools.lru_cache(maxsize=3)
    def square(number: int) -> int:
        calls.append(number)
        return number * number

    assert [square(3), square(3), square(4)] == [9, 9, 16]
    assert calls == [3, 4]
    assert square.cache_info().hits == 1
    assert square.cache_parameters()["maxsize"] == 3
    square.cache_clear()
    assert square(3) == 9
    assert calls == [3, 4, 3]

    class Shelf:
        @captured.profiler.profile
        @functools.cache  # noqa: B019 - as users do
        def book(self, number: int) -> object:
            return object()

    shelf = Shelf()
    assert shelf.book(1) is shelf.book(1)
    assert shelf.book.cache_info().hits == 1


def test_of_a_function_that_returns_an_awaitable_the_call_is_measured(captured: Any) -> None:
    futures: list[asyncio.Future[int]] = []

    @captured.profiler.profile(threshold=0.0)
    def begin() -> asyncio.Future[int]:
        futures.append(asyncio.get_running_loop().create_future())
        return futures[0]

    async def main() -> int:
        waiting = begin()
        assert waiting is futures[0]
        asyncio.get_running_loop().call_later(0.1, waiting.set_result, 3)
        return await waiting

    assert asyncio.run(main()) == 3
    assert captured.one().wall < 0.05


if sys.version_info >= (3, 12):

    def test_a_marked_coroutine_function_is_measured_to_the_end_of_the_wait(captured: Any, spin: Any) -> None:
        def begin() -> asyncio.Future[int]:
            spin(0.05)
            waiting = asyncio.get_running_loop().create_future()
            asyncio.get_running_loop().call_later(0.1, waiting.set_result, 3)
            return waiting

        begin = captured.profiler.profile(inspect.markcoroutinefunction(begin))
        assert asyncio.run(begin()) == 3  # type: ignore[arg-type]
        assert captured.one().wall > 0.148


def test_decorated_twice_it_is_two_operations(make_captured: Any) -> None:
    captured = make_captured(threshold=0.0)

    @captured.profiler.profile("outer")
    @captured.profiler.profile("inner")
    async def work() -> int:
        await asyncio.sleep(0.01)
        return 3

    assert asyncio.run(work()) == 3
    outer, inner = captured.all()
    assert (outer.operation, inner.operation) == ("outer", "inner")
    assert [child.name for child in outer.children] == ["inner"]
    assert inner.enclosing[0].number == outer.number


def first_step(begun: Any) -> None:
    if inspect.isgenerator(begun):
        next(begun)
    else:
        drive(begun if inspect.iscoroutine(begun) else anext(begun))


def test_arguments_that_do_not_fit_are_refused_as_without(captured: Any) -> None:
    for bare in (plain, coroutine, generator, async_generator):
        decorated = captured.profiler.profile(bare)
        with pytest.raises(TypeError) as expected:
            bare()
        with pytest.raises(TypeError) as raised:
            first_step(decorated())
        assert str(raised.value) == str(expected.value)
    assert not captured.profiler.registry


def test_abstract_methods_and_hooks_of_classes_work(captured: Any) -> None:
    profile = captured.profiler.profile
    made: list[type] = []

    class Base(abc.ABC):
        def __init_subclass__(cls) -> None:
            made.append(cls)

        @profile
        @abc.abstractmethod
        def below(self) -> int: ...

        @abc.abstractmethod
        @profile
        def above(self) -> int: ...

        @profile
        @classmethod
        @abc.abstractmethod
        def of_class(cls) -> int: ...

    class Watched:
        @profile
        def __init_subclass__(cls, **options: Any) -> None:
            made.append(cls)
            super().__init_subclass__(**options)

    assert Base.__abstractmethods__ == {"below", "above", "of_class"}
    with pytest.raises(TypeError, match="abstract"):
        Base()  # type: ignore[abstract]

    class Whole(Base):
        @profile
        def below(self) -> int:
            return super().below() or 1

        def above(self) -> int:
            return 2

        @classmethod
        def of_class(cls) -> int:
            return 3

    class Child(Watched):
        pass

    assert (Whole().below(), Whole().above(), Whole.of_class()) == (1, 2, 3)
    assert made == [Whole, Child]


def test_dataclasses_have_decorated_methods(captured: Any) -> None:
    @dataclasses.dataclass(frozen=True, slots=True)
    class Point:
        x: int

        @captured.profiler.profile
        def __post_init__(self) -> None:
            assert self.x > 0

        @captured.profiler.profile
        def moved(self, by: int) -> Point:
            return dataclasses.replace(self, x=self.x + by)

    assert Point(1).moved(2) == Point(3)
    with pytest.raises(AssertionError):
        Point(1).moved(-2)


def test_singledispatch_on_either_side(captured: Any) -> None:
    profile = captured.profiler.profile

    @profile
    @functools.singledispatch
    def shown(value: object) -> str:
        return "object"

    @shown.register
    @profile
    def _(value: int) -> str:
        return "int"

    @functools.singledispatch
    @profile
    def told(value: object) -> str:
        return "object"

    @told.register(str)
    @profile
    def _(value: str) -> str:
        return "str"

    assert [shown(3), shown(""), told(3), told("")] == ["int", "object", "object", "str"]
    assert shown.dispatch(int).__wrapped__

    class Shower:
        @functools.singledispatchmethod
        @profile
        def show(self, value: object) -> str:
            return "object"

        @show.register
        @profile
        def _(self, value: int) -> str:
            return "int"

    assert [Shower().show(3), Shower().show("")] == ["int", "object"]


@profkit.profile
def fetch(key: str, *, limit: int = 3) -> str:
    return key * limit


@profkit.profile
async def fetch_later(key: str) -> str:
    return key


class Fetcher:
    @profkit.profile
    def fetch(self, key: str) -> str:
        return key


def test_a_decorated_function_is_patched_and_specified_as_without() -> None:
    with mock.patch(f"{__name__}.fetch", autospec=True) as patched:
        fetch("a", limit=2)
        with pytest.raises(TypeError):
            fetch("a", 2)  # type: ignore[misc]
    patched.assert_called_once_with("a", limit=2)
    with mock.patch(f"{__name__}.fetch_later", return_value="b") as patched:
        assert asyncio.run(fetch_later("a")) == "b"
    patched.assert_awaited_once_with("a")
    with mock.patch.object(Fetcher, "fetch", autospec=True, return_value="c"):
        assert Fetcher().fetch("a") == "c"
    assert fetch("a", limit=2) == "aa"


def test_a_mock_can_be_decorated(captured: Any) -> None:
    double = mock.Mock(return_value=3)
    assert captured.profiler.profile(double)(1, a=2) == 3
    double.assert_called_once_with(1, a=2)
    double = mock.AsyncMock(return_value=3)
    assert asyncio.run(captured.profiler.profile(double)(1)) == 3
    double.assert_awaited_once_with(1)


def test_it_is_pickled_by_its_name() -> None:
    assert pickle.loads(pickle.dumps(fetch)) is fetch
    assert pickle.loads(pickle.dumps(fetch_later)) is fetch_later
    assert pickle.loads(pickle.dumps(Fetcher().fetch))("a") == "a"


class NotCallable:
    pass


@contextlib.contextmanager
def managed() -> Iterator[None]:
    yield


@contextlib.asynccontextmanager
async def managed_later() -> AsyncIterator[None]:
    yield


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        (
            Fetcher,
            "the class Fetcher: decorate a function, a coroutine function, a generator function, a method",
        ),
        (int, "the class int: decorate a function"),
        (3, "a int: decorate a function"),
        (NotCallable(), "a NotCallable: decorate a function"),
        (None.__class__, "the class NoneType"),
        (property(fetch), "a property: put @profile below @property"),
        (functools.cached_property(fetch), "a cached_property: put @profile below @cached_property"),
        (functools.singledispatchmethod(fetch), "a singledispatchmethod: decorate a function"),
        (managed, "the context manager managed: put @profile below @contextmanager"),
        (managed_later, "the context manager managed_later: put @profile below @asynccontextmanager"),
        (staticmethod(managed), "the context manager managed"),
        (staticmethod(int), "the class int"),
    ],
)
def test_what_cannot_be_an_operation_is_refused_with_a_word(captured: Any, wrong: Any, says: str) -> None:
    with pytest.raises(ConfigurationError) as raised:
        captured.profiler.profile("name")(wrong)
    assert f"profile cannot watch {says}" in str(raised.value)


def test_functions_like_context_managers_are_not_taken_for_them(captured: Any) -> None:
    profile = captured.profiler.profile

    def as_list(function: Callable[..., Iterator[int]]) -> Callable[..., list[int]]:
        @functools.wraps(function)
        def collect(*args: Any) -> list[int]:
            return list(function(*args))

        return collect

    assert profile(as_list(generator))(3) == [3]

    @profile
    @managed()
    def inside() -> int:
        return 3

    assert inside() == 3


@pytest.fixture
def environment_off(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("PROFKIT_ENABLED", " Off ")
    wrappers._say_switched_off.cache_clear()
    yield
    wrappers._say_switched_off.cache_clear()


@pytest.mark.usefixtures("environment_off")
def test_switched_off_in_the_environment_it_returns_the_function_itself(
    captured: Any, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "profkit")
    profiler: PerformanceProfiler = captured.profiler
    method = classmethod(plain)
    for bare in (plain, coroutine, generator, Fetcher(), functools.partial(plain), method, int):
        assert profiler.profile(bare) is bare  # type: ignore[arg-type]
        assert profiler.profile("name", category="db")(bare) is bare  # type: ignore[arg-type]
    said = [record for record in caplog.records if "PROFKIT_ENABLED" in record.message]
    assert [record.levelno for record in said] == [logging.INFO]


@pytest.mark.parametrize("text", ["1", "", "perhaps"])
def test_any_other_text_in_the_environment_decorates(
    captured: Any, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    monkeypatch.setenv("PROFKIT_ENABLED", text)
    assert captured.profiler.profile(plain) is not plain


def test_switched_off_it_stays_off_when_it_is_configured_on() -> None:
    program = """
import logging, os, profkit
logging.basicConfig(level=logging.INFO, format="%(levelname)s %(message)s")

@profkit.profile
def off(): ...

@profkit.profile(threshold=0.0)
def off_too(): ...

os.environ.pop("PROFKIT_ENABLED")
profiles = []
profkit.configure(enabled=True, on_profile=profiles.append)

@profkit.profile(threshold=0.0)
def on(): ...

off(), off_too(), on()
assert profkit.flush(5)
print([profile.operation for profile in profiles], hasattr(off, "__wrapped__"))
"""
    environ = {**os.environ, "PROFKIT_ENABLED": "0"}
    done = subprocess.run(
        [sys.executable, "-c", program], env=environ, capture_output=True, text=True, check=False
    )
    assert done.stdout == "['on'] False\n", done.stderr
    assert done.stderr.count("PROFKIT_ENABLED is off") == 1
    assert done.stderr.startswith("INFO profkit: PROFKIT_ENABLED is off")
