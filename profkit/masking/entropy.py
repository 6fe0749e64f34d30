"""What looks random. Thresholds as in Yelp's detect-secrets: 4.5 bits a character for base64, 3.0 for hexadecimal."""

from __future__ import annotations

import math
import re
from collections import Counter
from itertools import pairwise

BASE64_BITS = 4.5
HEX_BITS = 3.0
MIN_BASE64 = 20
_FEWEST_CHARACTERS = 23  # 22 different ones give less than 4.5 bits, however they are spread
MIN_HEX = 32
"""Shorter hexadecimal is left: span ids, object ids, short commits."""

_LOOKED_AT = 4096
_SWITCHES = 0.45
_SWITCHES_MIXED = 0.35
"""Share of neighbours of different classes (lower, upper, digit, mark): 0.64 in random base64, 0.2 to 0.4 in words.
Words seldom mix capitals and digits: where both are, less will do."""

_SWITCHES_UNLIKE = 0.5
_CAPITALS = 0.2

_RUN = re.compile(r"(?<![A-Za-z0-9+/_-])[A-Za-z0-9+/_-]{20,}+={0,2}")
_NAMED = re.compile(
    r"[0-9a-fA-F]{8}-(?:[0-9a-fA-F]{4}-){3}[0-9a-fA-F]{12}"  # a UUID
    r"|(?<![A-Za-z0-9])[0-7][0-9A-HJKMNP-TV-Z]{25}(?![A-Za-z0-9])"  # a ULID
    r"|(?<![A-Za-z0-9])00-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}(?![A-Za-z0-9])"  # a W3C traceparent
)
_HEX = re.compile(rf"(?:0x)?([0-9a-fA-F]{{{MIN_HEX},}}+)")
_DIGEST = ("sha1:", "sha256:", "sha384:", "sha512:", "md5:")
_DIGEST_RUN = ("sha256-", "sha384-", "sha512-")


def hide_random(text: str, mask: str, *, hashes: bool = False) -> str:
    """`text` with every run that looks random replaced by `mask`; with `hashes`, long hexadecimal stays."""
    if len(text) < MIN_BASE64:
        return text
    return _RUN.sub(lambda found: mask if _is_random(found, hashes=hashes) else found[0], text)


def entropy(text: str) -> float:
    """Shannon's entropy of `text`'s characters, in bits a character."""
    size = len(text)
    return -sum(n / size * math.log2(n / size) for n in Counter(text).values())


def _is_random(found: re.Match[str], *, hashes: bool) -> bool:
    run = found[0][:_LOOKED_AT]
    before = found.string[max(0, found.start() - 7) : found.start()]
    if before.endswith(_DIGEST) or run.startswith(_DIGEST_RUN):
        return False
    run = _NAMED.sub("", run)
    if not hashes and any(_is_random_hex(part) for part in re.split("[-_/+=]", run)):
        return True
    if run.startswith("/") and not _is_unlike_a_path(run):  # each of its names by itself
        return any(_is_random_base64(part) for part in run.split("/"))
    return _is_random_base64(run)


def _is_unlike_a_path(run: str) -> bool:
    """Whether so much changes in a run with a slash first, one in 64 of random ones, that it is hardly a path."""
    return sum(map(str.isupper, run)) >= _CAPITALS * len(run) and _switches(run) >= _SWITCHES_UNLIKE


def _is_random_hex(part: str) -> bool:
    found = _HEX.fullmatch(part)
    return (
        found is not None
        and not found[1].isdigit()
        and not found[1].isalpha()
        and entropy(found[1].lower()) >= HEX_BITS
    )


def _is_random_base64(run: str) -> bool:
    run = run.rstrip("=")
    if len(set(run)) < _FEWEST_CHARACTERS or entropy(run) < BASE64_BITS:
        return False
    digits, capitals = any(map(str.isdigit, run)), any(map(str.isupper, run))
    if digits and not any(mark in run for mark in "/-_"):
        return True
    return _switches(run) >= (_SWITCHES_MIXED if digits and capitals else _SWITCHES)


def _switches(run: str) -> float:
    classes = [0 if char.islower() else 1 if char.isupper() else 2 if char.isdigit() else 3 for char in run]
    return sum(left != right for left, right in pairwise(classes)) / (len(run) - 1)
