"""Durations as people read them, on every page."""

from __future__ import annotations


def in_seconds(value: float) -> str:
    """Return seconds as they are read: `12 ms`, `1.24 s`, `3 min 05 s`, `2 h 04 min`, `3 d 12 h`.

    `inSeconds` of flamedata.js writes the same.
    """
    if value < 0.9995:  # what is rounded to a second is one
        return f"{value * 1000:.3g} ms"
    if value < 59.995:
        return f"{value:.2f} s"
    minutes, seconds = divmod(round(value), 60)
    if minutes < 60:
        return f"{minutes} min {seconds:02d} s"
    hours, minutes = divmod(minutes, 60)
    if hours < 48:
        return f"{hours} h {minutes:02d} min"
    days, hours = divmod(hours, 24)
    return f"{days:,} d {hours:02d} h" if hours else f"{days:,} d"
