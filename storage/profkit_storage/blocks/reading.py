"""The tables of a block -> the documents that were put into it. Imports Polars."""

from __future__ import annotations

import io
import operator
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from itertools import accumulate, count
from typing import Any, NamedTuple, TypeVar

import orjson
import polars as pl

from profkit_storage import rollup
from profkit_storage.blocks.bounds import CHUNK, MAX_ROWS, check_amounts
from profkit_storage.blocks.layout import BLOCK_LAYOUT, PROFILES, table_key
from profkit_storage.blocks.manifest import Manifest, TableFile, digest
from profkit_storage.blocks.recent import Recent
from profkit_storage.blocks.schema import TABLES
from profkit_storage.blocks.symbols import Order, first_uses
from profkit_storage.document import SAMPLING, SCALARS, Document, Table, Tree, tree_from_document
from profkit_storage.errors import CorruptProfile, ProfileNotFound
from profkit_storage.objects import ObjectStore
from profkit_storage.profile import Branch, ChildOperation, Enclosing, Frame, Node, Sample

_BLOCKS = 256 * 1024 * 1024
"""Bytes of tables that stay in memory: an hour has a block for each service, and a scan goes from one to another."""

_LEAST = 4 * 1024 * 1024
"""What a block takes besides, its symbols above all: so no more than 64 are kept."""

_ROW = 200
"""Bytes of a frame or a node once it is read."""

_CHUNKS = 32
_LONG = {"profiles": ("samples", "branches", "children", "enclosing"), "sets": ("rollups",)}
_NOT_NEEDED = frozenset({"block", "profile", "set", "child"})
"""What rows are joined by, where their order does not tell."""
_NEEDED = {
    table: tuple(name for name in columns if name not in _NOT_NEEDED) for table, columns in TABLES.items()
}
_UNREADABLE = (
    pl.exceptions.PolarsError,
    pl.exceptions.PanicException,  # no Exception: nothing that works through a batch would stop it
    ValueError,
    TypeError,
    LookupError,
    MemoryError,
)
V = TypeVar("V")


class _Chunk(NamedTuple):
    """Rows of the main table from `first` on, and those of the long tables that belong to them."""

    first: int
    main: Table
    parts: Mapping[str, Table]


Chunks = Recent[tuple[str, int, int], _Chunk]
"""By a block's manifest, when it was made, and number."""


class BlockReader:
    """Reads blocks of a store; the tables of the last few that were read from stay in memory, compressed."""

    def __init__(self, objects: ObjectStore) -> None:
        self._objects = objects
        self._blocks = Recent[tuple[str, int], Block](_BLOCKS, lambda _, block: block.size + _LEAST)
        self._chunks = Chunks(_CHUNKS)

    def document(self, manifest: Manifest, row: int) -> Document:
        """Return the document in a row of a block.

        Raises:
            CorruptProfile: a table is missing, damaged or no such table.
            ProfileNotFound: the block is gone.
            StorageError: it cannot be read.
        """
        return self._block(manifest).document(row)

    def with_tree(self, manifest: Manifest, row: int) -> tuple[Document, Tree]:
        """Return the document of a profile without its frames and nodes, and those of all profiles of the block.

        Its samples point there. The tree is the same object for each row.

        Raises:
            CorruptProfile: as `document` does.
            ProfileNotFound: as `document` does.
            StorageError: as `document` does.
        """
        return self._block(manifest).with_tree(row)

    def _block(self, manifest: Manifest) -> Block:
        made = manifest.key, manifest.created_ns
        return self._blocks.get(made, lambda: Block(self._objects, manifest, self._chunks))


