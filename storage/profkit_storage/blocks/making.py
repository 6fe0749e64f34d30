"""One block: from the originals it is made of to the manifest that lets it be seen. Imports Polars."""

from __future__ import annotations

import os
import secrets
import socket
import time
from collections.abc import Iterable, Sequence
from importlib.metadata import version

import orjson

from profkit_storage.base import ProblemHandler
from profkit_storage.blocks.kinds import Kind
from profkit_storage.blocks.layout import BLOCK_LAYOUT, table_key
from profkit_storage.blocks.manifest import (
    BLOCK_SCHEMA,
    MAX_MANIFEST,
    Manifest,
    Original,
    TableFile,
    digest,
    from_bytes,
    to_bytes,
)
from profkit_storage.blocks.reading import Block
from profkit_storage.blocks.writing import BlockWriter
from profkit_storage.checks import Malformed
from profkit_storage.codec import MAX_SIZE
from profkit_storage.document import Document
from profkit_storage.errors import CorruptProfile
from profkit_storage.objects import ObjectStore, StoredObject


class _Left(Exception):
    """Originals that a block cannot be made with: gone or replaced since, or not the same when read back."""

    def __init__(self, keys: set[str]) -> None:
        super().__init__(keys)
        self.keys = keys


class BlockMaker:
    """Makes blocks of one kind in `place` (`date=YYYY-MM-DD/hour=HH/service=S`)."""

    def __init__(self, objects: ObjectStore, kind: Kind, place: str, on_problem: ProblemHandler) -> None:
        self._objects = objects
        self._kind = kind
        self._place = place
        self._on_problem = on_problem

    def make(self, originals: Sequence[StoredObject]) -> Manifest | None:
        """Make a block of what can be read of these and return its manifest.

        None if nothing can be read, or another compaction has made that block since these were listed.

        Damaged originals are reported.

        Raises:
            StorageError: the store cannot be read or written. What was written is removed by a later compaction.
        """
        while originals:
            name = self._name(originals)
            if self._is_made(name):
                return None
            mark = f"{BLOCK_LAYOUT}/{self._place}/{name}.{secrets.token_hex(8)}.pending"
            # From here on whoever deletes one of the originals tells it to this block too.
            self._objects.write(mark, pending_mark())
            try:
                manifest = self._make(name, originals)
            except _Left as left:
                originals = [one for one in originals if one.key not in left.keys]
                self._objects.remove(mark)
                if self._is_made(name):
                    return None
            else:
                self._objects.remove(mark)
                return manifest
        return None

    def _is_made(self, name: str) -> bool:
        """Tell whether another compaction has made this block meanwhile."""
        key = f"{BLOCK_LAYOUT}/{self._place}/{name}.manifest.json"
        data = self._objects.read(key, MAX_MANIFEST)
        try:
            return data is not None and bool(from_bytes(data, key))
        except CorruptProfile:
            return False

    def _name(self, originals: Iterable[StoredObject]) -> str:
        """Return a name that says what a block is made from, and by what: what has the same name is the same."""
        made = [BLOCK_SCHEMA, version("polars"), self._place, *([*one] for one in originals)]
        return f"{self._kind.letter}-{digest(orjson.dumps(made))}"

    def _make(self, name: str, originals: Sequence[StoredObject]) -> Manifest | None:
        writer = self._kind.writer(name)
        kept: dict[str, bytes] = {}
        held: list[Original] = []
        gone = set[str]()
        for one in originals:
            data = self._objects.read(one.key, MAX_SIZE)
            if data is None or len(data) != min(one.size, MAX_SIZE + 1):
                gone.add(one.key)
                continue
            document = self._decoded(data, one)
            if document:
                writer.add(document)
                kept[one.key] = _fingerprint(document)
                held.append(Original(one.key.rpartition("/")[2], one.size, one.modified))
        if gone:
            raise _Left(gone)
        if not held:
            return None
        manifest = Manifest(
            block=name,
            place=self._place,
            host=socket.gethostname(),
            pid=os.getpid(),
            created_ns=time.time_ns(),
            tables=self._write(name, writer),
            originals=held,
        )
        self._compare(manifest, kept)
        self._objects.write(manifest.key, to_bytes(manifest))
        return manifest

    def _decoded(self, data: bytes, one: StoredObject) -> Document | None:
        try:
            document = self._kind.decode(data, one.key)
        except CorruptProfile as error:
            self._on_problem(error.key, error.reason)
            return None
        if document["id"] == self._kind.id_of(one):
            return document
        self._on_problem(one.key, f"holds another, {document['id']}")
        return None

    def _write(self, name: str, writer: BlockWriter) -> dict[str, TableFile]:
        tables: dict[str, TableFile] = {}
        for table, rows, data in writer.files():
            self._objects.write(table_key(f"{BLOCK_LAYOUT}/{self._place}", name, table), data)
            tables[table] = TableFile(rows, len(data), digest(data))
        return tables

    def _compare(self, manifest: Manifest, kept: dict[str, bytes]) -> None:
        """Read back what was written; each document must be what went in."""
        different = set[str]()
        for (key, fingerprint), document in zip(
            kept.items(), Block(self._objects, manifest).every(), strict=True
        ):
            try:
                same = _fingerprint(self._kind.checked(document)) == fingerprint
            except Malformed:
                same = False
            if not same:
                self._on_problem(key, "reads back differently from a block, and is left as it is")
                different.add(key)
        if different:
            raise _Left(different)


def pending_mark() -> bytes:
    """Return what the mark of a block that is being written holds."""
    return orjson.dumps({"host": socket.gethostname(), "pid": os.getpid(), "created_ns": time.time_ns()})


def pending_since(data: bytes) -> int:
    """Return when a mark was made, in nanoseconds since the epoch; 0 if it does not tell."""
    try:
        created = orjson.loads(data)["created_ns"]
    except (ValueError, TypeError, LookupError):
        return 0
    return created if isinstance(created, int) else 0


def _fingerprint(document: Document) -> bytes:
    return bytes.fromhex(digest(orjson.dumps(document)))
