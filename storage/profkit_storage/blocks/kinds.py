"""What is compacted: profiles, and sets of rollups. Each kind says how it is stored, and what becomes its tables."""

from __future__ import annotations

import abc
from typing import TYPE_CHECKING

from profkit_storage import rollup
from profkit_storage.blocks.layout import PROFILES, ROLLUPS
from profkit_storage.codec import decode_columns, decode_rollups
from profkit_storage.document import Document, checked
from profkit_storage.keys import LAYOUT, ROLLUP_LAYOUT, parse_key, parse_rollup_key
from profkit_storage.objects import StoredObject
from profkit_storage.profile import Status

if TYPE_CHECKING:
    from profkit_storage.blocks.writing import BlockWriter


class Kind(abc.ABC):
    """One kind of stored object: below which `layout` it lies, and the letter that its blocks' names begin with."""

    layout: str
    letter: str

    @abc.abstractmethod
    def id_of(self, one: StoredObject) -> str | None:
        """Return the id in an object's key; None if it is none of this kind."""

    def finished(self, key: str) -> bool:  # noqa: ARG002 - for kinds that are stored before they are
        """Tell whether what lies under this key is final."""
        return True

    @abc.abstractmethod
    def decode(self, data: bytes, key: str) -> Document:
        """Return the document in an object, checked; `CorruptProfile` if it is damaged."""

    @abc.abstractmethod
    def checked(self, document: Document) -> Document:
        """Return a document that was read from a block as `decode` returns it; `Malformed` if it is none."""

    @abc.abstractmethod
    def writer(self, block: str) -> BlockWriter:
        """Return what writes a block of this kind."""


class ProfileKind(Kind):
    """Profiles."""

    layout = LAYOUT
    letter = PROFILES

    def id_of(self, one: StoredObject) -> str | None:
        entry = parse_key(one.key, one.size)
        return entry.id if entry else None

    def finished(self, key: str) -> bool:
        return key.rsplit(".", 3)[1] != Status.RUNNING

    def decode(self, data: bytes, key: str) -> Document:
        return decode_columns(data, key)

    def checked(self, document: Document) -> Document:
        return checked(document)

    def writer(self, block: str) -> BlockWriter:
        from profkit_storage.blocks.writing import ProfileWriter

        return ProfileWriter(block)


class RollupKind(Kind):
    """Sets of rollups."""

    layout = ROLLUP_LAYOUT
    letter = ROLLUPS

    def id_of(self, one: StoredObject) -> str | None:
        return parse_rollup_key(one.key)

    def decode(self, data: bytes, key: str) -> Document:
        return rollup.to_document(decode_rollups(data, key))

    def checked(self, document: Document) -> Document:
        return rollup.to_document(rollup.from_document(document))

    def writer(self, block: str) -> BlockWriter:
        from profkit_storage.blocks.writing import RollupWriter

        return RollupWriter(block)


KINDS: tuple[Kind, ...] = (ProfileKind(), RollupKind())
