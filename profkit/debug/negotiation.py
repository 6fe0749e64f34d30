"""Which form of an answer the caller wants (RFC 9110, 12.5.1)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

HTML: Final = "text/html"
JSON: Final = "application/json"
SVG: Final = "image/svg+xml"
_MAX_RANGES = 32


def preferred(accept: str, offered: Sequence[str]) -> str | None:
    """Return which of the `offered` media types the header wants, the first if it is all one, None for none."""
    if not accept.strip():
        return offered[0]
    ranges = [_parse(part) for part in accept.split(",")[:_MAX_RANGES]]
    best: tuple[float, int] | None = None
    chosen: str | None = None
    for order, kind in enumerate(offered):
        quality = _quality(kind, ranges)
        if quality > 0 and (best is None or (quality, -order) > best):
            best, chosen = (quality, -order), kind
    return chosen


def _quality(kind: str, ranges: list[tuple[str, float]]) -> float:
    """Return the quality of the most specific range that covers `kind`."""
    for wanted in (kind, kind.partition("/")[0] + "/*", "*/*"):
        qualities = [quality for name, quality in ranges if name == wanted]
        if qualities:
            return max(qualities)
    return 0.0


def _parse(part: str) -> tuple[str, float]:
    name, *parameters = part.lower().split(";")
    quality = 1.0
    for parameter in parameters:
        key, _, value = parameter.partition("=")
        if key.strip() == "q":
            try:
                quality = min(1.0, max(0.0, float(value)))
            except ValueError:
                quality = 0.0
            if quality != quality:  # nan  # noqa: PLR0124
                quality = 0.0
    return name.strip(), quality
