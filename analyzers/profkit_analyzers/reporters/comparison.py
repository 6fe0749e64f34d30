"""A comparison as a page of text: what changed in all, operations, bottlenecks, and what the figures leave open."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.text import Text

from profkit_analyzers.changes.comparison import BottleneckChange, Comparison, OperationChange
from profkit_analyzers.reporters import change_figures as figures
from profkit_analyzers.reporters.columns import Column, in_columns
from profkit_analyzers.reporters.terminal import Screen, printable, written

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
    for title, side in (("before", comparison.before), ("after", comparison.after)):
        yield f"{title:<7} {printable(side.name)}: {figures.counts(side)}"
    if comparison.other_versions:
        yield figures.other_versions(comparison)
    yield from _skipped(comparison)
    if comparison.decomposition is not None:
        yield figures.decomposition(comparison.decomposition)
    yield ""
    yield Text("seconds per slow operation, by operation", style="bold")
    yield from _table(_OPERATIONS, [_operation(row) for row in comparison.operations], screen)
    shown, left = figures.chosen(comparison, top)
    yield ""
    if shown:
        yield Text("seconds per slow operation, by function", style="bold")
        yield from _table(_BOTTLENECKS, [_bottleneck(row) for row in shown], screen)
    if left:
        yield figures.without_evidence(left)
    yield from filter(None, (figures.moved(row, printable) for row in shown))
    yield from _worst(comparison)
    yield ""
    yield from figures.notes(comparison.operations, printable)


def _skipped(comparison: Comparison) -> Iterator[str]:
    if comparison.skipped_count:
        yield f"{comparison.skipped_count:,} skipped:"
    for item in comparison.skipped:
        yield f"  {printable(item.key)}: {printable(item.reason)}"


def _table(columns: Sequence[Column], rows: Sequence[Sequence[str]], screen: Screen) -> Iterator[Text]:
    titles, *lines = in_columns(columns, rows, screen.width)
    yield titles
    for line, row in zip(lines, rows, strict=True):
        style = _STYLES.get(row[-1].partition(" ")[0])
        if style is not None:
            line.stylize(style, len(line.plain.rstrip()) - len(row[-1]))
        yield line


def _operation(change: OperationChange) -> list[str]:
    effect = figures.of_effect(change.seconds)
    return [change.operation, figures.slow(change), *effect, figures.operation_verdict(change)]


def _bottleneck(row: BottleneckChange) -> list[str]:
    place = row.operation, row.category, row.owner, figures.function_of(row)
    return [*place, *figures.of_effect(row.seconds), figures.bottleneck_verdict(row)]


def _worst(comparison: Comparison) -> Iterator[str]:
    first = figures.first_regression(comparison)
    if first is not None:
        before = f", before: {first.exemplars[0]}" if first.exemplars[0] else ""
        yield f"the worst run of the first of them: {first.exemplars[1]}{before}"
