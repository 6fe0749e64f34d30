"""What a value's text is: a number, a place, an address; and whether its key lets it be shown."""

from __future__ import annotations

import re

from profkit.masking.keys import Kind

MASK = "***"

_NUMBER = re.compile(r"[+-]?\d{1,10}(?:\.\d{1,10})?[a-zA-Z]{0,2}(?![\w-])")


def is_place(text: str) -> bool:
    """Whether `text` is a URL or an absolute or explicitly relative path."""
    return "://" in text or text.startswith(("/", "./", "../", "~", "\\\\")) or text[1:3] in (":\\", ":/")


def is_address(text: str) -> bool:
    """Whether `text` is a URL, a path, or a `key=value` connection string."""
    return is_place(text) or re.search(r"\w\s{0,4}=\s{0,4}[^\s=]", text) is not None


def is_number(text: str) -> bool:
    """Whether `text` is a plain number, with at most a two-letter unit."""
    return _NUMBER.fullmatch(text) is not None


def may_show(kind: Kind, value: str) -> bool:
    """Whether a value, quoted or not, is shown though its key is of `kind`; one that is masked stays as it is."""
    bare = value.strip("\"'\\,;)]} ")
    if bare.rstrip("/>") == MASK:
        return True
    return (
        (kind is Kind.COUNT and is_number(bare))
        or (kind is Kind.PLACE and is_place(bare))
        or (kind is Kind.ADDRESS and is_address(bare))
    )
