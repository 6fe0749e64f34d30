"""What `profile` puts around a function: decided once, when decorating."""

from __future__ import annotations

import contextlib
import functools
import inspect
import logging
import os
from asyncio import _get_running_loop as get_running_loop  # pyright: ignore[reportPrivateUsage]  # for event loops
from asyncio import current_task
from collections.abc import Callable
from sys import _getframe  # pyright: ignore[reportPrivateUsage]  # documented, and the only way to a frame
from time import perf_counter
from types import CoroutineType
from typing import Any, ParamSpec, TypeVar, cast
from weakref import ref

from profkit.faults import log
from profkit.generators import wrap_async_generator_function, wrap_generator_function
from profkit.operations import Call, CoroutineCall, Operation, Watcher, abort, current, running_task
from profkit.sampling.callsites import native_name
from profkit.sampling.threads import this
from profkit.tallies import Tally
from profkit_storage import ConfigurationError

new = object.__new__
P = ParamSpec("P")
R = TypeVar("R")

_ALLOWED = (
    "decorate a function, a coroutine function, a generator function, a method, or an object with `__call__`"
)
_OFF = {"0", "false", "no", "off"}
_CACHE_METHODS = ("cache_info", "cache_clear", "cache_parameters")
_CONTEXT_MANAGERS: dict[object, str] = {
    cast("Any", make)(iter).__code__: make.__name__
    for make in (contextlib.contextmanager, contextlib.asynccontextmanager)
}
"""The code of what contextlib makes of a generator."""


def wrap(
    profiler: Watcher, function: Callable[P, R], tally: Tally, kind: type[Operation] = Operation
) -> Callable[P, R]:
    """Return `function` as an operation of `profiler`, with the same signature.

    Of a synchronous function that returns an awaitable, the call is measured and not the wait: nothing says beforehand
    that it is one, unless it is marked by `inspect.markcoroutinefunction`.

    Raises:
        ConfigurationError: it is nothing that can be an operation.
    """
    if switched_off():
        return function
    given: object = function
    if isinstance(given, (staticmethod, classmethod, functools.partialmethod)):
        return cast("Callable[P, R]", _wrap_descriptor(profiler, given, tally, kind))
    _check(given)
    call = cast("Callable[P, R]", _builder_for(function, kind)(profiler, function, tally))
    if not hasattr(function, "__qualname__"):  # a partial, an instance
        call.__qualname__ = name_of(function)
        call.__name__ = call.__qualname__.rpartition(".")[2]
    for name in _CACHE_METHODS:  # of functools.cache; functools.wraps takes along what is in `__dict__` only
        if hasattr(function, name):
            setattr(call, name, getattr(function, name))
    return call


def _wrap_descriptor(
    profiler: Watcher,
    given: Any,  # noqa: ANN401 - typed by `wrap`
    tally: Tally,
    kind: type[Operation],
) -> object:
    if isinstance(given, functools.partialmethod):
        inner = wrap(profiler, cast("Callable[..., object]", given.func), tally, kind)
        return functools.partialmethod(inner, *given.args, **given.keywords)
    inner = wrap(profiler, given.__func__, tally, kind)
    return staticmethod(inner) if isinstance(given, staticmethod) else classmethod(inner)


def _check(given: object) -> None:
    if isinstance(given, (property, functools.cached_property)):
        kind = type(given).__name__  # pyright: ignore[reportUnknownArgumentType]
        raise ConfigurationError(f"profile cannot watch a {kind}: put @profile below @{kind}")
    manager = _CONTEXT_MANAGERS.get(getattr(given, "__code__", None))
    if manager:
        raise ConfigurationError(
            f"profile cannot watch the context manager {name_of(given)}: put @profile below @{manager}, "
            "for its beginning and end; or use `with profkit.operation()`, for all that runs inside"
        )
    if isinstance(given, type) or not callable(given):
        kind = (
            f"the class {given.__qualname__}" if isinstance(given, type) else f"a {type(given).__qualname__}"
        )
        raise ConfigurationError(f"profile cannot watch {kind}: {_ALLOWED}")


def _builder_for(function: Callable[..., object], kind: type[Operation]) -> Callable[..., Any]:
    """Return what wraps functions like this one, for operations of this kind."""

    def of_kind(builder: Callable[..., Callable[..., Any]]) -> Callable[..., Any]:
        return functools.partial(builder, kind=kind)

    inner: Any = function
    while isinstance(inner, functools.partial):
        inner = cast("Callable[..., object]", inner.func)
    body = inner if inspect.isroutine(inner) else inner.__call__
    if inspect.isasyncgenfunction(body):
        return of_kind(wrap_async_generator_function)
    if _flags(body) & inspect.CO_COROUTINE and kind is Operation:
        return _wrap_coroutine_function
    # A coroutine function, marked as one, or a generator that can be awaited.
    if inspect.iscoroutinefunction(function) or _flags(body) & inspect.CO_ITERABLE_COROUTINE:
        return of_kind(_wrap_awaitable_function)
    if inspect.isgeneratorfunction(body):
        return of_kind(wrap_generator_function)
    if kind is not Operation:
        return of_kind(_wrap_function_plainly)
    native = native_name(inner)
    return functools.partial(_wrap_native_function, native=native) if native else _wrap_function