class Block:
    """One block, its tables read and their checksums verified."""

    def __init__(self, objects: ObjectStore, manifest: Manifest, chunks: Chunks | None = None) -> None:
        self._manifest = manifest
        self._main = "profiles" if manifest.block.startswith(PROFILES) else "sets"
        names = [
            name for name in TABLES if name in {self._main, *_LONG[self._main]} or self._has_symbols(name)
        ]
        self._tables = {name: _read(objects, manifest, name) for name in names}
        self.size = sum(map(len, self._tables.values())) + sum(
            _ROW * self._manifest.tables[name].rows for name in names if self._has_symbols(name)
        )
        """Bytes of its tables, and of what is made of frames and nodes."""
        self._chunks = Chunks(1) if chunks is None else chunks
        self._starts = self._guarded(self._find_starts)
        self._symbols = Recent[None, tuple[Table, Table]](1)
        self._trees = Recent[None, Tree](1)

    def document(self, row: int) -> Document:
        """Return the document in a row."""
        return self._guarded(partial(self._document, row))

    def with_tree(self, row: int) -> tuple[Document, Tree]:
        """Return the document of the profile in a row without frames and nodes, and the block's own."""
        return self._guarded(partial(self._with_tree, row))

    def every(self) -> Iterator[Document]:
        """Yield every document, in order."""
        return map(self.document, range(len(self._manifest.originals)))

    def _has_symbols(self, name: str) -> bool:
        return self._main == "profiles" and name in {"nodes", "frames"}

    def _guarded(self, read: Callable[[], V]) -> V:
        try:
            return read()
        except _UNREADABLE as error:
            reason = " ".join(str(error).split())[:200]
            raise CorruptProfile(self._manifest.key, f"its tables cannot be read: {reason}") from None

    def _find_starts(self) -> Mapping[str, list[int]]:
        """Return for each long table in which row each document's part begins, and where the last one's ends."""
        counts = self._columns(self._main, 0, len(self._manifest.originals), _LONG[self._main])
        return {name: list(accumulate(counts[name], initial=0)) for name in _LONG[self._main]}

    def _read_chunk(self, number: int) -> _Chunk:
        first = number * CHUNK
        last = min(first + CHUNK, len(self._manifest.originals))
        main = self._columns(self._main, first, last)
        parts = {
            name: self._columns(name, starts[first], starts[last]) for name, starts in self._starts.items()
        }
        return _Chunk(first, main, parts)

    def _document(self, row: int) -> Document:
        scalars, parts = self._rows(row)
        if self._main == "sets":
            return _rollup_document(scalars, parts["rollups"])
        return self._profile_document(scalars, parts)

    def _with_tree(self, row: int) -> tuple[Document, Tree]:
        scalars, parts = self._rows(row)
        if scalars["node_order"] is not None:
            _check_own(parts["samples"], Order(scalars["node_order"], scalars["frame_order"]))
        return _without_tree(scalars, parts), self._trees.get(None, self._read_tree)

    def _rows(self, row: int) -> tuple[dict[str, Any], dict[str, Table]]:
        """Return the row of the main table, and those that belong to it of the long ones."""
        number = row // CHUNK
        chunk = self._chunks.get(
            (self._manifest.key, self._manifest.created_ns, number), partial(self._read_chunk, number)
        )
        scalars = {name: values[row - chunk.first] for name, values in chunk.main.items()}
        parts: dict[str, Table] = {}
        for name, table in chunk.parts.items():
            starts = self._starts[name]
            begin, end = starts[row] - starts[chunk.first], starts[row + 1] - starts[chunk.first]
            parts[name] = {column: values[begin:end] for column, values in table.items()}
        return scalars, parts

    def _profile_document(self, row: dict[str, Any], parts: Mapping[str, Table]) -> Document:
        nodes, frames = self._symbols.get(None, self._read_symbols)
        samples = parts["samples"]
        order = _order(row, samples, nodes)
        node_at = {number: index for index, number in enumerate(order.nodes)}
        frame_at = {number: index for index, number in enumerate(order.frames)}
        node_at[-1] = frame_at[-1] = -1
        return {
            **_without_tree(row, parts),
            "frames": {name: [frames[name][number] for number in order.frames] for name in Frame._fields},
            "nodes": {
                "parent": [node_at[nodes["parent"][number]] for number in order.nodes],
                "frame": [frame_at[nodes["frame"][number]] for number in order.nodes],
                "line": [nodes["line"][number] for number in order.nodes],
            },
            "samples": {
                **_picked(samples, Sample._fields),
                "node": [node_at[number] for number in samples["node"]],
                "holder": [frame_at[number] for number in samples["holder"]],
            },
        }

    def _read_tree(self) -> Tree:
        nodes, frames = self._read_symbols()
        return tree_from_document(
            {"frames": _picked(frames, Frame._fields), "nodes": _picked(nodes, Node._fields)}
        )

    def _read_symbols(self) -> tuple[Table, Table]:
        nodes, frames = (
            self._columns(name, 0, self._manifest.tables[name].rows) for name in ("nodes", "frames")
        )
        if any(map(operator.ge, nodes["parent"], count())):
            raise ValueError("a node has a parent that does not come before it")
        return nodes, frames

    def _columns(self, table: str, first: int, last: int, names: tuple[str, ...] | None = None) -> Table:
        """Return the columns of rows `first` to `last` as lists."""
        wanted = TABLES[table]
        chosen = names or _NEEDED[table]
        if last <= first:
            return {name: [] for name in chosen}
        if last - first > MAX_ROWS:
            raise ValueError(f"{last - first} rows of {table} at once, allowed are {MAX_ROWS}")
        scanned = pl.scan_parquet(io.BytesIO(self._tables[table]))
        # Polars names NumPy in the types of what it selects, which need not be installed.
        some = scanned.select(chosen)  # pyright: ignore[reportUnknownMemberType]
        found = some.slice(first, last - first).collect()
        if found.height != last - first:
            raise ValueError(f"{table} holds too few rows")
        for name, kind in found.schema.items():
            if kind != wanted[name]:
                raise ValueError(f"{table}.{name} is {kind}")
        check_amounts(table, found)
        return {name: found[name].to_list() for name in found.columns}


