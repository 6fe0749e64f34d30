"""A trend as a page of text: a line for each series, and the changes in them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.text import Text

from profkit_analyzers.changes.trend import Change, Series, Trend
from profkit_analyzers.reporters.columns import Column, in_columns
from profkit_analyzers.reporters.figures import counted
from profkit_analyzers.reporters.terminal import Screen, printable, written
from profkit_analyzers.reporters.text import NO_CODE

_BLOCKS = "▁▂▃▄▅▆▇█"
_GAP = " "
_LONGEST = 48
_COLUMNS = (
    Column("operation", shrink=True),
    Column("what", shrink=True, keep_end=True),
    Column("first", right=True),
    Column("last", right=True),
    Column("most", right=True),
    Column("from 0 to the most", style="cyan"),
    Column("changes", right=True),
)


def render(trend: Trend, screen: Screen) -> str:
    """Return the page."""
    return written(_lines(trend, screen), screen)


def _lines(trend: Trend, screen: Screen) -> Iterator[Text | str]:
    span = f"{trend.times[0]} to {trend.times[-1]} UTC" if trend.times else ""
    yield f"{counted(trend.profiles, 'profile')}, {counted(len(trend.times), trend.by)}: {span}"
    if trend.skipped_count:
        yield f"{trend.skipped_count:,} skipped:"
    for item in trend.skipped:
        yield f"  {printable(item.key)}: {printable(item.reason)}"
    yield "seconds are per slow operation; only slow operations leave profiles"
    yield ""
    yield from in_columns(_COLUMNS, [_row(series) for series in trend.series], screen.width)
    yield ""
    changes = changes_of(trend)
    if not changes:
        yield "No change that is more than chance."
    for series, change in changes:
        style = "red" if change.verdict == "slower" else "green"
        yield Text.assemble(
            f"{change.at}  ",
            (f"{change.verdict}", style),
            f"  {printable(series.operation)}, {printable(what(series))}: "
            f"{figure(series, change.before)} before, {figure(series, change.after)} after",
        )


def changes_of(trend: Trend) -> list[tuple[Series, Change]]:
    """Return all changes, in the order of their times."""
    found = [(series, change) for series in trend.series for change in series.changes]
    return sorted(found, key=lambda pair: pair[1].at)


def _row(series: Series) -> list[str]:
    changes = str(len(series.changes)) if series.changes else ""
    line = sparkline(series.values, series.weights)
    return [series.operation, what(series), *summary(series), line, changes]


def summary(series: Series) -> list[str]:
    """Return the first figure, the last and the greatest, - if there is none."""
    known = [value for value in series.values if value is not None]
    return [figure(series, value) for value in (known[0], known[-1], max(known))] if known else ["-"] * 3


def what(series: Series) -> str:
    """Return what of the operation it is a series of."""
    if series.figure == "slow":
        return "share of calls"
    if not series.category:
        return "all of it"
    return f"{series.category}  {series.function or NO_CODE}"


def figure(series: Series, value: float) -> str:
    """Return a value as it is read."""
    return f"{100 * value:.2f} %" if series.figure == "slow" else f"{value:,.3f} s"


def sparkline(values: Sequence[float | None], weights: Sequence[float], longest: int = _LONGEST) -> str:
    """Return a block for each value, 0 the lowest and the greatest the highest; neighbours share one in long series."""
    means = grouped(values, weights, longest)
    most = max((mean for mean in means if mean is not None), default=0.0) or 1.0
    return "".join(
        _GAP if mean is None else _BLOCKS[min(len(_BLOCKS) - 1, int(len(_BLOCKS) * mean / most))]
        for mean in means
    )


def grouped(values: Sequence[float | None], weights: Sequence[float], longest: int) -> list[float | None]:
    """Return the weighted means of as many neighbours each that there are at most `longest`."""
    size = group_size(len(values), longest)
    return [
        _mean(values[first : first + size], weights[first : first + size])
        for first in range(0, len(values), size)
    ]


def group_size(values: int, longest: int) -> int:
    """Return how many neighbours share a place where there are so many values and at most `longest` places."""
    return max(1, -(-values // longest))


def _mean(values: Sequence[float | None], weights: Sequence[float]) -> float | None:
    known = [
        (value, weight) for value, weight in zip(values, weights, strict=True) if value is not None and weight
    ]
    total = sum(weight for _, weight in known)
    return sum(value * weight for value, weight in known) / total if total else None
