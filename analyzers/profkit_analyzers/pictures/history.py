"""When slow operations ran, and what they spent their time on then: sums that merge, in any order, to the same result.

Periods are as fine as there is room for: of a second at first, and whenever the first and the last are too far apart
all are folded into longer ones. Each length divides the next, so a period of one is whole periods of the other, and the
length depends on the first and the last operation alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import NamedTuple, TypeVar

MAX_PERIODS = 2_000
"""Periods from the first to the last, those without an operation too."""

STEPS = (1, 10, 60, 600, 3_600, 21_600, 86_400, 604_800, 31_449_600, 3_144_960_000)
"""Seconds of a period, each a multiple of the one before."""

WIDTH = 1.21
"""How many times the shortest duration of a band its longest is."""

_NANO = 1_000_000_000
_MICRO = 1_000_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_Key = TypeVar("_Key", str, int)


class Durations(NamedTuple):
    """So many operations that took more than `above` seconds, and at most `most`."""

    above: float
    most: float
    operations: float


@dataclass(frozen=True, slots=True)
class Period:
    """What started from `start` (UTC) on: seconds by category, those not observed, and operations by duration."""

    start: datetime
    categories: Mapping[str, float]
    unobserved: float
    durations: tuple[Durations, ...]


@dataclass(frozen=True, slots=True)
class History:
    """The periods in which slow operations started, in order; each is `step` seconds long.

    Operations that ran inside others are not counted: their seconds are in those.
    """

    step: int
    periods: tuple[Period, ...]


@dataclass(slots=True)
class _Sums:
    """Nanoseconds by category, and millionths of an operation by band of duration."""

    categories: dict[str, int] = field(default_factory=dict[str, int])
    unobserved: int = 0
    durations: dict[int, int] = field(default_factory=dict[int, int])

    def merge(self, other: _Sums) -> None:
        _add_up(self.categories, other.categories)
        self.unobserved += other.unobserved
        _add_up(self.durations, other.durations)


class HistorySums:
    """What becomes a `History`. Bounded, whatever the clocks of those that captured said."""

    def __init__(self) -> None:
        self._level = 0
        self._sums: dict[int, _Sums] = {}
        self._first = self._last = 0

    def add(self, start_ns: int, band: int, weight: int, spent: Mapping[str, int], unobserved: int) -> None:
        """Add an operation of a band of duration (see `bands`): its weight in millionths, its nanoseconds."""
        found = self._at(start_ns // _NANO // STEPS[self._level])
        _add_up(found.categories, spent)
        found.unobserved += unobserved
        # A row of a picture is two bands, a fifth wide: finer ones could not be told apart.
        found.durations[band // 2] = found.durations.get(band // 2, 0) + weight
        self._bound()

    def merge(self, other: HistorySums) -> None:
        """Add the other to this."""
        while self._level < other._level:
            self._fold()
        times = STEPS[self._level] // STEPS[other._level]
        for number, sums in other._sums.items():
            self._at(number // times).merge(sums)
        self._bound()

    def history(self) -> History:
        """Return what there is so far."""
        step = STEPS[self._level]
        return History(
            step, tuple(_period(number * step, self._sums[number]) for number in sorted(self._sums))
        )

    def _at(self, number: int) -> _Sums:
        found = self._sums.get(number)
        if found is None:
            self._first = min(self._first, number) if self._sums else number
            self._last = max(self._last, number) if self._sums else number
            found = self._sums[number] = _Sums()
        return found

    def _bound(self) -> None:
        while self._last - self._first >= MAX_PERIODS and self._level < len(STEPS) - 1:
            self._fold()

    def _fold(self) -> None:
        times = STEPS[self._level + 1] // STEPS[self._level]
        finer, self._sums = self._sums, {}
        self._level += 1
        for number, sums in finer.items():
            self._at(number // times).merge(sums)


def _period(start: int, sums: _Sums) -> Period:
    return Period(
        _EPOCH + timedelta(seconds=start),
        {name: spent / _NANO for name, spent in sorted(sums.categories.items())},
        sums.unobserved / _NANO,
        tuple(
            Durations(1.1 ** (2 * band - 1), 1.1 ** (2 * band + 1), count / _MICRO)
            for band, count in sorted(sums.durations.items())
        ),
    )


def _add_up(into: dict[_Key, int], more: Mapping[_Key, int]) -> None:
    for key, value in more.items():
        into[key] = into.get(key, 0) + value
