"""Reads stacks from outside: of running threads, and of suspended coroutines through what they await.

A stack is a list of places (see `codes`), the leaf first.
"""

from __future__ import annotations

from collections.abc import Container, Iterator
from types import CoroutineType, FrameType, GeneratorType
from typing import cast

from profkit.sampling.codes import INTERNAL, OFFSET_BITS, CodeTable

_MAX_AWAITS = 2_000
"""How far an await chain is followed; deeper ones are endless by mistake."""


def thread_stacks(
    frame: FrameType | None, codes: CodeTable, roots: Container[int] = ()
) -> tuple[list[int], dict[int, list[int]]]:
    """Return the whole stack of a thread, and for each frame whose id is in `roots` the stack from it to the leaf.

    `frame` is the thread's innermost one.
    """
    indexes = codes.indexes
    stack: list[int] = []
    rooted: dict[int, list[int]] = {}
    while frame is not None:
        index = indexes.get(id(frame.f_code))
        if index is None:
            index = codes.add(frame)
        if index >= 0:
            stack.append(index << OFFSET_BITS | frame.f_lasti)
        elif index == INTERNAL:
            stack.clear()
        if id(frame) in roots:
            rooted[id(frame)] = stack.copy()
        frame = frame.f_back
    return stack, rooted


def await_stack(coroutine: object, codes: CodeTable, root: FrameType | None = None) -> list[int] | None:
    """Return the stack of a suspended coroutine, from `root`'s frame down if given; None if it cannot be read.

    The chain ends at what is no coroutine or generator: a future, an async generator's step, a C awaitable.
    """
    indexes = codes.indexes
    stack: list[int] = []
    found = root is None
    for frame in _suspended_frames(coroutine):
        found = found or frame is root
        if not found:
            continue
        index = indexes.get(id(frame.f_code))
        if index is None:
            index = codes.add(frame)
        if index >= 0:
            stack.append(index << OFFSET_BITS | frame.f_lasti)
    if not stack:
        return None
    stack.reverse()
    return stack


def _suspended_frames(awaited: object) -> Iterator[FrameType]:
    for _ in range(_MAX_AWAITS):
        frame: FrameType | None
        if isinstance(awaited, CoroutineType):
            frame, awaited = awaited.cr_frame, awaited.cr_await
        elif isinstance(awaited, GeneratorType):
            generator = cast("GeneratorType[object, object, object]", awaited)
            frame, awaited = generator.gi_frame, generator.gi_yieldfrom
        else:
            return
        if frame is None:  # it ended between two looks
            return
        yield frame
