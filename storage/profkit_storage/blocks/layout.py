"""What the objects of a block are called, and which of them an hour holds."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from profkit_storage.base import ProblemHandler
from profkit_storage.keys import HOUR_MS, parse_date, parse_hour
from profkit_storage.matching import KeyFilter
from profkit_storage.names import printable
from profkit_storage.objects import Hour, ObjectStore, StoredObject
from profkit_storage.ulid import is_ulid

BLOCK_LAYOUT = "blocks/v1"
PROFILES = "p"
"""What the name of a block of profiles begins with."""

ROLLUPS = "r"
"""What the name of a block of rollups begins with."""

_NAME = re.compile(
    r"([pr]-[0-9a-f]{32})\.(?:(manifest\.json)|([a-z]{1,20})\.parquet|([0-9a-f]{16})\.pending|([0-9A-Z]{26})\.gone)"
)


@dataclass(slots=True)
class BlockObjects:
    """What lies in an hour under one block's name; `place` is the key of the directory, that of its service.

    `gone` are the ids of profiles that were deleted out of it; `pending` the marks of compactions that write it, or
    were killed while they did, or of others that found a part of it.
    """

    place: str
    name: str
    manifest: StoredObject | None = None
    tables: list[str] = field(default_factory=list[str])
    gone: set[str] = field(default_factory=set[str])
    pending: list[str] = field(default_factory=list[str])

    @property
    def manifest_key(self) -> str:
        """The key of its manifest."""
        return f"{self.place}/{self.name}.manifest.json"

    def gone_key(self, id: str) -> str:
        """Return the key of the mark that a profile was deleted out of it."""
        return f"{self.place}/{self.name}.{id}.gone"


def table_key(place: str, block: str, table: str) -> str:
    """Return the key of a block's table."""
    return f"{place}/{block}.{table}.parquet"


def remove(objects: ObjectStore, block: BlockObjects) -> None:
    """Remove a block and all that is in it. Its manifest goes first: what a kill leaves, a compaction removes.

    Raises:
        StorageError: something of it cannot be removed.
    """
    objects.remove(block.manifest_key)
    objects.remove_all(block.tables)
    objects.remove_all(block.gone_key(id) for id in block.gone)
    objects.remove_all(block.pending)


def grouped(objects: Iterable[StoredObject], on_problem: ProblemHandler) -> list[BlockObjects]:
    """Return what objects of an hour make up, in the order of their names; what is none of a block is a problem."""
    blocks: dict[tuple[str, str], BlockObjects] = {}
    for one in objects:
        place, _, name = one.key.rpartition("/")
        match = _NAME.fullmatch(name)
        if match is None or (match[5] and not is_ulid(match[5])):
            on_problem(printable(one.key), "not named as a part of a block is")
            continue
        block = blocks.setdefault((place, match[1]), BlockObjects(place, match[1]))
        if match[2]:
            block.manifest = one
        elif match[3]:
            block.tables.append(one.key)
        elif match[4]:
            block.pending.append(one.key)
        else:
            block.gone.add(match[5])
    return [blocks[name] for name in sorted(blocks)]


def hours_of_both(
    objects: ObjectStore, hours: Iterator[Hour], wanted: KeyFilter, on_problem: ProblemHandler
) -> Iterator[tuple[str, list[StoredObject], list[StoredObject]]]:
    """Yield each hour with its originals, from `hours`, and the objects of its blocks.

    An hour's blocks are listed after its originals: what a compaction turned from one into the other meanwhile is seen
    twice, never not at all.
    """
    told = Once(on_problem)
    since: int | None = None
    for part in _parts(hours, objects.page):
        until = hour_start(part[-1][0]) + HOUR_MS
        left = deque(part)
        for hour, blocks in _between(objects, wanted, since, until, told):
            while left and left[0][0] < hour:
                yield *left.popleft(), []
            originals = left.popleft()[1] if left and left[0][0] == hour else []
            yield hour, originals, blocks
        for hour, originals in left:
            yield hour, originals, []
        since = until
    for hour, blocks in _between(objects, wanted, since, None, told):
        yield hour, [], blocks


def _parts(hours: Iterator[Hour], page: int) -> Iterator[list[Hour]]:
    """Yield hours that follow each other, as many as make up a page of a listing: it costs the same however full."""
    part: list[Hour] = []
    for hour in hours:
        part.append(hour)
        if sum(len(objects) for _, objects in part) >= page:
            yield part
            part = []
    if part:
        yield part


def _between(
    objects: ObjectStore, wanted: KeyFilter, since: int | None, until: int | None, on_problem: ProblemHandler
) -> Iterator[Hour]:
    """List the blocks of the hours that begin in [since, until); a store may list others too."""
    within = wanted.within(since, until)
    for hour, blocks in objects.hours(BLOCK_LAYOUT, within, on_problem):
        if within.overlaps(hour_start(hour), HOUR_MS):
            yield hour, blocks


def hour_start(hour: str) -> int:
    """Return the milliseconds since the epoch at which a `date=YYYY-MM-DD/hour=HH` begins."""
    date, _, name = hour.partition("/")
    return (parse_date(date) or 0) + (parse_hour(name) or 0)


class Once:
    """A problem handler that passes each key on once, however often its directory is listed."""

    def __init__(self, on_problem: ProblemHandler) -> None:
        self._on_problem = on_problem
        self._told = set[str]()

    def __call__(self, key: str, reason: str) -> None:
        """Pass it on."""
        if key not in self._told:
            self._told.add(key)
            self._on_problem(key, reason)
