"""A history in so many columns as a picture has room for."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from profkit_analyzers.pictures.history import Durations, History

MAX_COLUMNS = 72
"""So many that each is some pixels wide on a phone."""

_MINUTE, _HOUR, _DAY = 60, 3_600, 86_400
_WIDTHS = (
    *(1, 2, 5, 10, 20, 30),
    *(_MINUTE * times for times in (1, 2, 3, 5, 10, 15, 30)),
    *(_HOUR * times for times in (1, 2, 3, 6, 12)),
    *(_DAY * times for times in (1, 2, 7, 14)),
)
"""Seconds of a column, round ones; longer ones are these doubled."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(slots=True)
class Column:
    """What started from `start` on: seconds by category, those not observed, operations by band of duration."""

    start: datetime
    categories: dict[str, float] = field(default_factory=dict[str, float])
    unobserved: float = 0.0
    durations: dict[tuple[float, float], float] = field(default_factory=dict[tuple[float, float], float])

    @property
    def seconds(self) -> float:
        """All of them."""
        return sum(self.categories.values()) + self.unobserved


@dataclass(frozen=True, slots=True)
class Columns:
    """Columns of `step` seconds each without a gap between them."""

    step: int
    columns: tuple[Column, ...]


def columns_of(history: History) -> Columns:
    """Return the history in at most `MAX_COLUMNS` columns; none if nothing happened."""
    if not history.periods:
        return Columns(history.step, ())
    starts = [round((period.start - _EPOCH).total_seconds()) for period in history.periods]
    step = next(
        width for width in _lengths(history.step) if starts[-1] // width - starts[0] // width < MAX_COLUMNS
    )
    first = starts[0] // step
    columns = [
        Column(_EPOCH + timedelta(seconds=(first + index) * step))
        for index in range(starts[-1] // step - first + 1)
    ]
    for start, period in zip(starts, history.periods, strict=True):
        column = columns[start // step - first]
        for name, seconds in period.categories.items():
            column.categories[name] = column.categories.get(name, 0.0) + seconds
        column.unobserved += period.unobserved
        for durations in period.durations:
            _count(column, durations)
    return Columns(step, tuple(columns))


def _count(column: Column, durations: Durations) -> None:
    band = durations.above, durations.most
    column.durations[band] = column.durations.get(band, 0.0) + durations.operations


def _lengths(step: int) -> Iterator[int]:
    """Yield lengths that are whole periods, each longer than the one before."""
    round_ones = [width for width in _WIDTHS if width % step == 0]
    yield from round_ones
    length = max([step, *round_ones])
    while True:
        yield length
        length *= 2


def span_of(step: int) -> str:
    """Return a column's length as it is read: `10 s`, `3 h`, `2 d`."""
    for unit, length in (("d", _DAY), ("h", _HOUR), ("min", _MINUTE)):
        if step >= length and step % length == 0:
            return f"{step // length:,} {unit}"
    return f"{step} s"
