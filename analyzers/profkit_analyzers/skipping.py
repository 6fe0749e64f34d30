"""What could not be read, counted and named."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

MAX_SKIPPED = 20
"""Damaged or foreign things named in a report; all of them are counted."""


@dataclass(frozen=True, slots=True)
class Skipped:
    """Something in the store that could not be read, and why."""

    key: str
    reason: str


@dataclass(slots=True)
class Skipping:
    """How many things were skipped, and the first of them."""

    count: int = 0
    named: list[Skipped] = field(default_factory=list[Skipped])

    def skip(self, key: str, reason: str) -> None:
        """Count one more; a damaged block is told of once for each profile in it."""
        self.count += 1
        skipped = Skipped(key, reason)
        if len(self.named) < MAX_SKIPPED and skipped not in self.named:
            self.named.append(skipped)

    def merge(self, later: Skipping) -> None:
        """Add what was skipped behind these."""
        self.count += later.count
        more = [skipped for skipped in later.named if skipped not in self.named]
        self.named += more[: MAX_SKIPPED - len(self.named)]


def told(skipped: Sequence[Skipped], count: int) -> str:
    """Return how many were skipped in all, and the first of them with its reason; "" if none was."""
    return f"{count:,} skipped, the first is {skipped[0].key}: {skipped[0].reason}" if skipped else ""
