"""ULIDs (github.com/ulid/spec): 48 bits of milliseconds and 80 random bits in 26 characters that sort by time."""

from __future__ import annotations

import os

_ALPHABET = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
_VALUES = {letter: value for value, letter in enumerate(_ALPHABET)}
LENGTH = 26


def new_ulid(start_ns: int) -> str:
    """Return a new id whose time is `start_ns` (nanoseconds since the epoch)."""
    number = (start_ns // 1_000_000) << 80 | int.from_bytes(os.urandom(10))
    return "".join(_ALPHABET[number >> shift & 31] for shift in range(125, -1, -5))


def is_ulid(text: str) -> bool:
    """Tell whether `text` is an id as `new_ulid` makes them."""
    return len(text) == LENGTH and text[0] <= "7" and all(letter in _VALUES for letter in text)


def ulid_milliseconds(ulid: str) -> int:
    """Return the milliseconds since the epoch that are inside a valid id."""
    number = 0
    for letter in ulid[:10]:
        number = number << 5 | _VALUES[letter]
    return number
