"""Reads stacks from outside: of running threads, and of suspended coroutines through what they await.

A stack is a list of places (see `codes`), the leaf first.
"""

from __future__ import annotations

import gc
from collections.abc import Iterable, Iterator
from types import AsyncGeneratorType, CoroutineType, FrameType, GeneratorType
from typing import NamedTuple, cast

from profkit.sampling import switches
from profkit.sampling.codes import INTERNAL, OFFSET_BITS, CodeTable

_MAX_AWAITS = 2_000
"""How far an await chain is followed; deeper ones are endless by mistake."""
_WRAPPERS = frozenset({
    "async_generator_asend", "async_generator_athrow", "coroutine_wrapper", "anext_awaitable",
})  # fmt: skip
"""C awaitables that only pass on to a coroutine or an async generator, which the collector can name."""


class Walk(NamedTuple):
    """The stack of a thread; `lengths` says how much of it belongs to each of its frames, by the frame's id."""

    places: list[int]
    lengths: dict[int, int]

    def above(self, root: int) -> list[int] | None:
        """Return the stack from the frame with the id `root` to the leaf; None if it is not there."""
        length = self.lengths.get(root)
        return None if length is None else self.places[:length]


def walk(frame: FrameType | None, codes: CodeTable, parents: Iterable[FrameType] = ()) -> Walk:
    """Return the whole stack of a thread, whose innermost frame is given; `parents` are those of its greenlets."""
    indexes = codes.indexes
    places: list[int] = []
    lengths: dict[int, int] = {}
    for innermost in (frame, *parents):
        if id(innermost) in lengths:  # switched to between the two looks
            break
        frame = innermost
        while frame is not None:
            index = indexes.get(id(frame.f_code))
            if index is None:
                index = codes.add(frame)
            if index >= 0:
                places.append(index << OFFSET_BITS | frame.f_lasti)
            elif index == INTERNAL:
                places.clear()
                lengths.clear()
            lengths[id(frame)] = len(places)
            frame = frame.f_back
    return Walk(places, lengths)


def await_stack(coroutine: object, codes: CodeTable, root: int = 0) -> list[int] | None:
    """Return the stack of a suspended coroutine, from the frame with the id `root` if given; None if it cannot be read.

    The chain ends at what is no coroutine or generator: a future, a C awaitable.
    """
    indexes = codes.indexes
    stack: list[int] = []
    found = not root
    for frame in _suspended_frames(coroutine):
        found = found or id(frame) == root
        if not found:
            continue
        index = indexes.get(id(frame.f_code))
        if index is None:
            index = codes.add(frame)
        if index >= 0:
            # Before its first step a coroutine is at no instruction yet.
            stack.append(index << OFFSET_BITS | max(frame.f_lasti, 0))
    if not found or (not stack and not root):
        return None
    stack.reverse()
    return stack


def _suspended_frames(awaited: object) -> Iterator[FrameType]:
    within: list[FrameType] = []
    for _ in range(_MAX_AWAITS):
        frame: FrameType | None
        if isinstance(awaited, CoroutineType):
            coroutine = cast("CoroutineType[object, object, object]", awaited)
            if coroutine.cr_code.co_name == switches.SPAWNING:
                within = switches.suspended(coroutine)
            frame, awaited = coroutine.cr_frame, coroutine.cr_await
        elif isinstance(awaited, GeneratorType):
            generator = cast("GeneratorType[object, object, object]", awaited)
            frame, awaited = generator.gi_frame, generator.gi_yieldfrom
        elif isinstance(awaited, AsyncGeneratorType):
            source = cast("AsyncGeneratorType[object, object]", awaited)
            frame, awaited = source.ag_frame, source.ag_await
        elif type(awaited).__name__ in _WRAPPERS:
            awaited = _wrapped(awaited)
            continue
        else:
            return
        if frame is None:  # it ended between two looks
            return
        yield frame
        if within:
            yield from within
            within = []


def _wrapped(awaitable: object) -> object:
    """Return what a C awaitable steps; its slots are closed to Python, but not to the garbage collector."""
    for one in cast("list[object]", gc.get_referents(awaitable)):
        kind = type(one)
        if kind in {CoroutineType, AsyncGeneratorType, GeneratorType} or kind.__name__ in _WRAPPERS:
            return one
    return None
