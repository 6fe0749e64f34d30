"""A trend as Markdown, for an issue tracker: every name is text, whatever is in it."""

from __future__ import annotations

from collections.abc import Iterator

from profkit_analyzers.changes.trend import Series, Trend
from profkit_analyzers.reporters.figures import counted
from profkit_analyzers.reporters.marked import as_text, code, table
from profkit_analyzers.reporters.trend import changes_of, figure, sparkline, summary, what

_COLUMNS = 24
_GAP = "\N{MIDDLE DOT}"
"""A space would be lost: HTML shows many as one."""

_TITLES = "operation", "what", "first", "last", "most", "from 0 to the most", "changes"


def render(trend: Trend, store: str) -> str:
    """Return the page of a trend in a `store`, as the user wrote it."""
    return "\n".join(_lines(trend, store)) + "\n"


def _lines(trend: Trend, store: str) -> Iterator[str]:
    yield f"### How {as_text(store)} went by {trend.by}"
    yield ""
    span = f", {trend.times[0]} to {trend.times[-1]} UTC" if trend.times else ""
    yield (
        f"{counted(trend.profiles, 'profile')}, {counted(len(trend.times), trend.by)}{span}. "
        "Seconds are per slow operation; only slow operations leave profiles."
    )
    if trend.skipped_count:
        item = trend.skipped[0]
        yield f"{trend.skipped_count:,} skipped, the first is {code(f'{item.key}: {item.reason}')}."
    yield ""
    yield "#### Changes"
    yield ""
    changes = changes_of(trend)
    if not changes:
        yield "No change that is more than chance."
    for series, change in changes:
        verdict = f"**{change.verdict}**" if change.verdict == "slower" else change.verdict
        yield (
            f"- {change.at} {verdict}: {code(series.operation)}, {_what(series)}: "
            f"{figure(series, change.before)} before, {figure(series, change.after)} after"
        )
    yield ""
    yield "#### Series"
    yield ""
    yield from table(_TITLES, map(_row, trend.series), figures="..xxx.x")


def _row(series: Series) -> list[str]:
    first, last, most = summary(series)
    line = sparkline(series.values, series.weights, _COLUMNS).replace(" ", _GAP)
    changes = str(len(series.changes)) if series.changes else ""
    return [
        code(series.operation, cell=True),
        _what(series, cell=True),
        *(first, last, most),
        code(line),
        changes,
    ]


def _what(series: Series, *, cell: bool = False) -> str:
    if series.figure == "slow" or not series.category:
        return what(series)
    return f"{as_text(series.category)} {code(series.function, cell=cell) or 'no application code'}"
