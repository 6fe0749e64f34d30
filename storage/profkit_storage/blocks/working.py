"""What a compaction does in one hour of one service."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import NamedTuple

from profkit_storage.base import ProblemHandler
from profkit_storage.blocks.kinds import Kind
from profkit_storage.blocks.layout import BLOCK_LAYOUT, PROFILES, BlockObjects, remove
from profkit_storage.blocks.manifest import MAX_MANIFEST, Manifest, Original, from_bytes
from profkit_storage.errors import CorruptProfile
from profkit_storage.names import unescape_name
from profkit_storage.objects import ObjectStore, StoredObject

STALE_SECONDS = 3600.0
"""Age at which what a compaction left behind that was killed may go."""

MAX_BYTES = 32 * 1024 * 1024
"""Originals of one block, which is made in memory."""


@dataclass(slots=True, kw_only=True)
class Compacted:
    """What was done with an hour of a service: `profiles` and sets of `rollups` from `before` to `after` bytes.

    `removed` counts originals that went; `waiting` those that a block holds and whose grace period is not over;
    `damaged` what was reported and left alone.
    """

    hour: str
    service: str
    profiles: int = 0
    rollups: int = 0
    blocks: int = 0
    before: int = 0
    after: int = 0
    removed: int = 0
    waiting: int = 0
    damaged: int = 0

    def add(self, other: Compacted) -> None:
        """Count what was done elsewhere too."""
        for name in ("profiles", "rollups", "blocks", "before", "after", "removed", "waiting", "damaged"):
            setattr(self, name, getattr(self, name) + getattr(other, name))

    @property
    def nothing(self) -> bool:
        """Whether there was nothing to do, and nothing to tell."""
        return not (self.blocks or self.removed or self.waiting or self.damaged)


@dataclass(slots=True)
class Service:
    """What an hour holds of one service: originals of one kind, and blocks with their manifests."""

    place: str
    originals: list[StoredObject] = field(default_factory=list[StoredObject])
    blocks: list[BlockObjects] = field(default_factory=list[BlockObjects])


class _Held(NamedTuple):
    """A block that can be read, and what its manifest tells of each original that was not deleted out of it."""

    block: BlockObjects
    manifest: Manifest
    exact: set[Original]
    finished: set[str]
    """Ids of which it holds the final state."""


class ServiceWork:
    """Compacts one kind of object of one service in one hour; see `Compaction` for the arguments."""

    def __init__(
        self,
        objects: ObjectStore,
        kind: Kind,
        service: Service,
        *,
        grace: timedelta,
        max_objects: int,
        smallest: int,
        on_problem: ProblemHandler,
    ) -> None:
        self._objects = objects
        self._kind = kind
        self._service = service
        self._grace_ns = grace // timedelta(microseconds=1) * 1000
        self._max_objects = max_objects
        self._smallest = smallest
        self._on_problem = on_problem
        date, hour, name = service.place.split("/")
        self._hour = f"{kind.layout}/{date}/{hour}"
        self._done = Compacted(
            hour=f"{date.removeprefix('date=')}T{hour.removeprefix('hour=')}",
            service=unescape_name(name.removeprefix("service=")) or "",
        )

    def plan(self) -> Compacted:
        """Return what `run` would compact and remove, having looked at manifests only."""
        held = self._held()
        for chunk in self._chunks(self._open(held)):
            self._count(chunk)
        due = [one for one in held if self._is_due(one.manifest)]
        self._done.removed = len(self._covered(due, self._service.originals))
        self._done.waiting = len(self._covered(held, self._service.originals)) - self._done.removed
        return self._done

    def run(self) -> Compacted:
        """Compact, and remove what is due."""
        from profkit_storage.blocks.making import BlockMaker

        self._sweep()
        held = self._verified(self._held())
        maker = BlockMaker(self._objects, self._kind, self._service.place, self._problem)
        for chunk in self._chunks(self._open(held)):
            manifest = maker.make(chunk)
            if manifest:
                names = {one.name for one in manifest.originals}
                self._count([one for one in chunk if one.key.rpartition("/")[2] in names])
                self._done.after += sum(table.size for table in manifest.tables.values())
                block = BlockObjects(f"{BLOCK_LAYOUT}/{self._service.place}", manifest.block)
                held.append(_holding(block, manifest, self._kind))
        self._clean(held)
        return self._done

    def _problem(self, key: str, reason: str) -> None:
        self._done.damaged += 1
        self._on_problem(key, reason)

    def _count(self, originals: Sequence[StoredObject]) -> None:
        if self._kind.letter == PROFILES:
            self._done.profiles += len(originals)
        else:
            self._done.rollups += len(originals)
        self._done.before += sum(one.size for one in originals)
        self._done.blocks += 1

    def _held(self) -> list[_Held]:
        """Return the blocks whose manifests can be read; the others are reported."""
        found: list[_Held] = []
        for block in self._service.blocks:
            if block.manifest:
                data = self._objects.read(block.manifest.key, MAX_MANIFEST)
                try:
                    if data is not None:
                        found.append(_holding(block, from_bytes(data, block.manifest.key), self._kind))
                except CorruptProfile as error:
                    self._problem(error.key, error.reason)
        return found

    def _verified(self, held: list[_Held]) -> list[_Held]:
        """Return the blocks that are whole, or of which no original is left.

        One that is damaged, and all of whose originals are there, is removed to be made again.
        """
        whole: list[_Held] = []
        for one in held:
            covered = self._covered([one], self._service.originals)
            if not covered or self._is_whole(one.manifest):
                whole.append(one)
            elif len({_id_of(original) for original in covered}) == len(one.exact):
                remove(self._objects, one.block)
        return whole

    def _is_whole(self, manifest: Manifest) -> bool:
        from profkit_storage.blocks.reading import Block

        try:
            Block(self._objects, manifest)
        except CorruptProfile as error:
            self._problem(error.key, error.reason)
            return False
        return True

    def _is_due(self, manifest: Manifest) -> bool:
        return time.time_ns() - manifest.created_ns >= self._grace_ns

    def _open(self, held: Sequence[_Held]) -> list[StoredObject]:
        """Return what is in no block yet and is enough for one: of each id the object that counts, in order."""
        inside = {one.key for one in self._covered(held, self._service.originals)}
        best: dict[str, StoredObject] = {}
        for one in sorted(self._service.originals, key=self._rank):
            best[_id_of(one)] = one
        found = sorted(one for one in best.values() if one.key not in inside)
        return found if sum(one.size for one in found) >= self._smallest else []

    def _covered(self, held: Sequence[_Held], originals: Sequence[StoredObject]) -> list[StoredObject]:
        """Return the originals that may go for these blocks, of each id the ones that count less first.

        An id's all may go if a block holds the one that counts, as it is; or its final state, and they are not final.
        """
        exact = set[Original]().union(*(one.exact for one in held))
        finished = set[str]().union(*(one.finished for one in held))
        ids: dict[str, list[StoredObject]] = {}
        for one in sorted(originals, key=self._rank):
            ids.setdefault(_id_of(one), []).append(one)
        return [
            one
            for id, objects in ids.items()
            if _named(objects[-1]) in exact or (id in finished and not self._kind.finished(objects[-1].key))
            for one in objects
        ]

    def _rank(self, one: StoredObject) -> tuple[bool, int, str]:
        return self._kind.finished(one.key), one.modified, one.key

    def _chunks(self, originals: Sequence[StoredObject]) -> Iterator[list[StoredObject]]:
        chunk: list[StoredObject] = []
        size = 0
        for one in originals:
            if chunk and (len(chunk) == self._max_objects or size + one.size > MAX_BYTES):
                yield chunk
                chunk, size = [], 0
            chunk.append(one)
            size += one.size
        if chunk:
            yield chunk

    def _clean(self, held: Sequence[_Held]) -> None:
        """Remove originals whose block is old enough, as they are listed now."""
        if not held:
            return
        listed = [
            one
            for one in self._objects.find(self._hour, "")
            if one.key.startswith(f"{self._kind.layout}/{self._service.place}/") and self._kind.id_of(one)
        ]
        due = self._covered([one for one in held if self._is_due(one.manifest)], listed)
        self._done.waiting = len(self._covered(held, listed)) - len(due)
        self._done.removed = self._objects.remove_all(one.key for one in due)

    def _sweep(self) -> None:
        """Remove what killed compactions left behind, once it is old enough that none can still be at it."""
        for block in self._service.blocks:
            stale = [key for key in block.pending if self._is_stale(key)]
            if block.manifest:
                self._objects.remove_all(stale)
            elif not block.pending:
                # Perhaps listed while it came to be: looked at again when this mark is old.
                from profkit_storage.blocks.making import pending_mark

                self._objects.write(f"{block.place}/{block.name}.{'0' * 16}.pending", pending_mark())
            elif len(stale) == len(block.pending) and self._objects.read(block.manifest_key, 0) is None:
                remove(self._objects, block)

    def _is_stale(self, key: str) -> bool:
        from profkit_storage.blocks.making import pending_since

        data = self._objects.read(key, 4096)
        return data is not None and time.time_ns() - pending_since(data) >= STALE_SECONDS * 1e9


def _holding(block: BlockObjects, manifest: Manifest, kind: Kind) -> _Held:
    there = [one for one in manifest.originals if one.id not in block.gone]
    return _Held(block, manifest, set(there), {one.id for one in there if kind.finished(one.name)})


def _id_of(one: StoredObject) -> str:
    """Return the id in the key of what is known to be of a kind."""
    return one.key.rpartition("/")[2].partition(".")[0]


def _named(one: StoredObject) -> Original:
    return Original(one.key.rpartition("/")[2], one.size, one.modified)
