"""How large the parts of a page may be: names can be of any length, and a page has to open."""

from __future__ import annotations

from collections.abc import Iterable


class Room:
    """So many bytes. What does not fit is left out, and everything behind it."""

    def __init__(self, size: int) -> None:
        self.left = size

    def take(self, *parts: str) -> bool:
        """Tell whether there is room for these, and take it."""
        self.left -= sum(len(part.encode("utf-8", "replace")) for part in parts)
        return self.left >= 0

    def fitting(self, parts: Iterable[str]) -> list[str]:
        """Return as many of the parts, from the first on, as there is room for."""
        found: list[str] = []
        for part in parts:
            if not self.take(part):
                break
            found.append(part)
        return found
