"""Rollups: what is counted of all operations, kept or not. Times are seconds unless a name says otherwise.

Stored as profiles are (see `codec`): the document has the fields of the set, and a column for each field of its tables.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

from profkit_storage.checks import Malformed, shown
from profkit_storage.document import checked_id
from profkit_storage.errors import CorruptProfile
from profkit_storage.fields import Columns, Fields
from profkit_storage.histogram import BUCKETS, Histogram

ROLLUP_SCHEMA_VERSION = 1
"""As a stored set of rollups tells it; apart from that of profiles."""

K = TypeVar("K", str, int)

SCALARS = "id", "service", "version", "host", "pid", "start_ns", "end_ns"
PLAIN = "operation", "category", "calls", "errors", "seconds", "slow", "kept", "threshold"
DROPPED = "rollup", "reason", "count"
CELLS = "rollup", "bucket", "count"
_FIELDS = frozenset((*SCALARS, "rollups", "dropped", "buckets"))


class CorruptRollups(CorruptProfile):
    """A stored object that is not a whole, readable set of rollups; `key` names it."""


class Rollup(NamedTuple):
    """The operations of one name, category and threshold that ended in the window of a `RollupSet`.

    `seconds` is the sum of their wall times. `slow` ones were over the `threshold`; of these, `kept` became profiles,
    and `dropped` counts the others by reason. An operation may end just before the window does and be told an error,
    slow or kept in the next, so that none of these is sure to be at most `calls`.
    """

    operation: str
    category: str
    calls: int
    errors: int
    seconds: float
    slow: int
    kept: int
    dropped: Mapping[str, int]
    threshold: float
    histogram: Histogram


@dataclass(frozen=True, slots=True, kw_only=True)
class RollupSet:
    """All rollups of one process for one window of time.

    `start_ns` and `end_ns` are UTC, nanoseconds since the epoch; `id` is a ULID made from `start_ns`.
    """

    id: str
    service: str
    start_ns: int
    end_ns: int
    version: str = ""
    host: str = ""
    pid: int = 0
    rollups: tuple[Rollup, ...] = ()


def to_document(rollups: RollupSet) -> dict[str, object]:
    """Return the document of a set, unchecked: `from_document` tells whether it can be read again."""
    rows = rollups.rollups
    return {
        **{name: getattr(rollups, name) for name in SCALARS},
        "rollups": {name: [getattr(row, name) for row in rows] for name in PLAIN},
        "dropped": _columns(DROPPED, [row.dropped for row in rows]),
        "buckets": _columns(CELLS, [row.histogram.counts for row in rows]),
    }


def from_document(document: object) -> RollupSet:
    """Return the set that a document holds. Other fields than these are refused.

    Raises:
        Malformed: something is missing, of the wrong kind, out of range or points nowhere; the message names it.
    """
    fields = Fields("", document, _FIELDS)
    start_ns = fields.integer("start_ns")
    return RollupSet(
        id=checked_id(fields, start_ns),
        service=fields.text("service"),
        start_ns=start_ns,
        end_ns=fields.integer("end_ns", start_ns),
        version=fields.text("version"),
        host=fields.text("host"),
        pid=fields.integer("pid"),
        rollups=tuple(_rollups(fields)),
    )


def _columns(names: tuple[str, str, str], rows: Sequence[Mapping[K, int]]) -> object:
    """Return what each rollup counts by a key as three columns, sorted: equal sets are equal bytes."""
    cells = [(index, key, row[key]) for index, row in enumerate(rows) for key in sorted(row)]
    return dict(zip(names, zip(*cells, strict=True), strict=True)) if cells else dict.fromkeys(names, ())


def _rollups(fields: Fields) -> Iterator[Rollup]:
    table = Columns("rollups", fields.get("rollups"), PLAIN)
    columns = (
        table.texts("operation"),
        table.texts("category"),
        table.integers("calls"),
        table.integers("errors"),
        table.seconds("seconds"),
        table.integers("slow"),
        table.integers("kept"),
        _dropped(fields, table.length),
        table.seconds("threshold"),
        map(Histogram, _buckets(fields, table.length)),
    )
    return map(Rollup._make, zip(*columns, strict=True))


def _dropped(fields: Fields, rollups: int) -> list[dict[str, int]]:
    table = Columns("dropped", fields.get("dropped"), DROPPED)
    return _counts(table, "dropped", table.texts("reason"), rollups)


def _buckets(fields: Fields, rollups: int) -> list[dict[int, int]]:
    table = Columns("buckets", fields.get("buckets"), CELLS)
    return _counts(table, "buckets", table.integers("bucket", 0, BUCKETS - 1), rollups)


def _counts(table: Columns, path: str, keys: list[K], rollups: int) -> list[dict[K, int]]:
    """Return for each rollup what it counts by key."""
    counts: list[dict[K, int]] = [{} for _ in range(rollups)]
    indices = table.integers("rollup", 0, rollups - 1)
    for index, key, count in zip(indices, keys, table.integers("count"), strict=True):
        if key in counts[index]:
            raise Malformed(f"{path} tells of {shown(key)} of rollup {index} twice")
        counts[index][key] = count
    return counts
