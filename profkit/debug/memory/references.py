"""What an object refers to, in parts: to ask for a million items at once would stop every other thread meanwhile."""

from __future__ import annotations

import gc
from collections import OrderedDict, defaultdict, deque
from collections.abc import Callable, Iterable, Iterator
from itertools import chain, islice
from typing import Any, cast

from profkit.debug.memory.typenames import kind_of

PART = 5_000
"""Items at a time; containers that have no more are asked for all at once."""

_DICT = cast("Any", dict)  # a subclass may have methods of its own
_Size = Callable[[Any], int]
_Items = Callable[[Any], Iterable[object]]


def _of_dict(item: object) -> Iterable[object]:
    return chain(_DICT.values(item), _DICT.keys(item))


def _of_defaultdict(item: Any) -> Iterable[object]:  # noqa: ANN401 - a defaultdict of anything
    return chain([item.default_factory], _of_dict(item))


_SIZE, _ITEMS, _DICT_SIZE = cast("_Size", len), cast("_Items", iter), cast("_Size", _DICT.__len__)
# By identity: a metaclass may have a `__hash__` that runs code. Of other kinds it is not known what they refer to.
_KINDS: dict[int, tuple[_Size, _Items]] = {
    **{id(kind): (_SIZE, _ITEMS) for kind in (list, tuple, set, frozenset, deque)},
    id(dict): (_SIZE, _of_dict),
    id(OrderedDict): (_DICT_SIZE, _of_dict),
    id(defaultdict): (_DICT_SIZE, _of_defaultdict),
}


def comes_in_parts(kind: type) -> bool:
    """Tell whether objects of a type may be asked for a part of what they refer to."""
    return id(kind) in _KINDS


def is_large(item: object) -> bool:
    """Tell whether an object of a type that comes in parts has more than one."""
    return _KINDS[id(kind_of(item))][0](item) > PART


def references(item: object) -> Iterator[list[Any]]:
    """Yield what an object refers to, in parts if it is a large container.

    One that is changed meanwhile is asked again, for all at once.
    """
    if comes_in_parts(kind_of(item)) and is_large(item):
        items = iter(_KINDS[id(kind_of(item))][1](item))
        try:
            while part := list(islice(items, PART)):
                yield part
        except RuntimeError:
            pass
        else:
            return
    yield gc.get_referents(item)
