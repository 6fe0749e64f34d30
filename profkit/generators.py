"""What `profile` puts around generators: each step is part of the operation, the time between two steps is not.

What the consumer sends, throws and closes reaches the generator as it would without, and so does what comes back.
"""

from __future__ import annotations

import functools
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable, Generator
from sys import _getframe  # pyright: ignore[reportPrivateUsage]  # documented, and the only way to a frame
from typing import Any

from profkit.operations import Operation, Watcher, running_task
from profkit.tallies import Tally


class _Unwatched:
    """Stands for an operation where none is wanted.

    `yield from` would not do: it closes a generator where the consumer throws GeneratorExit, and loses what one returns
    that is closed.
    """

    frame: object = None
    task: object = None

    def begin(self, root: int) -> None: ...

    def pause(self) -> None: ...

    def resume(self) -> None: ...

    def fail(self, error: BaseException) -> None: ...

    def end(self) -> None: ...

    def take_back(self) -> None: ...


_UNWATCHED = _Unwatched()


def wrap_generator_function(
    profiler: Watcher, function: Callable[..., Generator[Any, Any, Any]], tally: Tally, kind: type[Operation]
) -> Callable[..., Generator[Any, Any, Any]]:
    """Return a generator function whose every generator is an operation, from its first step to its last."""

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:  # noqa: ANN401 - typed by `wrap`
        generator = function(*args, **kwargs)
        watched = profiler.active or profiler.activate()
        operation = kind(profiler, tally) if watched else _UNWATCHED
        step: Callable[[Any], Any] = generator.send
        sent: Any = None
        held: list[Any] = []  # a local variable would keep what the consumer may let go of
        try:
            operation.begin(id(_getframe()))
            while True:
                try:
                    held.append(step(sent))
                except StopIteration as stop:
                    return stop.value
                sent = None
                operation.pause()
                try:
                    sent = yield held.pop()
                    step = generator.send
                except BaseException as error:  # noqa: BLE001 - the generator's to handle, GeneratorExit too
                    step, sent = generator.throw, error
                if profiler.active:  # shut down meanwhile, it has no thread to wake
                    operation.resume()
        except GeneratorExit:  # closed early, which is no failure
            raise
        except BaseException as error:
            operation.fail(error)
            raise
        finally:
            try:
                operation.end()
            except BaseException:
                operation.take_back()
                raise
            sent = None  # an exception that holds this frame

    return call


def wrap_async_generator_function(
    profiler: Watcher, function: Callable[..., AsyncGenerator[Any, Any]], tally: Tally, kind: type[Operation]
) -> Callable[..., AsyncGenerator[Any, Any]]:
    """Return an async generator function whose every generator is an operation, from its first step to its last."""

    @functools.wraps(function)
    async def call(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:  # noqa: ANN401 - typed by `wrap`
        generator = function(*args, **kwargs)
        watched = profiler.active or profiler.activate()
        operation = kind(profiler, tally) if watched else _UNWATCHED
        step: Callable[[Any], Awaitable[Any]] = functools.partial(_first_step, generator)
        sent: Any = None
        held: list[Any] = []
        try:
            if watched:
                operation.frame = _getframe()
                operation.task = running_task()
            operation.begin(id(operation.frame))
            while True:
                try:
                    held.append(await step(sent))
                except StopAsyncIteration:
                    return
                sent = None
                operation.pause()
                try:
                    sent = yield held.pop()
                    step = generator.asend
                except BaseException as error:  # noqa: BLE001 - the generator's to handle, GeneratorExit too
                    step, sent = generator.athrow, error
                if profiler.active:
                    operation.resume()
        except GeneratorExit:
            raise
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
            sent = None

    return call


def _first_step(generator: AsyncGenerator[Any, Any], _: None) -> Awaitable[Any]:
    """Begin an async generator without telling the event loop of it.

    A loop closes all that it was told of, side by side. It is told of the wrapper, which closes this one; told of both,
    it would close this one a second time, in the middle of the first.
    """
    hooks = sys.get_asyncgen_hooks()
    try:
        sys.set_asyncgen_hooks(None, None)
        return generator.asend(None)
    finally:
        sys.set_asyncgen_hooks(*hooks)
