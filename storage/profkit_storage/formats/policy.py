"""The Content-Security-Policy of a page that runs by itself: its own scripts and styles by their hashes, no request."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterable


def policy(scripts: Iterable[str], styles: Iterable[str] | None) -> str:
    """Return the policy for these inline scripts and styles; None allows every inline style."""
    style = "'unsafe-inline'" if styles is None else _hashes(styles)
    return (
        f"default-src 'none'; script-src {_hashes(scripts)}; style-src {style}; img-src data:; "
        "base-uri 'none'; form-action 'none'"
    )


def _hashes(texts: Iterable[str]) -> str:
    digests = (hashlib.sha256(text.encode()).digest() for text in texts)
    return " ".join(f"'sha256-{base64.b64encode(digest).decode('ascii')}'" for digest in digests)
