"""What type checkers must make of decorated functions: `test_types.py` runs them over it, nobody runs it.

They must find an error in every line marked as refused, and in no other.
"""

from __future__ import annotations

import functools
from collections.abc import AsyncGenerator, AsyncIterator, Callable, Coroutine, Generator, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any, TypeVar, assert_type

import profkit
from profkit import PerformanceProfiler

T = TypeVar("T")
profiler = PerformanceProfiler()


def unwatched(first: int, *, key: str = "") -> list[str]:
    return [key] * first


@profkit.profile
def bare(first: int, *, key: str = "") -> list[str]:
    return [key] * first


@profkit.profile("name", category="db", threshold=2.0)
def called(first: int, *, key: str = "") -> list[str]:
    return [key] * first


@profkit.profile()
def called_without_arguments(first: int, *, key: str = "") -> list[str]:
    return [key] * first


@profiler.profile
def of_another_profiler(first: int, *, key: str = "") -> list[str]:
    return [key] * first


def functions() -> None:
    assert_type(bare(1, key="a"), list[str])
    assert_type(called(1, key="a"), list[str])
    assert_type(called_without_arguments(1), list[str])
    assert_type(of_another_profiler(1), list[str])
    bare()  # refused
    bare("1")  # refused
    called(1, "a")  # refused
    called(1, key=2)  # refused
    called(1, other="a")  # refused
    called_without_arguments(None)  # refused


def wrong_result() -> int:
    return bare(1)  # refused


def wrong_awaitable() -> str:
    return coroutine(1)  # refused


@profkit.profile
async def coroutine(first: int) -> str:
    return str(first)


@profkit.profile(category="llm")
async def named_coroutine(first: int) -> str:
    return str(first)


async def coroutine_functions() -> None:
    waiting: Coroutine[Any, Any, str] = coroutine(1)
    assert_type(await waiting, str)
    assert_type(await coroutine(1), str)
    assert_type(await named_coroutine(first=1), str)
    await coroutine("1")  # refused


@profkit.profile
def iterator(first: int) -> Iterator[int]:
    yield first


@profkit.profile("rows")
def generator(first: int) -> Generator[int, str, bytes]:
    assert_type((yield first), str)
    return b""


@profkit.profile
async def async_iterator(first: int) -> AsyncIterator[int]:
    yield first


@profkit.profile("rows")
async def async_generator(first: int) -> AsyncGenerator[int, str]:
    assert_type((yield first), str)


async def generators() -> None:
    assert_type(iterator(1), Iterator[int])
    assert_type(generator(1), Generator[int, str, bytes])
    assert_type(generator(1).send("a"), int)
    assert_type([one async for one in async_iterator(1)], list[int])
    assert_type(await async_generator(1).asend("a"), int)
    generator(1).send(2)  # refused
    iterator()  # refused
    async_generator("1")  # refused


@contextmanager
@profkit.profile
def session(first: int) -> Generator[bytes]:
    yield bytes(first)


@asynccontextmanager
@profkit.profile
async def async_session(first: int) -> AsyncGenerator[bytes]:
    yield bytes(first)


async def context_managers() -> None:
    with session(1) as opened:
        assert_type(opened, bytes)
    async with async_session(1) as opened_later:
        assert_type(opened_later, bytes)
    session("1")  # refused


class Worker:
    @profkit.profile
    def method(self, first: int) -> str:
        return str(first)

    @profkit.profile(category="db")
    async def async_method(self, first: int) -> str:
        return str(first)

    @profkit.profile("rows")
    def rows(self, first: int) -> Iterator[int]:
        yield first

    @classmethod
    @profkit.profile
    def class_above(cls, first: int) -> Worker:
        return cls()

    @staticmethod
    @profkit.profile
    def static_above(first: int) -> str:
        return str(first)

    @profkit.profile
    @staticmethod
    def static_below(first: int) -> str:
        return str(first)

    @profkit.profile
    @classmethod
    def class_below(cls, first: int) -> Worker:
        return cls()

    @property
    @profkit.profile
    def value(self) -> int:
        return 1

    @functools.cached_property
    @profkit.profile
    def cached_value(self) -> int:
        return 1

    @profkit.profile
    def __call__(self, first: int) -> str:
        return str(first)


class SubWorker(Worker):
    def method(self, first: int) -> str:
        return super().method(first)


async def methods(worker: Worker) -> None:
    assert_type(worker.method(1), str)
    assert_type(await worker.async_method(1), str)
    assert_type(worker.rows(1), Iterator[int])
    assert_type(Worker.class_above(1), Worker)
    assert_type(worker.class_above(1), Worker)
    assert_type(Worker.class_below(1), Worker)
    assert_type(Worker.static_above(1), str)
    assert_type(worker.static_above(1), str)
    assert_type(Worker.static_below(1), str)
    assert_type(worker.static_below(1), str)
    assert_type(worker.value, int)
    assert_type(worker.cached_value, int)
    assert_type(worker(1), str)
    assert_type(SubWorker().method(1), str)
    assert_type(Worker.method(worker, 1), str)
    worker.method("1")  # refused
    worker.method(1, 2)  # refused
    Worker.method(1)  # refused
    Worker.class_above("1")  # refused
    worker.static_above("1")  # refused
    worker.static_below("1")  # refused
    worker("1")  # refused


class OtherWorker(Worker):
    def method(self, first: str) -> str:  # refused
        return first


@profkit.profile
def first_of(items: list[T]) -> T:
    return items[0]


def callables() -> None:
    assert_type(first_of([1]), int)
    assert_type(first_of(["a"]), str)
    assert_type(profkit.profile(Worker())(1), str)
    assert_type(profkit.profile(functools.partial(unwatched, 1))(key="a"), list[str])
    assert_type(profkit.profile("length")(len)([1]), int)
    used_as(bare)
    used_as(coroutine)  # refused


def used_as(function: Callable[[int], list[str]]) -> None: ...


def decorators() -> None:
    profkit.profile(3)  # refused
    profkit.profile(bare, category="db")  # refused
    profkit.profile(category=3)  # refused
    profkit.profile(threshold="1 s")  # refused
    profkit.profile(name="work")  # refused
    profkit.profile("work")(3)  # refused
