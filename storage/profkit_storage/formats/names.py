"""Text that is safe inside a pyinstrument frame string, a terminal and a script element."""

from __future__ import annotations

import re

REPLACEMENT = "\ufffd"

# Control characters: \x00 and \x01 separate the fields of a frame string, the rest could drive a terminal. Lone
# surrogates (undecodable bytes in a path) cannot be written as UTF-8.
_UNSAFE = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")

# What an HTML parser reacts to inside a script element. `<lambda>` or `<frozen runpy>` stay as they are.
_MARKUP = re.compile(r"<(?=[/!]|script)", re.IGNORECASE)


def safe(text: str) -> str:
    """Return `text` without control characters, and with nothing in it that could leave a script element."""
    return _MARKUP.sub("\u2039", writable(text))


def writable(text: str) -> str:
    """Return `text` without control characters and what UTF-8 has no form for."""
    return _UNSAFE.sub(REPLACEMENT, text)
