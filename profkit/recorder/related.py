"""Operations around and inside one, as its profile has them."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping

from profkit.masking import masker
from profkit.operations import Operation
from profkit.recorder.tags import masked_tags
from profkit_storage import ChildOperation, Enclosing

_MAX_ENCLOSING = 50


def outers_of(operation: Operation) -> tuple[Operation, ...]:
    """Return the operations around one, the innermost first, at most 50."""
    found: list[Operation] = []
    outer = operation.parent
    while outer is not None and outer.started < math.inf and len(found) < _MAX_ENCLOSING:
        found.append(outer)
        outer = outer.parent
    return tuple(found)


def is_slow(outer: Operation, until: float) -> bool:
    """Tell whether an operation was slow before one inside it ended, at `until` seconds of `time.perf_counter`."""
    ended = outer.ended or until  # a task may go on when what began it is over
    return min(ended, until) - outer.started >= outer.tally.slow_from


def enclosing(
    outers: Iterable[Operation], until: float, number: Callable[[Operation], int]
) -> tuple[Enclosing, ...]:
    """Return the operations around one that ended at `until`; `number` gives each its number."""
    return tuple(Enclosing(number(outer), is_slow(outer, until)) for outer in outers)


def children_of(ended: Iterable[Operation], operation: Operation, wall: float) -> tuple[ChildOperation, ...]:
    """Return the operations that ended inside `operation` within `wall` seconds, in order of their start."""
    children = sorted(((_start(child, operation), child) for child in ended), key=lambda one: one[0])
    index = {id(child): position for position, (_, child) in enumerate(children)}
    return tuple(_child_of(child, start, wall, index) for start, child in children)


def _start(child: Operation, operation: Operation) -> float:
    """Return the seconds from the start of `operation` to that of one inside it."""
    start = 0.0
    inner: Operation | None = child
    while inner is not None and inner is not operation:
        start += inner.offset
        inner = inner.parent
    return start


def _child_of(child: Operation, start: float, wall: float, index: Mapping[int, int]) -> ChildOperation:
    started = min(max(start, 0.0), wall)
    ended = min(start + child.ended - child.started, wall)
    parent = index.get(id(child.parent), -1)
    name = masker.mask_text(child.tally.name)
    category = masker.mask_text(child.tally.category)
    return ChildOperation(name, category, started, max(started, ended), masked_tags(child.tags), parent)
