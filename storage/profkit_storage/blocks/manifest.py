"""The manifest of a block: what is in it, told in JSON that is read without Polars, and checked whole."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple, cast, overload

import orjson

from profkit_storage.base import ProfileEntry
from profkit_storage.blocks.layout import BLOCK_LAYOUT, PROFILES
from profkit_storage.checks import Malformed, shown
from profkit_storage.codec import check_values
from profkit_storage.errors import CorruptProfile
from profkit_storage.fields import Columns, Fields
from profkit_storage.keys import LAYOUT, ROLLUP_LAYOUT, ROLLUP_SUFFIX, SUFFIX, parse_key, parse_rollup_key

BLOCK_SCHEMA = 1
MAX_MANIFEST = 64 * 1024 * 1024
"""Bytes of the longest manifest that is read: one of 10,000 profiles takes one."""

MAX_TABLE = 2**31 - 1
"""Bytes of the longest table that is read."""

_DIGEST = 16
_HEX = re.compile(r"[0-9a-f]{32}")
_FIELDS = "schema", "block", "place", "host", "pid", "created_ns", "tables", "kinds", "originals"
_TABLE = "name", "rows", "size", "blake2b"
_KINDS = "category", "operation", "status", "trigger"
_ORIGINALS = "id", "kind", "ms", "size", "modified"


class TableFile(NamedTuple):
    """One table of a block as it is stored: `rows`, `size` in bytes, and the BLAKE2b (16 bytes, hex) of these."""

    rows: int
    size: int
    blake2b: str


class Original(NamedTuple):
    """An object whose content a block holds: its name below its directory, as listed when it was read."""

    name: str
    size: int
    modified: int

    @property
    def id(self) -> str:
        """The id of the profile, or set of rollups."""
        return self.name.partition(".")[0]


class Originals(Sequence[Original]):
    """What a manifest tells of them, each made when it is asked for: most readers need one of 10,000."""

    def __init__(
        self,
        kinds: Sequence[tuple[str, str, str, str]],
        columns: tuple[list[str], list[int], list[int], list[int], list[int]],
    ) -> None:
        self._kinds = kinds
        self.ids, self._kind, self._ms, self.sizes, self._modified = columns

    def __len__(self) -> int:
        return len(self.ids)

    @overload
    def __getitem__(self, row: int) -> Original: ...
    @overload
    def __getitem__(self, row: slice) -> Sequence[Original]: ...
    def __getitem__(self, row: int | slice) -> Original | Sequence[Original]:
        if isinstance(row, slice):
            return [self[index] for index in range(*row.indices(len(self)))]
        id, kind = self.ids[row], self._kind[row]
        name = id + ROLLUP_SUFFIX
        if kind >= 0:
            category, operation, status, trigger = self._kinds[kind]
            name = f"{id}.{category}.{operation}.{self._ms[row]}.{status}.{trigger}{SUFFIX}"
        return Original(name, self.sizes[row], self._modified[row])


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """What a block holds: row n of its first table is what was in `originals[n]`.

    `place` is `date=YYYY-MM-DD/hour=HH/service=S`; `host`, `pid` and `created_ns` (UTC, nanoseconds since the epoch)
    tell who made it, and when. `size` is the bytes of the manifest itself, 0 if it was not read from a store.
    """

    block: str
    place: str
    host: str
    pid: int
    created_ns: int
    tables: Mapping[str, TableFile]
    originals: Sequence[Original]
    size: int = 0
    rows: Mapping[str, int] = field(init=False)
    """The row of each id."""
    _share: float = field(init=False, repr=False)
    """Bytes of the block for each byte of its originals."""

    def __post_init__(self) -> None:
        originals = self.originals
        ids = originals.ids if isinstance(originals, Originals) else [one.id for one in originals]
        sizes = originals.sizes if isinstance(originals, Originals) else [one.size for one in originals]
        room = self.size + sum(table.size for table in self.tables.values())
        object.__setattr__(self, "rows", dict(zip(ids, range(len(ids)), strict=True)))
        object.__setattr__(self, "_share", room / max(1, sum(sizes)))

    @property
    def key(self) -> str:
        """Where it is stored."""
        return f"{BLOCK_LAYOUT}/{self.place}/{self.block}.manifest.json"

    def original_key(self, row: int) -> str:
        """Return where the original of a row was stored."""
        layout = LAYOUT if self.block.startswith(PROFILES) else ROLLUP_LAYOUT
        return f"{layout}/{self.place}/{self.originals[row].name}"

    def entry(self, row: int) -> ProfileEntry:
        """Return what the key of a row's original said, under a key of its own that is none of an object.

        Its size is the profile's part of the block, by that of its original: room that can be told of, and pruned.

        Raises:
            CorruptProfile: it says nothing.
        """
        return self.listed(row)[0]

    def listed(self, row: int) -> tuple[ProfileEntry, int]:
        """Return that, and when the original was written; raises as `entry` does."""
        name, size, modified = self.originals[row]
        found = parse_key(f"{LAYOUT}/{self.place}/{name}", round(size * self._share))
        if found is None:
            raise CorruptProfile(self.key, f"has {shown(name)} in it, which is not named as a profile is")
        return replace(found, key=f"{BLOCK_LAYOUT}/{self.place}/{name}"), modified


def digest(data: bytes) -> str:
    """Return the checksum of a table, or of a manifest."""
    return hashlib.blake2b(data, digest_size=_DIGEST).hexdigest()


def to_bytes(manifest: Manifest) -> bytes:
    """Return a manifest as it is stored."""
    body = orjson.dumps(_document(manifest))
    return b'{"blake2b":"%s","manifest":%s}\n' % (digest(body).encode(), body)


def from_bytes(data: bytes, key: str) -> Manifest:
    """Return the manifest stored under `key`.

    Raises:
        CorruptProfile: it is not a whole, undamaged, valid manifest of a schema this version reads.
    """
    try:
        check_values(data)
        whole = Fields("", orjson.loads(data), ("blake2b", "manifest"))
        body = whole.get("manifest")
        if whole.text("blake2b") != digest(orjson.dumps(body)):
            raise Malformed("damaged or cut: its checksum is wrong")
        found = _checked(body, len(data))
        if found.key != key:
            raise Malformed(f"is the manifest of another block, {shown(found.key)}")
    except (ValueError, TypeError) as error:
        raise CorruptProfile(key, str(error)) from None
    return found


def _document(manifest: Manifest) -> dict[str, object]:
    tables = [(name, *table) for name, table in manifest.tables.items()]
    kinds: dict[tuple[str, ...], int] = {}
    rows: list[tuple[object, ...]] = []
    for name, size, modified in manifest.originals:
        id, *rest = name.split(".")
        ms = int(rest.pop(2)) if len(rest) > 3 else 0
        kind = kinds.setdefault(tuple(rest[:-1]), len(kinds)) if rest[:-1] else -1
        rows.append((id, kind, ms, size, modified))
    return {
        "schema": BLOCK_SCHEMA,
        **{name: getattr(manifest, name) for name in ("block", "place", "host", "pid", "created_ns")},
        "tables": _columns(_TABLE, tables),
        "kinds": _columns(_KINDS, list(kinds)),
        "originals": _columns(_ORIGINALS, rows),
    }


def _columns(names: Sequence[str], rows: Sequence[Sequence[object]]) -> dict[str, Sequence[object]]:
    return dict(zip(names, zip(*rows, strict=True), strict=True)) if rows else dict.fromkeys(names, ())


def _checked(body: object, size: int) -> Manifest:
    schema = _schema(body)
    if schema != BLOCK_SCHEMA:
        raise Malformed(
            f"schema {shown(schema)}; this version of profkit reads schema {BLOCK_SCHEMA} of blocks"
        )
    fields = Fields("", body, _FIELDS)
    manifest = Manifest(
        block=fields.text("block"),
        place=fields.text("place"),
        host=fields.text("host"),
        pid=fields.integer("pid"),
        created_ns=fields.integer("created_ns"),
        tables=_tables(fields),
        originals=_originals(fields),
        size=size,
    )
    for row in range(0 if manifest.block.startswith(PROFILES) else len(manifest.originals)):
        if not parse_rollup_key(manifest.original_key(row)):
            raise Malformed(f"has {shown(manifest.originals[row].name)} in it, which is no set of rollups")
    if len(manifest.rows) != len(manifest.originals):
        raise Malformed("originals hold an id twice")
    return manifest


def _schema(body: object) -> object:
    return cast("dict[str, object]", body).get("schema") if isinstance(body, dict) else None


def _tables(fields: Fields) -> dict[str, TableFile]:
    table = Columns("tables", fields.get("tables"), _TABLE)
    digests = table.texts("blake2b")
    if not all(map(_HEX.fullmatch, digests)):
        raise Malformed("tables.blake2b holds what is no checksum")
    columns = table.integers("rows", 0, 2**31 - 1), table.integers("size", 1, MAX_TABLE), digests
    files = map(TableFile._make, zip(*columns, strict=True))
    return dict(zip(table.texts("name"), files, strict=True))


def _originals(fields: Fields) -> Originals:
    kinds = Columns("kinds", fields.get("kinds"), _KINDS)
    category, operation, status, trigger = (kinds.texts(name) for name in _KINDS)
    words = list(zip(category, operation, status, trigger, strict=True))
    table = Columns("originals", fields.get("originals"), _ORIGINALS)
    columns = (
        table.texts("id"),
        table.integers("kind", -1, len(words) - 1),
        table.integers("ms"),
        table.integers("size"),
        table.integers("modified"),
    )
    return Originals(words, columns)
