"""Profile <-> bytes: a header, then the JSON document (see `document`) compressed with zstd.

bytes   what
0-3     magic: 89 50 4B 50, of rollups (see `rollup`) 89 50 4B 52
4-5     schema version        (big-endian, as all numbers)
6-7     flags: 1, the document is compressed with zstd
8-11    length of the document before compression
12-27   BLAKE2b, 16 bytes, of bytes 0-11 and of everything after the header
28-     the compressed document
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Mapping
from typing import NamedTuple, cast

import orjson
import zstandard

from profkit_storage import rollup
from profkit_storage.checks import Malformed
from profkit_storage.document import Document, checked, from_document, to_document
from profkit_storage.errors import CorruptProfile, StorageError
from profkit_storage.names import encodable
from profkit_storage.profile import SCHEMA_VERSION, Profile
from profkit_storage.rollup import ROLLUP_SCHEMA_VERSION, CorruptRollups, RollupSet

MAX_DOCUMENT = 16 * 1024 * 1024
"""Bytes of the longest document that is written or read: 100,000 samples in 20,000 nodes take 7 MiB."""

# Parsing costs memory for each value, so a small file of many empty lists must not get as far as that. What profiles
# need was measured: 1.2 million values, 10,000 lists and objects and a ratio of 13 are beyond what capture makes.
_MAX_VALUES = 2_000_000
_MAX_BRACKETS = 100_000
_MAX_RATIO = 100
_RATIO_FROM = 4 * 1024 * 1024
_NO_MEMORY = "there is not enough memory to read it"

_PREFIX = struct.Struct(">4sHHI")
_ZSTD = 1
_DIGEST = 16
HEADER_SIZE = _PREFIX.size + _DIGEST
"""Bytes before the document; nothing this short is a profile, or a set of rollups."""

MAX_SIZE = MAX_DOCUMENT + MAX_DOCUMENT // 128 + HEADER_SIZE
"""Bytes that no stored profile or set of rollups exceeds, with room for what zstd adds to what it cannot compress."""


class _Kind(NamedTuple):
    """What the header says of what is stored."""

    name: str
    magic: bytes
    schema: int


_PROFILE = _Kind("profile", b"\x89PKP", SCHEMA_VERSION)
_ROLLUPS = _Kind("set of rollups", b"\x89PKR", ROLLUP_SCHEMA_VERSION)


def encode(profile: Profile) -> bytes:
    """Return `profile` as bytes that `decode` turns into an equal one.

    Names that UTF-8 cannot carry (a file name that is no text) are kept in escaped form.

    Raises:
        StorageError: it is not a valid profile, or larger than `decode` reads.
    """
    try:
        document = to_document(profile)
        from_document(document)
        return _seal(document, _PROFILE)
    except (ValueError, TypeError, OverflowError) as error:
        raise StorageError(f"profile {profile.id!r} cannot be encoded: {error}") from error


def encode_rollups(rollups: RollupSet) -> bytes:
    """Return a set of rollups as bytes that `decode_rollups` turns into an equal one; names as in `encode`.

    Raises:
        StorageError: it is not a valid set, or larger than `decode_rollups` reads.
    """
    try:
        document = rollup.to_document(rollups)
        rollup.from_document(document)
        return _seal(document, _ROLLUPS)
    except (ValueError, TypeError, OverflowError) as error:
        raise StorageError(f"rollups {rollups.id!r} cannot be encoded: {error}") from error


def decode(data: bytes, key: str = "") -> Profile:
    """Return the profile that `data` holds. `key` is what errors call it.

    Raises:
        CorruptProfile: it is not a whole, undamaged, valid profile of a schema this version reads.
    """
    try:
        return from_document(_unseal(data, _PROFILE))
    except (ValueError, zstandard.ZstdError) as error:
        raise CorruptProfile(key, str(error)) from None  # a JSON error would keep the whole document alive
    except (MemoryError, SystemError):
        raise CorruptProfile(key, _NO_MEMORY) from None


def decode_columns(data: bytes, key: str = "") -> Document:
    """Return what `decode` does as columns: as strictly checked, and nothing made of their rows.

    Raises:
        CorruptProfile: as `decode` does.
    """
    try:
        return checked(_unseal(data, _PROFILE))
    except (ValueError, zstandard.ZstdError) as error:
        raise CorruptProfile(key, str(error)) from None  # as in `decode`
    except (MemoryError, SystemError):
        raise CorruptProfile(key, _NO_MEMORY) from None


def decode_rollups(data: bytes, key: str = "") -> RollupSet:
    """Return the set of rollups that `data` holds. `key` is what errors call it.

    Raises:
        CorruptRollups: it is not a whole, undamaged, valid set of a schema this version reads.
    """
    try:
        return rollup.from_document(_unseal(data, _ROLLUPS))
    except (ValueError, zstandard.ZstdError) as error:
        raise CorruptRollups(key, str(error)) from None  # as in `decode`
    except (MemoryError, SystemError):
        raise CorruptRollups(key, _NO_MEMORY) from None


def _seal(document: dict[str, object], kind: _Kind) -> bytes:
    """Return the header and the compressed document."""
    raw = _dump(document)
    _check_length(len(raw))
    check_values(raw)
    body = zstandard.ZstdCompressor(level=3).compress(raw)
    _check_ratio(len(raw), len(body))
    prefix = _PREFIX.pack(kind.magic, kind.schema, _ZSTD, len(raw))
    return prefix + _digest(prefix, body) + body


def _unseal(data: bytes, kind: _Kind) -> object:
    """Return the document; never allocates more than the bounded length in the header."""
    if len(data) < HEADER_SIZE:
        raise Malformed(f"{len(data)} bytes, too short for a {kind.name}")
    magic, version, flags, length = _PREFIX.unpack_from(data)
    prefix, body = data[: _PREFIX.size], data[HEADER_SIZE:]
    if magic != kind.magic:
        raise Malformed(f"not a {kind.name}: it does not begin as one")
    if data[_PREFIX.size : HEADER_SIZE] != _digest(prefix, body):
        raise Malformed("damaged or cut: its checksum is wrong")
    if version != kind.schema:
        raise Malformed(f"schema {version}; this version of profkit reads schema {kind.schema}")
    if flags != _ZSTD:
        raise Malformed(f"flags {flags:#x} are not known")
    _check_length(length)
    _check_ratio(length, len(body))
    # The frame's own length decides what is allocated, so it must be the one that was just checked.
    if zstandard.get_frame_parameters(body).content_size != length or not length:
        raise Malformed("its length is not the one in its header")
    inflater = zstandard.ZstdDecompressor(max_window_size=MAX_DOCUMENT)
    raw = inflater.decompress(body, max_output_size=length, allow_extra_data=False)
    check_values(raw)
    return orjson.loads(raw)


def _check_length(length: int) -> None:
    if length > MAX_DOCUMENT:
        raise Malformed(f"{length} bytes long, allowed are {MAX_DOCUMENT}")


def _check_ratio(length: int, compressed: int) -> None:
    if length > _RATIO_FROM and length > compressed * _MAX_RATIO:
        raise Malformed(f"{length} bytes from {compressed}, allowed are {_MAX_RATIO} times as many")


def check_values(raw: bytes) -> None:
    """Refuse what would take too much memory to parse; what stands in texts counts too, which is rare and cheap."""
    if len(raw) <= _MAX_BRACKETS:
        return  # as nearly always: every byte may be one
    brackets = raw.count(b"[") + raw.count(b"{")
    if brackets > _MAX_BRACKETS:
        raise Malformed(f"{brackets} lists and objects, allowed are {_MAX_BRACKETS}")
    values = raw.count(b",")
    if values > _MAX_VALUES:
        raise Malformed(f"{values} values, allowed are {_MAX_VALUES}")


def _digest(prefix: bytes, body: bytes) -> bytes:
    digest = hashlib.blake2b(prefix, digest_size=_DIGEST)
    digest.update(body)
    return digest.digest()


def _dump(document: dict[str, object]) -> bytes:
    try:
        return orjson.dumps(document)
    except orjson.JSONEncodeError:
        return orjson.dumps(_encodable(document))


def _encodable(value: object) -> object:
    if isinstance(value, str):
        return encodable(value)
    if isinstance(value, Mapping):
        items = cast("Mapping[str, object]", value).items()
        return {encodable(name): _encodable(content) for name, content in items}
    if isinstance(value, list | tuple):
        return [_encodable(content) for content in cast("list[object]", value)]
    return value