def _read(objects: ObjectStore, manifest: Manifest, name: str) -> bytes:
    """Return the bytes of a table, which are those that its manifest tells of."""
    place = f"{BLOCK_LAYOUT}/{manifest.place}"
    key = table_key(place, manifest.block, name)
    told: TableFile | None = manifest.tables.get(name)
    if told is None:
        raise CorruptProfile(manifest.key, f"tells of no table {name}")
    data = objects.read(key, told.size)
    if data is None:
        if objects.read(manifest.key, 0) is None:
            raise ProfileNotFound(f"{manifest.key}: is gone")
        raise CorruptProfile(key, "is missing")
    if len(data) != told.size or digest(data) != told.blake2b:
        raise CorruptProfile(key, "damaged or cut: its checksum is wrong")
    return data


def _order(row: dict[str, Any], samples: Table, nodes: Table) -> Order:
    if row["node_order"] is not None:
        return Order(row["node_order"], row["frame_order"])
    return first_uses(samples["node"], samples["holder"], nodes["parent"], nodes["frame"])


def _check_own(samples: Table, order: Order) -> None:
    """Refuse samples at nodes, or holders, of other profiles."""
    if not {*order.nodes}.issuperset(samples["node"]) or not {-1, *order.frames}.issuperset(
        samples["holder"]
    ):
        raise ValueError("a sample is at a node, or held by a frame, that its profile has not")


def _without_tree(row: dict[str, Any], parts: Mapping[str, Table]) -> Document:
    """Return the document of a profile without its frames and nodes; its samples point to those of the block."""
    return {
        **{name: row[name] for name in SCALARS},
        "tags": orjson.loads(row["tags"]),
        "sampling": {name: row[name] for name in SAMPLING},
        "enclosing": _picked(parts["enclosing"], Enclosing._fields),
        "samples": _picked(parts["samples"], Sample._fields),
        "branches": _picked(parts["branches"], Branch._fields),
        "children": {
            **_picked(parts["children"], ChildOperation._fields),
            "tags": [orjson.loads(tags) for tags in parts["children"]["tags"]],
        },
    }


def _picked(table: Table, names: tuple[str, ...]) -> Table:
    return {name: table[name] for name in names}


def _rollup_document(row: dict[str, Any], rollups: Table) -> Document:
    """Return a set of rollups as `rollup.to_document` has it."""
    return {
        **{name: row[name] for name in rollup.SCALARS},
        "rollups": _picked(rollups, rollup.PLAIN),
        "dropped": _cells(rollup.DROPPED, rollups["dropped_reasons"], rollups["dropped_counts"]),
        "buckets": _cells(rollup.CELLS, rollups["buckets"], rollups["bucket_counts"]),
    }


def _cells(names: tuple[str, ...], keys: list[list[Any]], counts: list[list[int]]) -> Table:
    """Return what each rollup counts by a key as three columns."""
    cells = [
        (index, key, count)
        for index, row in enumerate(keys)
        for key, count in zip(row, counts[index], strict=True)
    ]
    return (
        dict(zip(names, map(list, zip(*cells, strict=True)), strict=True))
        if cells
        else {name: [] for name in names}
    )
