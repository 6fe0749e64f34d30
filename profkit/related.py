"""Operations around and inside one, as its profile has them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

from profkit.masking import masker
from profkit.operations import Operation
from profkit.tags import masked_tags
from profkit_storage import ChildOperation, Enclosing

_MAX_ENCLOSING = 50


def enclosing(
    operation: Operation, number: Callable[[Operation], int], until: float
) -> tuple[Enclosing, ...]:
    """Return the operations around one, the innermost first; `number` gives each its number.

    `until` is the end of `operation`, or now, in seconds of `time.perf_counter`.
    """
    found: list[Enclosing] = []
    outer = operation.parent
    while outer is not None and len(found) < _MAX_ENCLOSING:
        ended = outer.ended or until  # a task may go on when what began it is over
        found.append(Enclosing(number(outer), ended - outer.started >= outer.tally.slow_from))
        outer = outer.parent
    return tuple(found)


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
