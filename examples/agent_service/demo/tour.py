"""One look at each debug route, with the token and without it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Stop:
    """What one route answered: the status without and with the token, and one line of what was seen."""

    route: str
    without: int
    status: int
    seen: str
