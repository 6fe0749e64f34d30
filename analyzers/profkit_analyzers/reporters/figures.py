"""Figures as people read them."""

from __future__ import annotations


def seconds(value: float) -> str:
    """Return seconds with as many digits as matter."""
    digits = 2 if abs(value) < 1000 else 0
    return f"{value:,.{digits}f} s"


def duration(value: float) -> str:
    """Return seconds in the unit that reads best, with three digits."""
    if value >= 1:
        return seconds(value)
    return f"{value * 1000:.3g} ms" if value >= 0.001 else f"{value * 1_000_000:.3g} us"


def share(value: float) -> str:
    """Return a share of 0 to 1 in percent."""
    return f"{value * 100:.1f} %"


def counted(number: float, noun: str) -> str:
    """Return `number` and `noun`, with an s unless it is one."""
    return f"{number:,.0f} {noun}" if number == 1 else f"{number:,.0f} {noun}s"


def by_hand(number: int) -> str:
    """Return so many captures by hand."""
    return f"{counted(number, 'capture')} by hand"


def byte_size(count: float) -> str:
    """Return bytes in the unit that reads best; units are powers of 1,000."""
    for unit in ("bytes", "kB", "MB", "GB"):
        if count < 1000:
            return f"{count:,.0f} {unit}" if unit == "bytes" or count >= 100 else f"{count:.1f} {unit}"
        count /= 1000
    return f"{count:,.1f} TB"
