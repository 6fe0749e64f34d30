"""How operations and bottlenecks went over time, and when they changed. The JSON form is told in docs/comparing.md."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from datetime import datetime, timedelta
from itertools import pairwise
from typing import TypeVar

from profkit_analyzers.changes.changepoints import cuts
from profkit_analyzers.changes.comparison import Verdict
from profkit_analyzers.changes.effects import FALSE_RATE
from profkit_analyzers.changes.sides import MICRO, Key, OperationSums, Place, Side, Sums
from profkit_analyzers.skipping import Skipped
from profkit_storage import ConfigurationError

TREND_SCHEMA = 1
MAX_TIMES = 5_000
_DIGITS = 6
K = TypeVar("K")
_STEPS = {Key.HOUR: timedelta(hours=1), Key.DAY: timedelta(days=1)}
Calls = Mapping[str, Mapping[str, float]]
"""Calls of each operation by time and name: what slow ones are a part of."""


@dataclass(frozen=True, slots=True)
class Change:
    """A change of level at a time: the means from the change before up to it, and from it to the one behind.

    `p` is how likely chance finds one as good in a series without a change.
    """

    at: str
    before: float
    after: float
    verdict: Verdict
    p: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Series:
    """One figure over time, None where there is nothing to tell it from.

    `figure` is "seconds" (per slow operation) or "slow" (slow operations per call); the place is "" for the operation
    as a whole. `operations` are the slow ones of each time, `calls` those that "slow" is a share of.
    """

    figure: str
    operation: str
    category: str = ""
    owner: str = ""
    function: str = ""
    operations: tuple[float, ...]
    values: tuple[float | None, ...]
    changes: tuple[Change, ...] = ()
    calls: tuple[float, ...] = ()

    @property
    def weights(self) -> tuple[float, ...]:
        """What each value is the mean, or the share, of: neighbours are put together by it."""
        return self.calls or self.operations


@dataclass(frozen=True, slots=True, kw_only=True)
class Trend:
    """Series by `times`, the start of each hour or day (UTC), without gaps; those of most seconds."""

    by: str
    profiles: int
    times: tuple[str, ...]
    series: tuple[Series, ...]
    skipped: tuple[Skipped, ...] = ()
    skipped_count: int = 0

    def to_dict(self) -> dict[str, object]:
        """Return the trend as plain values for JSON, schema 1."""
        return {
            "schema": TREND_SCHEMA,
            "by": self.by,
            "profiles": self.profiles,
            "times": list(self.times),
            "series": [_series_dict(series) for series in self.series],
            "skipped": [asdict(item) for item in self.skipped],
            "skipped_count": self.skipped_count,
        }


def trend(sides: Mapping[str, Side], by: Key, *, top: int, calls: Calls | None = None) -> Trend:
    """Return the series of the `top` operations and the `top` bottlenecks by seconds, and their changes.

    The chance that any of them has one where nothing changed is 5 %: each series is asked at that over their number.

    Raises:
        ConfigurationError: there are more than `MAX_TIMES` hours or days.
    """
    times = tuple(_times(sides, _STEPS[by]))
    found = [*_of_operations(sides, times, top, calls or {}), *_of_places(sides, times, top)]
    level = FALSE_RATE / max(1, len(found))
    return Trend(
        by=str(by),
        profiles=sum(sums.profiles for side in sides.values() for sums in side.operations.values()),
        times=times,
        series=tuple(_with_changes(series, weights, times, level) for series, weights in found),
    )


_Weighted = tuple[Series, tuple[float, ...]]


def _times(sides: Mapping[str, Side], step: timedelta) -> Iterator[str]:
    if not sides:
        return
    now, last = datetime.fromisoformat(min(sides)), datetime.fromisoformat(max(sides))
    count = (last - now) // step + 1
    if count > MAX_TIMES:
        raise ConfigurationError(
            f"{count:,} times from {min(sides)} to {max(sides)}: at most {MAX_TIMES:,} are told, "
            "choose days or a later start"
        )
    form = max(len(label) for label in sides)
    while now <= last:
        yield now.isoformat(timespec="minutes")[:form]
        now += step


def _of_operations(
    sides: Mapping[str, Side], times: tuple[str, ...], top: int, calls: Calls
) -> Iterator[_Weighted]:
    spent: dict[str, int] = {}
    for side in sides.values():
        for name, sums in side.operations.items():
            spent[name] = spent.get(name, 0) + sums.walls.total
    for name in _first(spent, top):
        counts = tuple(_count(_sums(sides, time, name)) for time in times)
        walls = tuple(_sums(sides, time, name).walls.total / MICRO for time in times)
        yield _series(name, None, counts, walls)
        called = tuple(calls.get(time, {}).get(name, 0.0) for time in times)
        if any(called):
            shares = tuple(count / base if base else None for count, base in zip(counts, called, strict=True))
            slow = Series(figure="slow", operation=name, operations=counts, values=shares, calls=called)
            yield slow, called


def _of_places(sides: Mapping[str, Side], times: tuple[str, ...], top: int) -> Iterator[_Weighted]:
    spent: dict[tuple[str, Place], int] = {}
    for side in sides.values():
        for name, sums in side.operations.items():
            for place, cost in sums.places.items():
                spent[name, place] = spent.get((name, place), 0) + cost.total
    nothing = Sums()
    for name, place in _first(spent, top):
        found = [_sums(sides, time, name) for time in times]
        costs = tuple(sums.places.get(place, nothing).total / MICRO for sums in found)
        yield _series(name, place, tuple(_count(sums) for sums in found), costs)


def _first(spent: Mapping[K, int], top: int) -> list[K]:
    """Return the keys of most seconds; of equal ones the first by name."""
    return sorted(sorted(spent, key=str), key=lambda key: -spent[key])[:top]


def _sums(sides: Mapping[str, Side], time: str, name: str) -> OperationSums:
    side = sides.get(time)
    found = side.operations.get(name) if side is not None else None
    return found or OperationSums()


def _count(sums: OperationSums) -> float:
    return sums.counts.total / MICRO


def _series(
    name: str, place: Place | None, counts: tuple[float, ...], seconds: tuple[float, ...]
) -> _Weighted:
    values = tuple(spent / count if count else None for spent, count in zip(seconds, counts, strict=True))
    category, owner, function = place or ("", "", "")
    series = Series(
        figure="seconds",
        operation=name,
        category=category,
        owner=owner,
        function=function,
        operations=counts,
        values=values,
    )
    return series, counts


def _with_changes(series: Series, weights: tuple[float, ...], times: tuple[str, ...], level: float) -> Series:
    import numpy as np

    known = [index for index, value in enumerate(series.values) if value is not None]
    if not known:
        return series
    values = np.asarray([series.values[index] for index in known], dtype=np.float64)
    weighted = np.asarray([weights[index] for index in known])
    found = cuts(values, weighted, level)
    edges = [0, *(cut.at for cut in found), len(known)]
    means = [
        float(np.average(values[first:end], weights=weighted[first:end])) for first, end in pairwise(edges)
    ]
    changes = tuple(
        Change(
            times[known[cut.at]],
            before,
            after,
            Verdict.SLOWER if after > before else Verdict.FASTER,
            cut.p,
        )
        for cut, before, after in zip(found, means, means[1:], strict=False)
    )
    return replace(series, changes=changes)


def _series_dict(series: Series) -> dict[str, object]:
    return {
        "figure": series.figure,
        "operation": series.operation,
        "category": series.category,
        "owner": series.owner,
        "function": series.function,
        "operations": [round(count, _DIGITS) for count in series.operations],
        "values": [None if value is None else round(value, _DIGITS) for value in series.values],
        "changes": [
            {
                "at": change.at,
                "before": round(change.before, _DIGITS),
                "after": round(change.after, _DIGITS),
                "verdict": str(change.verdict),
                "p": float(f"{change.p:.3g}"),
            }
            for change in series.changes
        ],
    }
