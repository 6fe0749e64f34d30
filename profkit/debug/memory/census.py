"""How many objects of each type the garbage collector tracks.

The objects themselves are never held while another thread runs. A list of them would keep alive what is to die, whose
end would then run in this thread; and it would hold tuples that are only being built, which Python takes for a fault:
`tuple(generator)` in another thread raises SystemError. So types are all that leaves the one call that lists objects.
"""

from __future__ import annotations

import gc
import time
from collections import Counter
from functools import partial
from itertools import chain
from operator import call
from typing import NamedTuple, TypedDict

from profkit.debug.memory.holds import LOOK_LIMIT, Cost, allocated_blocks, held
from profkit.debug.memory.single import Recent
from profkit.debug.memory.typenames import type_name

JOB_LIMIT = 2.0
"""Seconds for which a count asked for by POST may stop the process."""

_SLICE = 10_000
_PAUSE = 0.0002
"""After each slice, so that other threads need not wait for their turn."""

_AGE = 5.0
"""Seconds for which a count serves again: a page that reloads must not cost the application."""

listing = Cost("counting their types", "blocks of memory are allocated", 25e-9)


class TypeCount(TypedDict):
    """A type by its qualified name, and how many of its objects are tracked."""

    type: str
    count: int


class Census(NamedTuple):
    """Objects tracked, how many of each type, the seconds counting took, and those in which nothing else ran."""

    objects: int
    counts: dict[str, int]
    seconds: float
    stall: float


def take_census(limit: float) -> Census:
    """Count; raises `TooLarge` if that would stop the process for more than `limit` seconds."""
    began = time.perf_counter()
    blocks = allocated_blocks()
    listing.check(blocks, limit)
    kinds, stall = held(_kinds_of_objects())
    listing.learn(blocks, stall)
    objects = len(kinds)
    counts = _count(kinds)
    return Census(objects, counts, time.perf_counter() - began, stall)


def commonest(counts: dict[str, int], most: int) -> list[TypeCount]:
    """Return the types that have most objects."""
    ranked = sorted(counts.items(), key=lambda item: (-item[1], item[0]))[:most]
    return [{"type": name, "count": count} for name, count in ranked]


def _kinds_of_objects() -> partial[list[type]]:
    """Return what lists the type of every object when it is called, without a step at which another thread may run."""
    objects = chain.from_iterable(map(call, (gc.get_objects,)))
    return partial(list, map(type, objects))


def _count(kinds: list[type]) -> dict[str, int]:
    """Count by name, using `kinds` up. By identity: a metaclass may have a `__hash__` or `__eq__` that runs code."""
    counts: Counter[int] = Counter()
    known: dict[int, type] = {}
    while kinds:
        part = kinds[-_SLICE:]
        del kinds[-_SLICE:]
        counts.update(map(id, part))
        if len(counts) > len(known):
            known.update(zip(map(id, part), part, strict=True))
        time.sleep(_PAUSE)
    by_name: Counter[str] = Counter()
    for key, count in counts.items():
        by_name[type_name(known[key])] += count
    return dict(by_name)


recent_census = Recent(lambda: take_census(LOOK_LIMIT), _AGE)
"""The last count, which a look makes anew where that is cheap enough."""
