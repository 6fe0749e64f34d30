"""Who waits for whom: what the end of a task resolves, by the links that asyncio and anyio leave in done callbacks."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Collection, Iterable, Iterator
from types import CellType, FunctionType, MethodType
from typing import Any, cast

from profkit.sampling.branches import Branch

_LINKING = ("asyncio.", "anyio.")
"""Modules whose callbacks are looked into; those of others may hold anything, and asking it may run their code."""


def resolved_by(tasks: Iterable[asyncio.Future[Any]]) -> set[int]:
    """Return the ids of `tasks`, and of the futures that wait for some of them.

    Those are what `gather`, `shield`, `wait`, `wait_for`, `as_completed` and task groups have their caller await.
    """
    found: set[int] = set()
    futures: list[object] = list(tasks)
    while futures:
        future = futures.pop()
        if id(future) in found:
            continue
        found.add(id(future))
        for callback in _callbacks(future):
            for thing in _held_by(callback):
                if hasattr(thing, "_asyncio_future_blocking"):
                    futures.append(thing)
                elif type(thing).__module__.startswith(_LINKING):
                    found.update(map(id, _waiters_in(thing)))
    return found


def is_of_thread(waiter: object, branches: Collection[Branch]) -> bool:
    """Tell whether a future is that of work in a thread which is one of `branches`, or gathers such."""
    children = getattr(waiter, "_children", None)  # of a gather
    gathered = cast("list[object]", children) if isinstance(children, list) else [waiter]
    return any(_is_chained(future, branches) for future in gathered)


def _is_chained(future: object, branches: Collection[Branch]) -> bool:
    """Tell whether a future is chained to one of an executor whose end a branch is told of."""
    for callback in _callbacks(future):
        if "_chain_future" in getattr(callback, "__qualname__", ""):
            for source in _held_by(callback):
                told = getattr(source, "_done_callbacks", None) or ()
                if any(getattr(one, "__self__", None) in branches for one in list(told)):
                    return True
    return False


def _callbacks(future: object) -> Iterator[object]:
    for callback in getattr(future, "_callbacks", None) or ():
        yield callback[0] if isinstance(callback, tuple) else callback


def _held_by(callback: object) -> Iterator[object]:
    """Yield what a callback of asyncio's or anyio's is bound to."""
    if isinstance(callback, functools.partial):
        function: object = callback.func
        held: Iterable[object] = callback.args
    elif isinstance(callback, MethodType):
        function, held = callback.__func__, (callback.__self__,)
    else:
        function, held = callback, ()
    if not isinstance(function, FunctionType) or not function.__module__.startswith(_LINKING):
        return
    yield from held
    yield from map(_contents, function.__closure__ or ())


def _contents(cell: CellType) -> object:
    try:
        return cell.cell_contents
    except ValueError:  # not filled yet
        return None


def _waiters_in(thing: Any) -> Iterator[object]:  # noqa: ANN401 - a queue, a task group, an iterator
    """Yield the futures by which somebody waits at a task group or for the queue of `as_completed`."""
    completed = getattr(thing, "_on_completed_fut", None)
    if completed is not None:
        yield completed
    queue = getattr(thing, "_done", thing)
    yield from list(getattr(queue, "_getters", None) or ())
