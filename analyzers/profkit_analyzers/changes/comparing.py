"""Compares two sides: what each operation and bottleneck costs an operation, before and after."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, NamedTuple

from profkit_analyzers.bootstrap import GROUPS
from profkit_analyzers.changes.comparison import (
    BottleneckChange,
    Comparison,
    Decomposition,
    OperationChange,
    Pair,
    SideStats,
    Verdict,
)
from profkit_analyzers.changes.effects import FALSE_RATE, FEWEST_GROUPS, Effect, greatest_p
from profkit_analyzers.changes.mix import Amounts, decompose
from profkit_analyzers.changes.pairing import Base, Paired, Rates, rates
from profkit_analyzers.changes.sides import MICRO, OperationSums, Side

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

LEAST = 0.01
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_ALMOST = 1e-12


@dataclass(frozen=True, slots=True)
class Exposure:
    """What slow operations are a part of: calls of each operation before and after, by name, and each side's hours.

    Nothing that is not known has to be given; with calls, verdicts also tell how often an operation is slow.
    """

    calls_before: Mapping[str, float] | None = None
    calls_after: Mapping[str, float] | None = None
    hours: Pair | None = None

    def base(self, operation: str) -> Base | None:
        """Return what an operation's slow runs are counted per; None if nothing is known."""
        if self.calls_before is not None and self.calls_after is not None:
            found = self.calls_before.get(operation, 0.0), self.calls_after.get(operation, 0.0)
            if all(found):
                return Base(*found, is_calls=True)
        return None if self.hours is None else Base(*self.hours, is_calls=False)


class Named(NamedTuple):
    """A side and what to call it."""

    name: str
    side: Side


class _Tested(NamedTuple):
    """One operation, before verdicts: its change, and the effects of its places that are large enough to matter."""

    change: OperationChange
    rows: list[BottleneckChange]
    small: int
    effects: tuple[Effect, ...]


def compare(
    before: Named, after: Named, exposure: Exposure | None = None, *, least: float = LEAST
) -> Comparison:
    """Return what differs between two sides. A verdict needs a change of `least` of the operation's seconds.

    Verdicts are given so that of all of them 5 % are wrong (see `effects.greatest_p`); where nothing has changed, there
    is none in 19 of 20 comparisons.
    """
    known = exposure or Exposure()
    old, new = before.side.operations, after.side.operations
    names = [name for name in sorted(old.keys() | new.keys()) if _counts(old, name) or _counts(new, name)]
    tested = [
        _tested(name, old.get(name, OperationSums()), new.get(name, OperationSums()), known.base(name), least)
        for name in names
    ]
    limit = greatest_p(effect.p for one in tested for effect in one.effects)
    operations = [_judged_operation(one.change, limit, least) for one in tested]
    rows = [_judged(row, limit, least * one.change.seconds.before) for one in tested for row in one.rows]
    return Comparison(
        before=_stats(before),
        after=_stats(after),
        decomposition=_decomposition(names, old, new, known),
        operations=tuple(sorted(operations, key=_operation_order)),
        bottlenecks=tuple(sorted(rows, key=_order)),
        small=sum(one.small for one in tested),
    )


def _counts(side: Mapping[str, OperationSums], name: str) -> bool:
    return name in side and side[name].profiles > side[name].nested


def _tested(name: str, old: OperationSums, new: OperationSums, base: Base | None, least: float) -> _Tested:
    often = rates(old, new, base)
    differs = base is not None and base.is_calls and often.slow is not None and often.slow.is_sure
    cut = base if differs and old.counts.total and new.counts.total else None
    paired = Paired(old, new, cut)
    few = min(paired.groups) < FEWEST_GROUPS
    change = OperationChange(
        operation=name,
        profiles=Pair(old.profiles - old.nested, new.profiles - new.nested),
        slow=Pair(old.counts.total / MICRO, new.counts.total / MICRO),
        calls=Pair(base.before, base.after) if base is not None and base.is_calls else None,
        seconds=paired.wall,
        unobserved=Pair(*(sums.unobserved / (sums.counts.total or 1) for sums in (old, new))),
        rate=often.slow,
        per_call=often.seconds,
        compared=paired.compared,
        few=few,
        thresholds_differ=bool(min(paired.groups)) and old.thresholds != new.thresholds,
        verdict=Verdict.NO_EVIDENCE,
    )
    floor = least * (paired.wall.before + paired.wall.after) / 2
    large = [
        (place, effect) for place, effect in paired.effects.items() if effect.before + effect.after >= floor
    ]
    shifts = paired.shifts(
        place for place, effect in large if effect.p <= FALSE_RATE and _may_have_moved(change, effect)
    )
    rows = [
        BottleneckChange(
            operation=name,
            category=place.category,
            owner=place.owner,
            function=place.function,
            seconds=effect,
            verdict=Verdict.NO_EVIDENCE,
            shift=shifts.get(place),
            exemplars=(old.worst.get(place, (0, ""))[1], new.worst.get(place, (0, ""))[1]),
        )
        for place, effect in large
    ]
    effects = () if few else (paired.wall, *(effect for _, effect in large))
    return _Tested(
        change, [] if few else rows, len(paired.effects) - len(large), effects + _of_calls(often, old, new)
    )


