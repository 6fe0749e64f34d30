"""What is kept of each place that a pattern was seen at: whole numbers, so that no order of adding changes a digit."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

NANO = 1_000_000_000
MICRO = 1_000_000
EXEMPLARS = 3

_K = TypeVar("_K", bound=Hashable)
_V = TypeVar("_V")


class Sight(NamedTuple):
    """A pattern, seen in one profile.

    `place` and `subject` say where and what, and tell one finding from another. `seconds` are at stake in this
    operation. `sums` and `peaks` are whole numbers that the pattern knows the meaning of: of several profiles the sums
    are added, each times its weight, and the highest of the peaks is kept.
    """

    place: str
    subject: str
    seconds: float
    sums: tuple[int, ...] = ()
    peaks: tuple[int, ...] = ()


class Example(NamedTuple):
    """One profile's part, nanoseconds; the greatest is the worst."""

    seconds: int
    id: str


@dataclass(slots=True)
class Tally:
    """All sights of one pattern at one place: `seconds` and `wall` in nanoseconds, `operations` in millionths.

    `wall` is all the time of the operations it was seen in; `sums` are times millionths, as `operations` are.
    """

    operations: int = 0
    seconds: int = 0
    wall: int = 0
    sums: tuple[int, ...] = ()
    peaks: tuple[int, ...] = ()
    worst: tuple[Example, ...] = ()

    @classmethod
    def of(cls, sight: Sight, wall: float, weight: float, id: str) -> Tally:
        """Return that of one sight, in an operation of `wall` seconds that stands for `weight`."""
        millionths, at_stake = round(weight * MICRO), round(sight.seconds * NANO)
        return cls(
            millionths,
            millionths * at_stake // MICRO,
            millionths * round(wall * NANO) // MICRO,
            tuple(number * millionths for number in sight.sums),
            sight.peaks,
            (Example(at_stake, id),),
        )

    def merge(self, other: Tally) -> None:
        """Add the other to this."""
        self.operations += other.operations
        self.seconds += other.seconds
        self.wall += other.wall
        self.sums = _joined(self.sums, other.sums, int.__add__)
        self.peaks = _joined(self.peaks, other.peaks, max)
        self.worst = tuple(sorted({*self.worst, *other.worst}, reverse=True)[:EXEMPLARS])


def _joined(
    ours: tuple[int, ...], theirs: tuple[int, ...], join: Callable[[int, int], int]
) -> tuple[int, ...]:
    if not ours or not theirs:
        return ours or theirs
    return tuple(join(*pair) for pair in zip(ours, theirs, strict=True))


class Bounded(dict[_K, _V]):
    """A dictionary for sums by key of which `limit` keys last, the same ones in whatever order they come.

    Those last whose names' hashes are the lowest: which those are depends on no order, and one that was once put out
    can never come back. Ask `admits` before a key is added, and `settled` for the end.
    """

    def __init__(self, limit: int) -> None:
        super().__init__()
        self._limit = limit
        self._highest: bytes | None = None

    def admits(self, key: _K) -> bool:
        """Tell whether `key` is there or may be added; make room for it."""
        if key in self:
            return True
        if self._highest is not None and _rank(key) > self._highest:
            return False
        if len(self) >= 2 * self._limit:
            kept = self.settled()
            self.clear()
            self.update(kept)
            self._highest = max(_rank(left) for left in kept)
            return _rank(key) <= self._highest
        return True

    def settled(self) -> dict[_K, _V]:
        """Return the keys that last, with their values."""
        if len(self) <= self._limit:
            return dict(self)
        return {key: self[key] for key in sorted(self, key=_rank)[: self._limit]}


def _rank(key: Hashable) -> bytes:
    return hashlib.blake2b(repr(key).encode("utf-8", "surrogatepass"), digest_size=16).digest()
