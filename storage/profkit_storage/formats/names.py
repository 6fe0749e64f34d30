"""Text that is safe inside a pyinstrument frame string, a terminal and a script element."""

from __future__ import annotations

import html
import re

REPLACEMENT = "\ufffd"

MAX_NAME = 300
"""Characters of one name on a page."""

# Control characters: \x00 and \x01 separate the fields of a frame string, the rest could drive a terminal. Lone
# surrogates (undecodable bytes in a path) cannot be written as UTF-8. What turns the direction of writing round makes
# a name look like another, and the text after it too.
_UNSAFE = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")
_UNSAFE_IN_LINES = re.compile(rf"(?![\t\n\r]){_UNSAFE.pattern}")

# What an HTML parser reacts to inside a script element. `<lambda>` or `<frozen runpy>` stay as they are.
_MARKUP = re.compile(r"<(?=[/!]|script)", re.IGNORECASE)


def safe(text: str) -> str:
    """Return `text` without control characters, and with nothing in it that could leave a script element."""
    return _MARKUP.sub("\u2039", writable(text))


def writable(text: str) -> str:
    """Return `text` without control characters, those of direction too, and what UTF-8 has no form for."""
    return _UNSAFE.sub(REPLACEMENT, text)


def writable_lines(text: str) -> str:
    """Return `text` as `writable` does, but tabs and ends of lines stay."""
    return _UNSAFE_IN_LINES.sub(REPLACEMENT, text)


def legible(text: str, longest: int = MAX_NAME) -> str:
    """Return `text` as a page shows it: writable, and at most `longest` characters of it."""
    shown = writable(text[: longest + 1])
    return shown if len(shown) <= longest else f"{shown[: longest - 1]}\N{HORIZONTAL ELLIPSIS}"


def markup(text: str) -> str:
    """Return `text` as HTML that shows it, in an element or in a quoted attribute."""
    return html.escape(legible(text))
