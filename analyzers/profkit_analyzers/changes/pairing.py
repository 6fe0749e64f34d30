"""One operation on two sides: the figures of both, of the same part of its calls, and where seconds moved.

Only slow operations leave profiles. If more of the calls become slow, those that join are the least slow, and a mean
over slow ones can fall while every call got slower. So where the calls are known and the share of them that is slow
differs, the side with more is cut to its slowest, until both have the same share of their calls: the trimming of Lee,
"Training, Wages, and Sample Selection" (2009), which is exact where the order of the calls stays what it was.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from profkit_analyzers.bootstrap import GROUPS
from profkit_analyzers.changes.comparison import Pair, Shift
from profkit_analyzers.changes.effects import Effect, Estimate, below_half, effects, estimate, rate
from profkit_analyzers.changes.sides import MICRO, OperationSums, Place, Sums

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class Base(NamedTuple):
    """What slow operations of one name are counted per: on each side, its calls or its hours."""

    before: float
    after: float
    is_calls: bool


class Rates(NamedTuple):
    """Slow operations per call or hour; their seconds per call, if the calls are known."""

    slow: Effect | None
    seconds: Effect | None


def rates(old: OperationSums, new: OperationSums, base: Base | None) -> Rates:
    """Return how often an operation is slow on both sides, before anything is cut."""
    if base is None or base.before <= 0 or base.after <= 0:
        return Rates(None, None)
    slow, spent = (
        effects(
            rate(_flat(first, {}), base.before * MICRO, 0, is_share=is_share),
            rate(_flat(second, {}), base.after * MICRO, 1, is_share=is_share),
        )[0]
        for first, second, is_share in (
            (old.counts, new.counts, base.is_calls),
            (old.walls, new.walls, False),
        )
    )
    return Rates(slow, spent if base.is_calls else None)


class Paired:
    """The figures of one operation per slow run of it, `compared` being the share of its calls they are of."""

    def __init__(self, old: OperationSums, new: OperationSums, cut: Base | None = None) -> None:
        self.compared: float | None = None
        factors: list[dict[int, float]] = [{}, {}]
        if cut is not None:
            shares = old.counts.total / cut.before / MICRO, new.counts.total / cut.after / MICRO
            self.compared = min(shares)
            factors = [
                _slowest(sums.counts, self.compared / share if share else 1.0)
                for sums, share in zip((old, new), shares, strict=True)
            ]
        self.places = sorted(old.places.keys() | new.places.keys())
        self._owners = sorted({place[:2] for place in self.places})
        self._functions = sorted(old.functions.keys() | new.functions.keys())
        self._callers = _callers(old, new)
        self._sides = before, after = tuple(
            estimate(self._rows(sums, factor), _flat(sums.counts, factor), side)
            for side, (sums, factor) in enumerate(zip((old, new), factors, strict=True))
        )
        self.groups = Pair(before.groups, after.groups)
        found = effects(before, after)
        self.wall = found[0]
        self.effects = dict(zip(self.places, found[1:], strict=False))

    def shifts(self, places: Iterable[Place]) -> dict[Place, Shift]:
        """Return within what the seconds of some places only moved: where that is sure to have moved less than half.

        As FBDetect does (Yu et al., SOSP 2024), what encloses a place is asked whether it changed with it; first the
        closest. What moved within that is no reason for anything further out, and is left out there.
        """
        left, found = list(places), dict[Place, Shift]()
        for within in ("function", "caller", "owner", "operation"):
            moved = {place: self._shift(place, within, found) for place in left}
            found |= {place: shift for place, shift in moved.items() if shift is not None}
            left = [place for place in left if place not in found]
        return found

    def _shift(self, place: Place, within: str, moved: Iterable[Place]) -> Shift | None:
        name = {
            "function": place.function,
            "caller": self._callers.get(place.function, ""),
            "owner": f"{place.category} {place.owner}",
            "operation": "",
        }[within]
        first = 1 + len(self.places)
        if within in ("function", "caller"):
            if name not in self._functions:
                return None
            row, aside = first + self._functions.index(name), list[Place]()
        elif within == "owner":
            row = first + len(self._functions) + self._owners.index(place[:2])
            aside = [other for other in moved if other[:2] == place[:2]]
        else:
            row, aside = 0, list(moved)
        sides = [
            _without(side, row, [1 + self.places.index(other) for other in aside]) for side in self._sides
        ]
        own = 1 + self.places.index(place)
        before, after = self._sides
        part, whole = after.drawn[own] - before.drawn[own], sides[1].drawn[0] - sides[0].drawn[0]
        return Shift(within, name, effects(*sides)[0]) if below_half(part, whole) else None

    def _rows(self, sums: OperationSums, factor: Mapping[int, float]) -> NDArray[np.float64]:
        """Return seconds * operations of the wall, places, functions and owners: (figures, groups)."""
        import numpy as np

        nothing = Sums()
        places = [_flat(sums.places.get(place, nothing), factor) for place in self.places]
        functions = [_flat(sums.functions.get(name, nothing), factor) for name in self._functions]
        owners = [
            sum(
                (row for place, row in zip(self.places, places, strict=True) if place[:2] == owner),
                np.zeros(GROUPS),
            )
            for owner in self._owners
        ]
        return np.asarray([_flat(sums.walls, factor), *places, *functions, *owners])


def _without(side: Estimate, row: int, aside: Sequence[int]) -> Estimate:
    """Return one figure of a side, less those that are put aside."""
    points, drawn = (all_[[row]] - all_[list(aside)].sum(axis=0, keepdims=True) for all_ in side[:2])
    return Estimate(points, drawn, side.groups)


def _flat(sums: Sums, factors: Mapping[int, float]) -> NDArray[np.float64]:
    """Return what each group contributes in the bands that `factors` leave; a band it does not name stays whole."""
    import numpy as np

    found = np.zeros(GROUPS)
    for band, groups in sums.bands.items():
        found += factors.get(band, 1.0) * np.asarray(groups, dtype=np.float64)
    return found


def _slowest(counts: Sums, share: float) -> dict[int, float]:
    """Return what part of each band to keep, so that `share` of the operations are left, the slowest."""
    left = (1 - share) * counts.total
    found: dict[int, float] = {}
    for band in sorted(counts.bands):
        count = sum(counts.bands[band])
        if left <= 0 or count <= 0:
            break
        found[band] = max(0.0, 1 - left / count)
        left -= count
    return found


def _callers(old: OperationSums, new: OperationSums) -> dict[str, str]:
    """Return the caller that each function has most of its seconds from, both sides together."""
    spent = dict(old.calls)
    for call, seconds in new.calls.items():
        spent[call] = spent.get(call, 0) + seconds
    found: dict[str, tuple[int, str]] = {}
    for (caller, called), seconds in spent.items():
        found[called] = max(found.get(called, (-1, "")), (seconds, caller))
    return {called: caller for called, (_, caller) in found.items()}
