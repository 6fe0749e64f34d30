"""A comparison as a page of text: what changed in all, operations, bottlenecks, and what the figures leave open."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.text import Text

from profkit_analyzers.bootstrap import Interval
from profkit_analyzers.comparison import (
    BottleneckChange,
    Comparison,
    Decomposition,
    OperationChange,
    SideStats,
    Verdict,
)
from profkit_analyzers.effects import Effect
from profkit_analyzers.reporters.columns import Column, in_columns
from profkit_analyzers.reporters.figures import counted, seconds
from profkit_analyzers.reporters.terminal import Screen, printable, written
from profkit_analyzers.reporters.text import NO_CODE

_STYLES = {"slower": "bold red", "faster": "green", "moved": "yellow"}
_EFFECT = (
    Column("before", right=True),
    Column("after", right=True),
    Column("change", right=True, style="bold"),
    Column("95 % interval", right=True),
    Column("ratio", right=True),
    Column("verdict"),
)
_OPERATIONS = (Column("operation", shrink=True), Column("slow", right=True), *_EFFECT)
_BOTTLENECKS = (
    Column("operation", shrink=True),
    Column("category", style="cyan"),
    Column("owner", shrink=True),
    Column("function", shrink=True, keep_end=True),
    *_EFFECT,
)


def render(comparison: Comparison, screen: Screen, *, top: int) -> str:
    """Return the page, with all rows that have a verdict and `top` of those that have none."""
    return written(_lines(comparison, screen, top), screen)


def _lines(comparison: Comparison, screen: Screen, top: int) -> Iterator[Text | str]:
    yield _side("before", comparison.before)
    yield _side("after", comparison.after)
    if comparison.other_versions:
        yield f"{counted(comparison.other_versions, 'profile')} of other versions left out"
    yield from _skipped(comparison)
    if comparison.decomposition is not None:
        yield from _decomposition(comparison.decomposition)
    yield ""
    yield Text("seconds per slow operation, by operation", style="bold")
    yield from _table(_OPERATIONS, [_operation(row) for row in comparison.operations], screen)
    sure = [row for row in comparison.bottlenecks if row.verdict is not Verdict.NO_EVIDENCE]
    others = [row for row in comparison.bottlenecks if row.verdict is Verdict.NO_EVIDENCE]
    shown = sure + others[:top]
    yield ""
    if shown:
        yield Text("seconds per slow operation, by function", style="bold")
        yield from _table(_BOTTLENECKS, [_bottleneck(row) for row in shown], screen)
    left = len(comparison.bottlenecks) - len(shown)
    if left:
        yield f"and {counted(left, 'row')} without evidence of a change: see --top"
    yield from _moved(sure)
    yield from _worst(sure)
    yield ""
    yield from _notes(comparison.operations)


def _side(title: str, side: SideStats) -> str:
    nested = f", {side.nested:,} of them inside others" if side.nested else ""
    return (
        f"{title:<7} {printable(side.name)}: {counted(side.profiles, 'profile')}{nested}, "
        f"for {counted(side.operations, 'slow operation')}, {seconds(side.seconds)}"
    )


def _skipped(comparison: Comparison) -> Iterator[str]:
    if comparison.skipped_count:
        yield f"{comparison.skipped_count:,} skipped:"
    for item in comparison.skipped:
        yield f"  {printable(item.key)}: {printable(item.reason)}"


def _decomposition(parts: Decomposition) -> Iterator[str]:
    what = (
        "seconds per slow operation"
        if parts.per == "slow operation"
        else "seconds in slow operations per call"
    )
    yield (
        f"all {what}: {_exact(parts.before)} before, {_exact(parts.after)} after: "
        f"{_signed(parts.mix.seconds)} by another mix of operations {_interval(parts.mix.interval)}, "
        f"{_signed(parts.speed.seconds)} by their speed {_interval(parts.speed.interval)}"
    )


def _table(columns: Sequence[Column], rows: Sequence[Sequence[str]], screen: Screen) -> Iterator[Text]:
    titles, *lines = in_columns(columns, rows, screen.width)
    yield titles
    for line, row in zip(lines, rows, strict=True):
        style = _STYLES.get(row[-1].partition(" ")[0])
        if style is not None:
            line.stylize(style, len(line.plain.rstrip()) - len(row[-1]))
        yield line


def _operation(change: OperationChange) -> list[str]:
    verdict = str(change.verdict)
    if change.few and change.verdict is Verdict.NO_EVIDENCE:
        verdict = "too few"
    slow = f"{change.slow.before:,.0f} > {change.slow.after:,.0f}"
    if change.calls is not None:
        shares = [100 * slow / calls for slow, calls in zip(change.slow, change.calls, strict=True)]
        slow += f" ({shares[0]:.2g} > {shares[1]:.2g} %)"
    return [change.operation, slow, *_effect(change.seconds), verdict]


def _bottleneck(row: BottleneckChange) -> list[str]:
    verdict = str(row.verdict) if row.shift is None else f"moved ({row.verdict})"
    place = row.operation, row.category, row.owner, row.function or NO_CODE
    return [*place, *_effect(row.seconds), verdict]


def _effect(effect: Effect) -> list[str]:
    return [
        _exact(effect.before),
        _exact(effect.after),
        _signed(effect.difference),
        _interval(effect.interval),
        "-" if effect.ratio is None else f"{effect.ratio:.2f}",
    ]


def _moved(rows: Sequence[BottleneckChange]) -> Iterator[str]:
    for row in rows:
        if row.shift is not None:
            names = {"operation": "the operation", "function": "that function", "owner": row.owner}
            within = names.get(row.shift.within, f"{row.shift.name}, which calls it,")
            yield (
                f"moved: {printable(row.function or NO_CODE)} {_signed(row.seconds.difference)}, "
                f"but {printable(within)} as a whole {_signed(row.shift.seconds.difference)}"
            )


def _worst(rows: Sequence[BottleneckChange]) -> Iterator[str]:
    first = next((row for row in rows if row.is_regression and row.exemplars[1]), None)
    if first is not None:
        before = f", before: {first.exemplars[0]}" if first.exemplars[0] else ""
        yield f"the worst run of the first of them: {first.exemplars[1]}{before}"


def _notes(operations: Sequence[OperationChange]) -> Iterator[str]:
    if any(change.calls is None for change in operations):
        yield (
            "Only slow operations leave profiles: where more or fewer of the calls are slow, seconds per slow "
            "operation do not tell it."
        )
    for change in operations:
        name = printable(change.operation)
        if change.calls is None and change.is_slow_more_often and change.rate is not None:
            yield (
                f"{name} was slow {change.rate.before:.3g} times an hour, and then {change.rate.after:.3g}: "
                "more calls, or slower ones"
            )
        if change.compared is not None:
            yield f"{name}: compared are the slowest {100 * change.compared:.2g} % of its calls on both sides"
        if change.thresholds_differ:
            yield f"{name}: its threshold was not the same on both sides, so other operations count as slow"


def _exact(value: float) -> str:
    """Return seconds to the millisecond: changes are small."""
    return f"{value:,.3f} s"


def _signed(value: float) -> str:
    return f"{value:+,.3f} s"


def _interval(interval: Interval) -> str:
    return f"[{interval.low:+,.3f}, {interval.high:+,.3f}]"
