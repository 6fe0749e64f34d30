"""What every form of a comparison says in the same words: figures, verdicts, moves and what they leave open.

Names from the store are written by a function that the form brings: each escapes what it has to.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from profkit_analyzers.bootstrap import Interval
from profkit_analyzers.changes.comparison import (
    BottleneckChange,
    Comparison,
    Decomposition,
    OperationChange,
    SideStats,
    Verdict,
)
from profkit_analyzers.changes.effects import Effect
from profkit_analyzers.reporters.figures import counted, seconds
from profkit_analyzers.reporters.text import NO_CODE

Say = Callable[[str], str]
"""Writes a name."""


def exact(value: float) -> str:
    """Return seconds to the millisecond: changes are small."""
    return f"{value:,.3f} s"


def signed(value: float) -> str:
    """Return a change in seconds."""
    return f"{value:+,.3f} s"


def interval(found: Interval) -> str:
    """Return an interval of a change in seconds."""
    return f"[{found.low:+,.3f}, {found.high:+,.3f}]"


def ratio(effect: Effect) -> str:
    """Return after by before, - where there was nothing before."""
    return "-" if effect.ratio is None else f"{effect.ratio:.2f}"


def of_effect(effect: Effect) -> list[str]:
    """Return the cells: before, after, change, interval and ratio."""
    return [
        exact(effect.before),
        exact(effect.after),
        signed(effect.difference),
        interval(effect.interval),
        ratio(effect),
    ]


def slow(change: OperationChange) -> str:
    """Return how many were slow before and after, and what share of the calls that is if these are known."""
    counts = f"{change.slow.before:,.0f} > {change.slow.after:,.0f}"
    if change.calls is None:
        return counts
    shares = [100 * slow / calls for slow, calls in zip(change.slow, change.calls, strict=True)]
    return f"{counts} ({shares[0]:.2g} > {shares[1]:.2g} %)"


def operation_verdict(change: OperationChange) -> str:
    """Return what can be said of an operation."""
    return "too few" if change.few and change.verdict is Verdict.NO_EVIDENCE else str(change.verdict)


def bottleneck_verdict(row: BottleneckChange) -> str:
    """Return what can be said of a place."""
    return str(row.verdict) if row.shift is None else f"moved ({row.verdict})"


def function_of(row: BottleneckChange) -> str:
    """Return the place's function, or that none was seen."""
    return row.function or NO_CODE


def chosen(comparison: Comparison, top: int) -> tuple[list[BottleneckChange], int]:
    """Return all places with a verdict and `top` of those without, and how many are left out."""
    sure = with_verdict(comparison)
    others = [row for row in comparison.bottlenecks if row.verdict is Verdict.NO_EVIDENCE]
    return sure + others[:top], len(others[top:])


def with_verdict(comparison: Comparison) -> list[BottleneckChange]:
    """Return the places that have changed."""
    return [row for row in comparison.bottlenecks if row.verdict is not Verdict.NO_EVIDENCE]


def counts(side: SideStats) -> str:
    """Return what one side was read from."""
    nested = f", {side.nested:,} of them inside others" if side.nested else ""
    stands_for = counted(side.operations, "slow operation")
    return f"{counted(side.profiles, 'profile')}{nested}, for {stands_for}, {seconds(side.seconds)}"


def other_versions(comparison: Comparison) -> str:
    """Return how many profiles were of neither version, "" if none."""
    left = comparison.other_versions
    return f"{counted(left, 'profile')} of other versions left out" if left else ""


def without_evidence(left: int) -> str:
    """Return how many places without a verdict are not shown."""
    return f"and {counted(left, 'row')} without evidence of a change: see --top"


def decomposition(parts: Decomposition) -> str:
    """Return what another mix of operations did to the mean of all, and what their speed."""
    per_operation = parts.per == "slow operation"
    what = "seconds per slow operation" if per_operation else "seconds in slow operations per call"
    return (
        f"all {what}: {exact(parts.before)} before, {exact(parts.after)} after: "
        f"{signed(parts.mix.seconds)} by another mix of operations {interval(parts.mix.interval)}, "
        f"{signed(parts.speed.seconds)} by their speed {interval(parts.speed.interval)}"
    )


def moved(row: BottleneckChange, say: Say) -> str:
    """Return where a place's seconds went or came from, "" if they did not only move."""
    if row.shift is None:
        return ""
    names = {"operation": "the operation", "function": "that function", "owner": say(row.owner)}
    within = names.get(row.shift.within) or f"{say(row.shift.name)}, which calls it,"
    return (
        f"moved: {say(function_of(row))} {signed(row.seconds.difference)}, "
        f"but {within} as a whole {signed(row.shift.seconds.difference)}"
    )


def first_regression(comparison: Comparison) -> BottleneckChange | None:
    """Return the first place that is slower and has a worst run to look at."""
    rows = with_verdict(comparison)
    return next((row for row in rows if row.is_regression and row.exemplars[1]), None)


def notes(operations: Sequence[OperationChange], say: Say) -> Iterator[str]:
    """Yield what the figures of operations leave open."""
    if any(change.calls is None for change in operations):
        yield (
            "Only slow operations leave profiles: where more or fewer of the calls are slow, seconds per slow "
            "operation do not tell it."
        )
    for change in operations:
        name = say(change.operation)
        if change.calls is None and change.is_slow_more_often and change.rate is not None:
            yield (
                f"{name} was slow {change.rate.before:.3g} times an hour, and then {change.rate.after:.3g}: "
                "more calls, or slower ones"
            )
        if change.compared is not None:
            yield f"{name}: compared are the slowest {100 * change.compared:.2g} % of its calls on both sides"
        if change.thresholds_differ:
            yield f"{name}: its threshold was not the same on both sides, so other operations count as slow"
