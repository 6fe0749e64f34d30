"""What to type to see a profile."""

from __future__ import annotations

import html
import shlex

from profkit_storage.formats.names import markup, writable


def show_command(id: str, store: str) -> str:
    """Return the command as code; the store's name whole, since it is to be copied."""
    return f"<code>profkit show {markup(id)} {html.escape(writable(shlex.quote(store)))}</code>"