def _flags(function: object) -> int:
    flags = getattr(getattr(function, "__code__", None), "co_flags", 0)
    return flags if isinstance(flags, int) else 0


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
            operation.started = perf_counter()
            register(operation)
            if sampler.idle:
                sampler.wake()
            result = function(*args, **kwargs)
            operation.ended = ended = perf_counter()
            deregister(operation)
            set_current(outer)
            elapsed = ended - operation.started  # infinite in a forked child
            record(elapsed)
            if outer is not None:
                operation.join(profiler.max_children)
            if elapsed >= tally.limit:
                profiler.finish(operation)
            else:
                operation.children = operation.branches = operation.recording = None
            if outer is not None:
                operation.leave()
        except BaseException as error:
            # Here, and not in `abort`: at the end of a recursion there is no room for another function.
            deregister(operation)
            if get_current() is operation:
                set_current(outer)
            abort(operation, profiler, error)
            raise
        return result

    return call


def _wrap_native_function(
    profiler: Watcher, function: Callable[..., Any], tally: Tally, native: str
) -> Callable[..., Any]:
    """Wrap a C function, by whose name its operation is seen."""

    class Native(Operation):
        __slots__ = ()

    Native.native = native
    return _wrap_function_plainly(profiler, function, tally, Native)


def _wrap_function_plainly(
    profiler: Watcher, function: Callable[..., Any], tally: Tally, kind: type[Operation]
) -> Callable[..., Any]:
    """Wrap a function as an operation of another kind, whose methods do the work."""

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - typed by `wrap`
        if not profiler.active and not profiler.activate():
            return function(*args, **kwargs)
        operation = kind(profiler, tally)
        try:
            operation.begin(id(_getframe()))
            return function(*args, **kwargs)
        except BaseException as error:
            operation.fail(error)
            raise
        finally:
            try:
                operation.end()
            except BaseException:
                operation.take_back()
                raise

    return call


def _wrap_coroutine_function(  # noqa: C901, PLR0915 - written out
    profiler: Watcher, function: Callable[..., Any], tally: Tally
) -> Callable[..., Any]:
    sampler = profiler.sampler
    register, deregister = profiler.registry.add, profiler.registry.discard
    get_current, set_current, reset_current = current.get, current.set, current.reset
    record = tally.durations.append

    # Written out as for a function.
    @functools.wraps(function)
    async def call(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401, C901 - typed by `wrap`
        if not profiler.active and not profiler.activate():
            return await function(*args, **kwargs)
        outer = get_current()
        if (
            outer is not None and outer.ended
        ):  # tasks that start tasks would keep every operation before them alive
            outer = None
        operation = new(CoroutineCall)
        operation.ended = 0.0
        try:
            coroutine = function(*args, **kwargs)
            # An awaitable of another kind shows nothing of itself.
            operation.coroutine = ref(coroutine) if type(coroutine) is CoroutineType else None  # pyright: ignore[reportUnknownArgumentType]
            operation.tally = tally
            operation.thread = thread = this.thread
            loop = get_running_loop()
            if loop is not None and loop is thread.loop:  # else it is to be watched from now on
                task = current_task(loop)
                operation.task = None if task is None else ref(task)
            else:
                operation.task = running_task()
            operation.parent = outer
            operation.children = operation.branches = operation.recording = None
            token = set_current(operation)
            operation.started = perf_counter()
            register(operation)
            if sampler.idle:
                sampler.wake()
            result = await coroutine  # pyright: ignore[reportUnknownVariableType]
            operation.ended = ended = perf_counter()
            deregister(operation)
            try:
                reset_current(token)
            except ValueError:  # ended in another context than it began in
                pass
            # Contexts of tasks begun in it may keep the operation.
            operation.task = operation.coroutine = None
            elapsed = ended - operation.started  # infinite in a forked child
            record(elapsed)
            if outer is not None:
                operation.join(profiler.max_children)
            if elapsed >= tally.limit:
                profiler.finish(operation)
            else:
                operation.children = operation.branches = operation.recording = None
            if outer is not None:
                operation.leave()
        except BaseException as error:
            # Here, and not in `abort`: at the end of a recursion there is no room for another function.
            deregister(operation)
            if get_current() is operation:
                set_current(outer)
            abort(operation, profiler, error)
            raise
        return result  # pyright: ignore[reportUnknownVariableType]

    return call


def _wrap_awaitable_function(
    profiler: Watcher, function: Callable[..., Any], tally: Tally, kind: type[Operation]
) -> Callable[..., Any]:
    """Wrap a function that returns an awaitable of any kind: its stacks are those below the wrapper's frame."""

    @functools.wraps(function)
    async def call(*args: Any, **kwargs: Any) -> Any:  # noqa: ANN401 - typed by `wrap`
        if not profiler.active and not profiler.activate():
            return await function(*args, **kwargs)
        operation = kind(profiler, tally)
        try:
            operation.frame = _getframe()
            operation.task = running_task()
            operation.begin(id(operation.frame))
            return await function(*args, **kwargs)
        except BaseException as error:
            operation.fail(error)
            raise
        finally:
            try:
                operation.end()
            except BaseException:
                operation.take_back()
                raise
            operation.frame = None

    return call


@functools.cache
def _say_switched_off() -> None:
    log(
        logging.INFO,
        "profkit: PROFKIT_ENABLED is off, so what is decorated stays as it is: configure(enabled=True) cannot watch it",
    )


def switched_off() -> bool:
    """Tell whether the environment says now that nothing is to be watched."""
    if os.environ.get("PROFKIT_ENABLED", "").strip().lower() not in _OFF:
        return False
    _say_switched_off()
    return True


def name_of(function: object) -> str:
    """Return the name of what is decorated: its qualified name, without the functions around it."""
    inner = function
    while True:
        name: object = getattr(inner, "__qualname__", None)
        if name is not None:
            return str(name).replace("<locals>.", "")
        if isinstance(inner, (functools.partial, functools.partialmethod)):
            inner = cast("object", inner.func)
        elif isinstance(inner, (staticmethod, classmethod)):
            inner = cast("object", inner.__func__)
        else:
            inner = type(inner)
