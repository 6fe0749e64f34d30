"""What `profile` puts around a function: decided once, when decorating."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from sys import _getframe  # pyright: ignore[reportPrivateUsage]  # documented, and the only way to a frame
from time import perf_counter
from types import CoroutineType
from typing import Any, ParamSpec, TypeVar, cast
from weakref import ref

from profkit.operations import Call, Operation, Watcher, abort, current, running_task
from profkit.rollups import Tally
from profkit.sampling.threads import this
from profkit_storage import ConfigurationError

new = object.__new__
P = ParamSpec("P")
R = TypeVar("R")


def wrap(profiler: Watcher, function: Callable[P, R], tally: Tally) -> Callable[P, R]:
    """Return `function` as an operation of `profiler`, with the same signature.

    Raises:
        ConfigurationError: it is nothing that can be an operation.
    """
    given: object = function
    if isinstance(given, (staticmethod, classmethod)):
        method = cast("staticmethod[..., object] | classmethod[object, ..., object]", given)
        inner = wrap(profiler, cast("Callable[..., object]", method.__func__), tally)
        return cast(
            "Callable[P, R]", staticmethod(inner) if isinstance(given, staticmethod) else classmethod(inner)
        )
    if isinstance(given, type) or not callable(given):
        raise ConfigurationError(f"profile cannot watch {given!r}: decorate a function or a method")
    inner = inspect.unwrap(function)  # a context manager made by contextlib wraps a generator
    if inspect.isgeneratorfunction(inner) or inspect.isasyncgenfunction(inner):
        raise ConfigurationError(
            f"profile cannot watch the generator {tally.name} yet: decorate the function that consumes it"
        )
    if inspect.iscoroutinefunction(getattr(function, "__call__", None)):  # noqa: B004 - its kind, not whether
        raise ConfigurationError(f"profile cannot watch {given!r}: decorate its `async def __call__` instead")
    if inspect.iscoroutinefunction(function):
        return cast("Callable[P, R]", _wrap_coroutine_function(profiler, function, tally))
    return _wrap_function(profiler, function, tally)


def _wrap_function(profiler: Watcher, function: Callable[P, R], tally: Tally) -> Callable[P, R]:
    sampler = profiler.sampler
    register, deregister = profiler.registry.add, profiler.registry.discard
    get_current, set_current = current.get, current.set
    record = tally.durations.append

    # The beginning and the end of an operation are written out here: 25 % less than by the methods of Operation.
    @functools.wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        if not profiler.active and not profiler.activate():
            return function(*args, **kwargs)
        outer = get_current()
        operation = new(Call)
        operation.ended = 0.0
        try:
            operation.tally = tally
            operation.thread = this.thread
            operation.root = id(_getframe())
            operation.parent = outer
            operation.children = operation.branches = operation.recording = None
            set_current(operation)
            operation.started = started = perf_counter()
            register(operation)
            if sampler.idle:
                sampler.wake()
            result = function(*args, **kwargs)
            operation.ended = ended = perf_counter()
            deregister(operation)
            set_current(outer)
            elapsed = ended - started
            record(elapsed)
            if outer is not None:
                operation.join(profiler.max_children)
            if elapsed >= tally.limit:
                profiler.finish(operation)
            else:
                operation.children = None
            if outer is not None:
                operation.leave()
        except BaseException as error:
            abort(operation, profiler, outer, error)
            raise
        return result

    return call


def _wrap_coroutine_function(
    profiler: Watcher, function: Callable[..., Any], tally: Tally
) -> Callable[..., Any]:
    @functools.wraps(function)
    async def call(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - typed by `wrap`
        if not profiler.active and not profiler.activate():
            return await function(*args, **kwargs)
        operation = Operation(profiler, tally)
        coroutine = function(*args, **kwargs)
        try:
            if type(coroutine) is CoroutineType:  # an awaitable of another kind shows nothing of itself
                operation.coroutine = ref(coroutine)  # pyright: ignore[reportUnknownArgumentType]
            operation.task = running_task()
            operation.begin(0)
            return await coroutine  # pyright: ignore[reportUnknownVariableType]
        except BaseException as error:
            operation.fail(error)
            raise
        finally:
            operation.end()

    return call


def name_of(function: Callable[..., object]) -> str:
    """Return the name of what is decorated: its qualified name, without the functions around it."""
    inner = getattr(function, "__func__", function)
    inner = getattr(inner, "func", inner)  # a partial
    return str(getattr(inner, "__qualname__", type(inner).__qualname__)).replace("<locals>.", "")
