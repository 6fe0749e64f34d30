"""`Catalog`: which blocks a store has, what is in them, and what was deleted out of them."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, NamedTuple

from profkit_storage.base import ProblemHandler, ProfileEntry
from profkit_storage.blocks.layout import BLOCK_LAYOUT, PROFILES, BlockObjects, grouped, remove
from profkit_storage.blocks.manifest import MAX_MANIFEST, Manifest, from_bytes
from profkit_storage.blocks.recent import Recent
from profkit_storage.checks import Malformed
from profkit_storage.document import Document, Tree, from_document
from profkit_storage.errors import CorruptProfile, StorageError
from profkit_storage.keys import hour_prefix
from profkit_storage.objects import ObjectStore, StoredObject
from profkit_storage.profile import Profile, Status
from profkit_storage.rollup import CorruptRollups, RollupSet
from profkit_storage.rollup import from_document as rollups_from_document

if TYPE_CHECKING:
    from profkit_storage.blocks.reading import BlockReader

_MANIFESTS = 64 * 1024 * 1024
"""Bytes of those that stay in memory, as they are stored: there is one for each service in each hour, or some."""
_LEAST = 64 * 1024
_GONE = b"deleted\n"
_FRESH = 1.0
"""Seconds for which a listing serves the next profiles of a batch: each would take one of its own."""


class _Vanished(Exception):
    """An object is gone since it was listed."""


class InBlock(NamedTuple):
    """Where in a block something is: `row` of its first table."""

    manifest: Manifest
    row: int

    @property
    def entry(self) -> ProfileEntry:
        """What is listed of the profile there."""
        return self.manifest.entry(self.row)


class _Listing(NamedTuple):
    """The blocks of a service in an hour, as they were `at` a moment of the monotonic clock."""

    hour: str
    service: str
    at: float
    blocks: list[BlockObjects]


_NOT_LISTED = _Listing("", "", 0.0, [])


class Catalog:
    """The blocks in `objects`. Nothing here needs Polars but `profile` and `rollups`."""

    def __init__(self, objects: ObjectStore) -> None:
        self._objects = objects
        self._manifests = Recent[StoredObject, Manifest](_MANIFESTS, lambda stored, _: stored.size + _LEAST)
        self._reader: BlockReader | None = None
        self._last = _NOT_LISTED

    def __reduce__(self) -> tuple[type[Catalog], tuple[ObjectStore]]:
        """Be sent to another process as what it tells of: what was read is of this one."""
        return Catalog, (self._objects,)

    def listed(
        self, objects: Iterable[StoredObject], kind: str, on_problem: ProblemHandler
    ) -> Iterator[tuple[str, InBlock]]:
        """Yield id and place of everything in the blocks of this kind among the objects of an hour."""
        for block in grouped(objects, on_problem):
            manifest = self._told(block, on_problem) if block.name.startswith(kind) else None
            if manifest:
                for id, row in manifest.rows.items():
                    if id not in block.gone:
                        yield id, InBlock(manifest, row)

    def profiles(
        self, objects: Iterable[StoredObject], on_problem: ProblemHandler
    ) -> Iterator[tuple[ProfileEntry, int]]:
        """Yield the entry of every profile in the blocks of an hour, and when its original was written."""
        for _, place in self.listed(objects, PROFILES, on_problem):
            try:
                yield place.manifest.listed(place.row)
            except CorruptProfile as error:
                on_problem(error.key, error.reason)

    def find(self, id: str, kind: str = PROFILES) -> InBlock | None:
        """Return where this id is, a finished profile before one that is not, a newer one before an older.

        Raises:
            CorruptProfile: it is in none, and a manifest that may tell of it is damaged.
        """
        return self._find(id, self._around(id, kind))

    def find_listed(self, id: str, service: str) -> InBlock | None:
        """Return what `find` does of a profile of a service, as it is in a key, that a scan has listed.

        The store is listed for it once a second: another process or thread may have deleted it as long ago.

        Raises:
            CorruptProfile: as `find` does.
        """
        hour = hour_prefix(id, BLOCK_LAYOUT) or ""
        last = self._last
        if (last.hour, last.service) != (hour, service) or time.monotonic() - last.at > _FRESH:
            last = _Listing(hour, service, time.monotonic(), self._around(id, PROFILES, service))
            self._last = last
        return self._find(id, last.blocks)

    def _find(self, id: str, blocks: Iterable[BlockObjects]) -> InBlock | None:
        damaged: list[CorruptProfile] = []
        found: list[InBlock] = []
        for block in blocks:
            try:
                manifest = None if id in block.gone else self.manifest(block)
                if manifest and id in manifest.rows:
                    found.append(InBlock(manifest, manifest.rows[id]))
            except CorruptProfile as error:
                damaged.append(error)
        if damaged and not found:
            raise damaged[0]
        return max(found, key=_rank, default=None)

    def profile(self, place: InBlock, *, shared: bool = False) -> Profile:
        """Return the profile at a place; a `shared` one has the frames and nodes of all profiles of its block.

        Raises:
            CorruptProfile: the block is damaged.
            ProfileNotFound: the block is gone.
            StorageError: it cannot be read.
        """
        document: Document
        tree: Tree | None = None
        if shared:
            document, tree = self._tables().with_tree(place.manifest, place.row)
        else:
            document = self._tables().document(place.manifest, place.row)
        try:
            profile = from_document(document, tree)
        except Malformed as error:
            raise CorruptProfile(place.manifest.key, f"row {place.row}: {error}") from None
        if profile.id != place.manifest.originals[place.row].id:
            raise CorruptProfile(place.manifest.key, f"row {place.row} holds another profile, {profile.id}")
        return profile

    def rollups(self, place: InBlock) -> RollupSet:
        """Return the set of rollups at a place.

        Raises:
            CorruptRollups: the block is damaged.
            StorageError: as `profile`.
        """
        try:
            document = self._tables().document(place.manifest, place.row)
            return rollups_from_document(document)
        except CorruptProfile as error:
            raise CorruptRollups(error.key, error.reason) from None
        except Malformed as error:
            raise CorruptRollups(place.manifest.key, f"row {place.row}: {error}") from None

    def bury(self, id: str) -> bool:
        """Mark a profile, whose originals are gone by now, as deleted wherever it is compacted or is being so.

        Returns whether it was in a block.
        """
        was_there = False
        self._last = _NOT_LISTED
        for block in self._around(id, PROFILES):
            if id not in block.gone:
                inside = self._holds(block, id)
                if inside is not False:
                    self._objects.write(block.gone_key(id), _GONE)
                was_there = was_there or inside is True
        return was_there

    def let_go(self, objects: Iterable[StoredObject], kind: str, ids: set[str]) -> set[str]:
        """Remove what has these ids from the blocks of an hour: a block whole if that is all it still has.

        What a compaction is writing is marked as well. Returns which of them were in a block.
        """
        found = set[str]()
        self._last = _NOT_LISTED
        for block in grouped(objects, _pass_over):
            if not block.name.startswith(kind):
                continue
            manifest = self._told(block, _pass_over)
            if manifest is None:
                self._mark(block, ids - block.gone if block.pending and not block.manifest else ())
                continue
            left = set(manifest.rows) - block.gone
            going = left & ids
            found |= going
            if going and going == left:
                self.drop(block)
            else:
                self._mark(block, going)
        return found

    def drop(self, block: BlockObjects) -> None:
        """Remove a block and all that is in it; what of it is left if this is killed is removed by a compaction.

        Raises:
            StorageError: something of it cannot be removed.
        """
        remove(self._objects, block)

    def manifest(self, block: BlockObjects) -> Manifest | None:
        """Return the manifest of a block; None if it has none (yet, or any more).

        Raises:
            CorruptProfile: it is damaged.
            StorageError: it cannot be read.
        """
        stored = block.manifest
        if stored is None:
            return None
        try:
            return self._manifests.get(stored, lambda: self._read_manifest(stored.key))
        except _Vanished:
            return None

    def _mark(self, block: BlockObjects, ids: Iterable[str]) -> None:
        for id in ids:
            self._objects.write(block.gone_key(id), _GONE)

    def _read_manifest(self, key: str) -> Manifest:
        data = self._objects.read(key, MAX_MANIFEST)
        if data is None:
            raise _Vanished
        return from_bytes(data, key)

    def _told(self, block: BlockObjects, on_problem: ProblemHandler) -> Manifest | None:
        try:
            return self.manifest(block)
        except CorruptProfile as error:
            on_problem(error.key, error.reason)
        except StorageError as error:
            on_problem(block.manifest_key, str(error))
        return None

    def _holds(self, block: BlockObjects, id: str) -> bool | None:
        """Tell whether a block holds this id; None if that is not known: it is being written, or is damaged."""
        try:
            manifest = self.manifest(block)
        except CorruptProfile:
            return None
        return None if manifest is None else id in manifest.rows

    def _around(self, id: str, kind: str, service: str | None = None) -> list[BlockObjects]:
        """Return the blocks of the hour that an id lies in, perhaps only those of a service."""
        hour = hour_prefix(id, BLOCK_LAYOUT)
        if hour is None:
            return []
        blocks = grouped(self._objects.find(hour, f"{kind}-", service), _pass_over)
        return [block for block in blocks if service is None or block.place.endswith(f"/service={service}")]

    def _tables(self) -> BlockReader:
        if self._reader is None:
            self._reader = _new_reader(self._objects)
        return self._reader


def _new_reader(objects: ObjectStore) -> BlockReader:
    try:
        from profkit_storage.blocks.reading import BlockReader
    except ModuleNotFoundError as error:
        if error.name != "polars":
            raise
        raise missing_polars() from None
    return BlockReader(objects)


def missing_polars() -> StorageError:
    """Return the error that says how to get Polars."""
    return StorageError("compacted profiles are read and written by Polars: install profkit[analyze]")


def _pass_over(key: str, reason: str) -> None:
    """Say nothing of what is no part of a block: scans do."""


def _rank(place: InBlock) -> tuple[bool, int, str]:
    one = place.manifest.originals[place.row]
    return f".{Status.RUNNING}." not in one.name, one.modified, place.manifest.block
