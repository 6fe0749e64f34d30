"""Names as parts of a key: safe in every file system and object store, reversible, at most 80 bytes long.

`[A-Za-z0-9_-]` stays; every other UTF-8 byte becomes `!` and two lower-case hex digits. A longer name is cut between
two characters and ends in `!-` and 12 hex digits of the whole name's BLAKE2b; an empty one is `!-`.
"""

from __future__ import annotations

import hashlib
import re
import string
from functools import lru_cache

MAX_TOKEN = 80
"""Bytes in an escaped name."""

ELLIPSIS = "…"
"""What a name ends in that was cut."""

_EMPTY = "!-"
_STEM = MAX_TOKEN - len("!-") - 12
_LITERAL = frozenset((string.ascii_letters + string.digits + "_-").encode())
_ESCAPED = tuple(chr(byte) if byte in _LITERAL else f"!{byte:02x}" for byte in range(256))
_DIGEST = re.compile(r"[0-9a-f]{12}")
_TOKEN = re.compile(r"(?:[A-Za-z0-9_-]|![0-9a-f]{2})*")


def encodable(text: str) -> str:
    """Return `text` as UTF-8 can carry it: lone surrogates (of undecodable file names) are spelled out."""
    return text.encode("utf-8", "backslashreplace").decode()


def printable(key: str) -> str:
    """Return a key as it may be logged: a foreign name may hold anything, and must stay on its line."""
    return key if key.isprintable() else ascii(key)[1:-1]


def escape_name(name: str) -> str:
    """Return the token for `name`; two different names never share one."""
    data = name.encode("utf-8", "backslashreplace")
    if not data:
        return _EMPTY
    if len(data) <= MAX_TOKEN:
        token = _escape(data)
        if len(token) <= MAX_TOKEN:
            return token
    return f"{_stem(data.decode())}!-{hashlib.blake2b(data, digest_size=6).hexdigest()}"


@lru_cache(maxsize=4096)
def unescape_name(token: str) -> str | None:
    """Return the name of a token, ending in an ellipsis if it was cut; None if `escape_name` does not make it."""
    if token == _EMPTY:
        return ""
    stem, cut, digest = token.partition("!-")
    name = _unescape(stem)
    if name is None:
        return None
    if not cut:
        return name if 0 < len(token) <= MAX_TOKEN else None
    # A cut token whose stem could have held one character more is not one of ours; the longest takes 12 bytes.
    whole = _DIGEST.fullmatch(digest) and _STEM - 12 < len(stem) <= _STEM
    return name + ELLIPSIS if whole else None


def _escape(data: bytes) -> str:
    return "".join([_ESCAPED[byte] for byte in data])


def _stem(name: str) -> str:
    parts: list[str] = []
    room = _STEM
    for character in name:
        part = _escape(character.encode())
        room -= len(part)
        if room < 0:
            break
        parts.append(part)
    return "".join(parts)


def _unescape(stem: str) -> str | None:
    if not _TOKEN.fullmatch(stem):
        return None
    try:
        name = re.sub(r"!(..)", lambda match: chr(int(match[1], 16)), stem).encode("latin-1").decode()
    except UnicodeDecodeError:
        return None
    return name if _escape(name.encode()) == stem else None
