"""Profile <-> bytes: a header, then the JSON document (see `document`) compressed with zstd.

bytes   what
0-3     magic: 89 50 4B 50
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
from typing import cast

import orjson
import zstandard

from profkit_storage.checks import Malformed
from profkit_storage.document import from_document, to_document
from profkit_storage.errors import CorruptProfile, StorageError
from profkit_storage.names import encodable
from profkit_storage.profile import SCHEMA_VERSION, Profile

MAX_DOCUMENT = 64 * 1024 * 1024
"""Bytes of the longest document that is written or read."""

_PREFIX = struct.Struct(">4sHHI")
_MAGIC = b"\x89PKP"
_ZSTD = 1
_DIGEST = 16
HEADER_SIZE = _PREFIX.size + _DIGEST
"""Bytes before the document; nothing this short is a profile."""

MAX_SIZE = MAX_DOCUMENT + MAX_DOCUMENT // 128 + HEADER_SIZE
"""Bytes that no stored profile exceeds, with room for what zstd adds to what it cannot compress."""


def encode(profile: Profile) -> bytes:
    """Return `profile` as bytes that `decode` turns into an equal one.

    Names that UTF-8 cannot carry (a file name that is no text) are kept in escaped form.

    Raises:
        StorageError: it is not a valid profile, or its document is longer than `MAX_DOCUMENT`.
    """
    try:
        document = to_document(profile)
        from_document(document)
        raw = _dump(document)
    except (ValueError, TypeError, OverflowError) as error:
        raise StorageError(f"profile {profile.id!r} cannot be encoded: {error}") from error
    if len(raw) > MAX_DOCUMENT:
        raise StorageError(
            f"profile {profile.id!r} cannot be encoded: {len(raw)} bytes, allowed are {MAX_DOCUMENT}"
        )
    body = zstandard.ZstdCompressor(level=3).compress(raw)
    prefix = _PREFIX.pack(_MAGIC, SCHEMA_VERSION, _ZSTD, len(raw))
    return prefix + _digest(prefix, body) + body


def decode(data: bytes, key: str = "") -> Profile:
    """Return the profile that `data` holds. `key` is what errors call it.

    Raises:
        CorruptProfile: it is not a whole, undamaged, valid profile of a schema this version reads.
    """
    try:
        return from_document(orjson.loads(_document(data)))
    except (ValueError, zstandard.ZstdError) as error:
        raise CorruptProfile(key, str(error)) from None  # a JSON error would keep the whole document alive


def _document(data: bytes) -> bytes:
    """Return the document; never allocates more than the bounded length in the header."""
    if len(data) < HEADER_SIZE:
        raise Malformed(f"{len(data)} bytes, too short for a profile")
    magic, version, flags, length = _PREFIX.unpack_from(data)
    prefix, body = data[: _PREFIX.size], data[HEADER_SIZE:]
    if magic != _MAGIC:
        raise Malformed("not a profile: it does not begin as one")
    if data[_PREFIX.size : HEADER_SIZE] != _digest(prefix, body):
        raise Malformed("damaged or cut: its checksum is wrong")
    if version != SCHEMA_VERSION:
        raise Malformed(f"schema {version}; this version of profkit reads schema {SCHEMA_VERSION}")
    if flags != _ZSTD:
        raise Malformed(f"flags {flags:#x} are not known")
    if length > MAX_DOCUMENT:
        raise Malformed(f"{length} bytes long, allowed are {MAX_DOCUMENT}")
    # The frame's own length decides what is allocated, so it must be the one that was just checked.
    if zstandard.get_frame_parameters(body).content_size != length or not length:
        raise Malformed("its length is not the one in its header")
    inflater = zstandard.ZstdDecompressor(max_window_size=MAX_DOCUMENT)
    return inflater.decompress(body, max_output_size=length, allow_extra_data=False)


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