def _of_calls(often: Rates, old: OperationSums, new: OperationSums) -> tuple[Effect, ...]:
    """Return the rate, if it is of calls and there are enough slow ones to test it."""
    enough = max(sums.profiles - sums.nested for sums in (old, new)) >= FEWEST_GROUPS
    return (often.slow,) if often.slow is not None and often.seconds is not None and enough else ()


def _may_have_moved(change: OperationChange, effect: Effect) -> bool:
    """Tell whether seconds can be said to have moved only.

    If a place is slower and its operation slow more often, that the mean stayed the same shows nothing: those that
    joined are the least slow; and the other way round. With calls, what is compared was cut to the same share of them.
    """
    if change.compared is not None or change.rate is None or not change.rate.is_sure:
        return True
    return (effect.difference > 0) != (change.rate.difference > 0)


def _verdict(effect: Effect, limit: float, least: float) -> Verdict:
    if effect.p > limit or not effect.is_sure or abs(effect.difference) < max(least, _ALMOST):
        return Verdict.NO_EVIDENCE
    return Verdict.SLOWER if effect.difference > 0 else Verdict.FASTER


def _judged(row: BottleneckChange, limit: float, least: float) -> BottleneckChange:
    verdict = _verdict(row.seconds, limit, least)
    return replace(row, verdict=verdict, shift=None if verdict is Verdict.NO_EVIDENCE else row.shift)


def _judged_operation(change: OperationChange, limit: float, least: float) -> OperationChange:
    """Return the change with its verdict: of its seconds, and if calls are known, of how often it is slow.

    Of the two that disagree (slow less often, but the rest longer) the seconds of slow operations per call decide.
    """
    found = set[Verdict]()
    if not change.few:
        found.add(_verdict(change.seconds, limit, least * change.seconds.before))
    if change.rate is not None and change.per_call is not None:
        found.add(_verdict(change.rate, limit, least * change.rate.before))
        if {Verdict.SLOWER, Verdict.FASTER} <= found:
            found = {_verdict(change.per_call, FALSE_RATE, least * change.per_call.before)}
    found.discard(Verdict.NO_EVIDENCE)
    return replace(change, verdict=found.pop() if found else Verdict.NO_EVIDENCE)


def _order(row: BottleneckChange) -> tuple[object, ...]:
    rank = 0 if row.is_regression else 1 if row.verdict is not Verdict.NO_EVIDENCE else 2
    return rank, -abs(row.seconds.difference), row.operation, row.category, row.owner, row.function


def _operation_order(change: OperationChange) -> tuple[object, ...]:
    rank = [Verdict.SLOWER, Verdict.FASTER, Verdict.NO_EVIDENCE].index(change.verdict)
    return rank, -abs(change.seconds.difference), change.operation


def _decomposition(
    names: list[str],
    old: Mapping[str, OperationSums],
    new: Mapping[str, OperationSums],
    known: Exposure,
) -> Decomposition | None:
    if not names:
        return None
    bases = [known.base(name) for name in names]
    all_calls = all(base is not None and base.is_calls for base in bases)
    calls = [(base.before, base.after) for base in bases if base is not None] if all_calls else None
    before, after = (
        Amounts(
            _by_group(side[name].counts.bands.values() if name in side else () for name in names),
            _by_group(side[name].walls.bands.values() if name in side else () for name in names),
            None if calls is None else _column(calls, number) * MICRO,
        )
        for number, side in enumerate((old, new))
    )
    return decompose(before, after)


def _column(calls: list[tuple[float, float]], number: int) -> NDArray[np.float64]:
    import numpy as np

    return np.asarray([pair[number] for pair in calls], dtype=np.float64)


def _by_group(names: Iterable[Iterable[Iterable[int]]]) -> NDArray[np.float64]:
    import numpy as np

    zero = np.zeros(GROUPS)
    return np.asarray([sum((np.asarray(band, dtype=np.float64) for band in bands), zero) for bands in names])


def _stats(named: Named) -> SideStats:
    sums = named.side.operations.values()
    empty = named.side.last_ns < 0
    return SideStats(
        name=named.name,
        profiles=sum(one.profiles for one in sums),
        nested=sum(one.nested for one in sums),
        operations=sum(one.counts.total for one in sums) / MICRO,
        seconds=sum(one.walls.total for one in sums) / MICRO,
        first_seen=None if empty else _moment(named.side.first_ns),
        last_seen=None if empty else _moment(named.side.last_ns),
    )


def _moment(nanoseconds: int) -> datetime:
    return _EPOCH + timedelta(microseconds=nanoseconds // 1000)
