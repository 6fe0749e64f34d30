"""What a pattern is: how it is seen in one profile, and how what was seen is told."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import NamedTuple

from profkit_analyzers.findings.finding import Evidence, Unit
from profkit_analyzers.findings.scene import Scene
from profkit_analyzers.findings.tally import MICRO, NANO, Sight, Tally


class Told(NamedTuple):
    """What to do, and how it is known."""

    advice: str
    evidence: tuple[Evidence, ...]


@dataclass(frozen=True, slots=True)
class Found:
    """One finding on its way: the figures of `tally`, as a pattern tells them.

    `kinds` is in how many operations (by name) it was seen.
    """

    place: str
    subject: str
    tally: Tally
    kinds: int = 1

    def per_operation(self, index: int) -> float:
        """Return one of the sums, of the average operation."""
        return self.tally.sums[index] / self.tally.operations if self.tally.operations else 0.0

    def total(self, index: int) -> float:
        """Return one of the sums, of all operations."""
        return self.tally.sums[index] / MICRO

    def longest(self, label: str, index: int = 0) -> Evidence:
        """Return one of the peaks, nanoseconds."""
        return Evidence(label, self.tally.peaks[index] / NANO, Unit.SECONDS)

    def each(self, label: str) -> Evidence:
        """Return the seconds at stake in the average operation."""
        operations = self.tally.operations / MICRO
        return Evidence(label, self.tally.seconds / NANO / operations if operations else 0.0, Unit.SECONDS)

    @property
    def share(self) -> Evidence:
        """The part of these operations' time that is at stake."""
        share = self.tally.seconds / self.tally.wall if self.tally.wall else 0.0
        return Evidence("of the time of these operations", share, Unit.SHARE)


class Pattern(NamedTuple):
    """A pattern: its `name`, what finds it in a profile, and what tells it.

    `across`: it has one cause for all the operations it is seen in, and so is one finding for all of them.
    """

    name: str
    look: Callable[[Scene], Iterable[Sight]]
    tell: Callable[[Found], Told]
    across: bool = False


def nanoseconds(seconds: float) -> int:
    """Return whole nanoseconds."""
    return round(seconds * NANO)
