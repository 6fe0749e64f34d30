"""Chains of references from a root to objects of a type, as data: names of types and attributes, never a value."""

from __future__ import annotations

import sys
import threading
import time
from typing import Final, TypedDict

from profkit.debug.memory.bounds import check_count, check_seconds
from profkit.debug.memory.edges import attribute, namespace, shown_key
from profkit.debug.memory.references import references
from profkit.debug.memory.retention import Ended, Search, Way
from profkit.debug.memory.roots import RootKind, roots
from profkit.debug.memory.single import memory_job
from profkit.debug.memory.typenames import kind_of, own_name, shown_name, type_name
from profkit.masking import Masker
from profkit.masking import masker as default_masker

MAX_CHAINS = 5
MOST_OBJECTS = 5_000_000
DEFAULT_OBJECTS = 1_000_000
_MOST_HOPS = 40
_MOST_NAMED = 1000

_NOT_FOUND = (
    "No object of this type was found from a module, an event loop or a running function. There may be none; it may be "
    "garbage that waits for collection (POST memory/gc), or held by C code alone."
)
_NOT_ALL = "The search ended before it had seen everything."


class Hop(TypedDict):
    """One object on the way: its type, its own name if it is a module, class, function or frame.

    `by` is the attribute, or a running function's variable, by which the one before holds it; None if it is not one,
    as with items of a list or dict.
    """

    by: str | None
    type: str
    name: str | None


class Chain(TypedDict):
    """The shortest way from a root to `objects` objects, which are all held by way of the same types.

    `steps` is its length; of a long one the middle is left out, `hops_left_out` hops after the first 20.
    """

    objects: int
    root: RootKind
    steps: int
    hops: list[Hop]
    hops_left_out: int


class BackrefsReport(TypedDict):
    """What keeps objects of a type alive: the chains that hold most of them, from a root to the object.

    `found` objects of the type were seen among the `looked_at` ones; the search `ended` when it had seen all, or its
    time or number of objects was over, or the caller left. `stall_seconds` is the longest time for which one of its
    steps kept other threads from running.
    """

    type: str
    found: int
    looked_at: int
    ended: Ended
    note: str | None
    chains: list[Chain]
    chains_left_out: int
    seconds: float
    stall_seconds: float


SEARCHABLE: Final = sys.version_info[:2] != (3, 12)
"""Whether a search is safe: on 3.12.1 it crashed the interpreter within seconds beside busy threads.

Without the variables of running functions too: an `_asyncio.FutureIter` was tracked twice after 8 searches.
"""


def find_backrefs(
    name: str,
    *,
    count: int = 3,
    seconds: float = 15.0,
    objects: int = DEFAULT_OBJECTS,
    stop: threading.Event | None = None,
    masker: Masker = default_masker,
) -> BackrefsReport:
    """Return the chains that hold most objects of the type called `name`, at most `count` (1..5). Blocks.

    Looks at up to so many `objects` (1,000..5,000,000; a hundred bytes of memory for each meanwhile), the nearest to a
    root first, for at most so many `seconds` (1..60). Other threads run meanwhile, and get half of the time.

    Raises `ConfigurationError` for arguments that are not allowed, `Busy` while another memory job runs.
    """
    check_seconds(seconds)
    check_count("count", count, MAX_CHAINS)
    check_count("objects", objects, MOST_OBJECTS, least=1000)
    began = time.monotonic()
    with memory_job.alone():
        search = Search(name, seconds=seconds, most=objects, stop=stop or threading.Event())
        found = search.run(count)
        chains = [_chain(way, masker) for way in found.ways]
    note = None if found.ended == "all" else _NOT_ALL
    return {
        "type": shown_name(name, masker),
        "found": found.found,
        "looked_at": found.looked_at,
        "ended": found.ended,
        "note": note if found.found else f"{_NOT_FOUND} {note or ''}".strip(),
        "chains": chains,
        "chains_left_out": found.ways_left_out,
        "seconds": round(time.monotonic() - began, 3),
        "stall_seconds": round(found.stall, 6),
    }


def held_by(chain: Chain, number: int) -> str | None:
    """Return how the hop of this number is held, as Python has it: `.attribute`, or a running function's `variable`."""
    by = chain["hops"][number]["by"]
    if by is None:
        return None
    return by if chain["root"] == "frame" and number == 1 else f".{by}"


def _chain(way: Way, masker: Masker) -> Chain:
    hops = _hops(way, masker)
    if way.root == "frame":
        hops.insert(0, {"by": None, "type": way.root_type, "name": shown_name(way.root_name, masker)})
    left_out = max(0, len(hops) - _MOST_HOPS)
    half = _MOST_HOPS // 2
    return {
        "objects": way.objects,
        "root": way.root,
        "steps": len(hops) - 1,
        "hops": hops if not left_out else hops[:half] + hops[-half:],
        "hops_left_out": left_out,
    }


def _hops(way: Way, masker: Masker) -> list[Hop]:
    """Walk the way once more, for names. What has changed since is told by its type alone."""
    item: object
    by, item = _first(way)
    hops: list[Hop] = [_hop(shown_key(by, masker), item, way.types[0], masker)]
    holder: object = None
    for number in range(1, len(way.ids)):
        before: object = item
        item = _next(item, way, number) if number < _MOST_NAMED else None
        if item is None:
            hops.append({"by": None, "type": shown_name(way.types[number], masker), "name": None})
            holder = None
        elif number + 1 < len(way.ids) and namespace(before) is item:
            holder = before  # what is in a namespace is an attribute of the one that has it
        else:
            name = attribute(before if holder is None else holder, item, masker)
            hops.append(_hop(name, item, way.types[number], masker))
            holder = None
    return hops


def _first(way: Way) -> tuple[str | None, object]:
    """Return what the root holds, and a frame by which variable."""
    for root in roots():
        if (root.kind, root.name) == (way.root, way.root_name):
            for name, value in root.held:
                if id(value) == way.ids[0]:
                    return name, value
    return None, None


def _next(item: object, way: Way, number: int) -> object:
    """Return the next object on the way, None if it is not there any more."""
    if item is None:
        return None
    for part in references(item):
        for one in part:
            if id(one) == way.ids[number] and type_name(kind_of(one)) == way.types[number]:
                return one
    return None


def _hop(by: str | None, item: object, kind: str, masker: Masker) -> Hop:
    name = own_name(item)
    return {
        "by": by,
        "type": shown_name(kind, masker),
        "name": None if name is None else shown_name(name, masker),
    }
