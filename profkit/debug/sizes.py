"""Amounts of memory and changes of them, as a page shows them."""

from __future__ import annotations

_MINUS = "\N{MINUS SIGN}"
_NARROW = "\N{NARROW NO-BREAK SPACE}"


def size(value: int) -> str:
    """Return bytes: `12 B`, `3.4 KiB`, `1.2 MiB`, `2.5 GiB`."""
    sign, amount = (_MINUS if value < 0 else ""), float(abs(value))
    if amount < 1024:
        return f"{sign}{amount:.0f} B"
    for unit in ("KiB", "MiB"):
        amount /= 1024
        if amount < 1024:
            return f"{sign}{amount:.1f} {unit}"
    return f"{sign}{amount / 1024:.1f} GiB"


def size_change(value: int) -> str:
    """Return by how many bytes something is more, or less: `+1.2 MiB`."""
    return f"+{size(value)}" if value > 0 else size(value)


def count_change(value: int) -> str:
    """Return by how many something is more, or less: `+12 345`."""
    sign = "+" if value > 0 else _MINUS if value < 0 else ""
    return f"{sign}{abs(value):,}".replace(",", _NARROW)
