"""Documents of profiles and of rollups -> the tables of a block. Imports Polars."""

from __future__ import annotations

import abc
import io
from collections.abc import Iterable, Mapping, Sequence
from itertools import repeat
from typing import Any

import orjson
import polars as pl

from profkit_storage.blocks.schema import ROW_GROUP, TABLES
from profkit_storage.blocks.symbols import Symbols, first_uses, in_order
from profkit_storage.document import Document

_LEVEL = 9
_FLUSH_ROWS = 50_000
"""Rows kept as Python objects, which take ten times the memory, before they become a part of a table."""


class BlockWriter(abc.ABC):
    """Gathers what goes into the block `block`; `tables` are the names of those it has."""

    tables: Sequence[str]

    def __init__(self, block: str) -> None:
        self._block = block
        self._rows: dict[str, dict[str, list[Any]]] = {name: _empty(name) for name in self.tables}
        self._parts: dict[str, list[pl.DataFrame]] = {name: [] for name in self.tables}
        self.count = 0
        """Documents added so far."""

    def add(self, document: Document) -> None:
        """Add what one stored object holds, as `checked` returns it."""
        self._add(document, self.count)
        self.count += 1
        for name, rows in self._rows.items():
            if max(map(len, rows.values())) >= _FLUSH_ROWS:
                self._flush(name)

    def files(self) -> Iterable[tuple[str, int, bytes]]:
        """Yield each table's name, its rows and its Parquet bytes; nothing can be added afterwards."""
        self._finish()
        for name in TABLES:
            if name in self.tables:
                self._flush(name)
                table = pl.concat(self._parts.pop(name), rechunk=True)
                yield name, table.height, _parquet(table)

    @abc.abstractmethod
    def _add(self, document: Document, number: int) -> None:
        """Append the rows of a document, the block's `number`th."""

    def _finish(self) -> None:
        """Append what is known at the end only."""

    def _extend(self, table: str, count: int, columns: Mapping[str, Iterable[Any]]) -> None:
        rows = self._rows[table]
        rows["block"].extend(repeat(self._block, count))
        for name, values in columns.items():
            rows[name].extend(values)

    def _flush(self, name: str) -> None:
        self._parts[name].append(pl.DataFrame(self._rows[name], schema=dict(TABLES[name])))
        self._rows[name] = _empty(name)


class ProfileWriter(BlockWriter):
    """Writes profiles: row n of each long table belongs to the profile whose number is in its column `profile`."""

    tables = ("samples", "branches", "children", "enclosing", "nodes", "frames", "profiles")
    _own = ("tags", "sampling", "enclosing", "frames", "nodes", "samples", "branches", "children")

    def __init__(self, block: str) -> None:
        super().__init__(block)
        self._symbols = Symbols()

    def _add(self, document: Document, number: int) -> None:
        frames = self._symbols.add_frames(document["frames"])
        nodes = self._symbols.add_nodes(document["nodes"], frames)
        samples = document["samples"]
        parents, frame_of = document["nodes"]["parent"], document["nodes"]["frame"]
        uses = first_uses(samples["node"], samples["holder"], parents, frame_of)
        stored = in_order(uses, len(nodes), len(frames))
        row = {name: value for name, value in document.items() if name not in self._own}
        row |= document["sampling"] | {
            "profile": number,
            "tags": _json(document["tags"]),
            "samples": len(samples["node"]),
            "branches": len(document["branches"]["name"]),
            "children": len(document["children"]["name"]),
            "enclosing": len(document["enclosing"]["number"]),
            "frame_order": None if stored else frames,
            "node_order": None if stored else nodes,
        }
        self._extend("profiles", 1, {name: [value] for name, value in row.items()})
        self._add_samples(samples, number, nodes, frames)
        self._add_rest(document, number)

    def _add_samples(
        self, samples: dict[str, list[Any]], number: int, nodes: list[int], frames: list[int]
    ) -> None:
        count = len(samples["node"])
        columns: dict[str, Iterable[Any]] = {
            **samples,
            "profile": repeat(number, count),
            "node": map(nodes.__getitem__, samples["node"]),
            "holder": [frames[holder] if holder >= 0 else -1 for holder in samples["holder"]],
        }
        self._extend("samples", count, columns)

    def _add_rest(self, document: Document, number: int) -> None:
        for table, index in (("branches", "branch"), ("children", "child"), ("enclosing", None)):
            columns: dict[str, Iterable[Any]] = dict(document[table])
            count = len(document[table]["parent" if index else "number"])
            columns["profile"] = repeat(number, count)
            if index:
                columns[index] = range(count)
            if "tags" in columns:
                columns["tags"] = map(_json, columns["tags"])
            self._extend(table, count, columns)

    def _finish(self) -> None:
        for table, index, rows in (
            ("frames", "frame", self._symbols.frames()),
            ("nodes", "node", self._symbols.nodes()),
        ):
            names = [name for name in TABLES[table] if name not in {"block", index}]
            columns: dict[str, Iterable[Any]] = dict(zip(names, zip(*rows, strict=True), strict=False))
            self._extend(table, len(rows), {index: range(len(rows)), **columns})


class RollupWriter(BlockWriter):
    """Writes sets of rollups, and a row for each of their rollups."""

    tables = ("rollups", "sets")
    _own = ("rollups", "dropped", "buckets")

    def _add(self, document: Document, number: int) -> None:
        rollups = document["rollups"]
        count = len(rollups["operation"])
        row = {name: value for name, value in document.items() if name not in self._own}
        row |= {"set": number, "rollups": count}
        self._extend("sets", 1, {name: [value] for name, value in row.items()})
        reasons = _lists(count, document["dropped"], "reason")
        buckets = _lists(count, document["buckets"], "bucket")
        self._extend(
            "rollups",
            count,
            {
                **rollups,
                "set": repeat(number, count),
                "dropped_reasons": reasons[0],
                "dropped_counts": reasons[1],
                "buckets": buckets[0],
                "bucket_counts": buckets[1],
            },
        )


def _lists(count: int, cells: dict[str, Sequence[Any]], key: str) -> tuple[list[list[Any]], list[list[Any]]]:
    """Return for each rollup the keys that it counts by, and the counts."""
    keys: list[list[Any]] = [[] for _ in range(count)]
    counts: list[list[Any]] = [[] for _ in range(count)]
    for index, name, number in zip(cells["rollup"], cells[key], cells["count"], strict=True):
        keys[index].append(name)
        counts[index].append(number)
    return keys, counts


def _json(value: object) -> str:
    return orjson.dumps(value).decode()


def _empty(table: str) -> dict[str, list[Any]]:
    return {name: [] for name in TABLES[table]}


def _parquet(table: pl.DataFrame) -> bytes:
    buffer = io.BytesIO()
    table.write_parquet(buffer, compression="zstd", compression_level=_LEVEL, row_group_size=ROW_GROUP)
    return buffer.getvalue()
