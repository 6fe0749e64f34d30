"""A trend as one page that runs by itself and reaches nothing: `render`. Its size has a bound, as a report's."""

from __future__ import annotations

import html
from collections.abc import Iterator, Sequence

from profkit_analyzers.changes.trend import Change, Series, Trend
from profkit_analyzers.reporters.figures import counted
from profkit_analyzers.reporters.page.axes import WIDTH, as_table, chart, stretched
from profkit_analyzers.reporters.page.differences import verdict
from profkit_analyzers.reporters.page.document import document, skipped_part
from profkit_analyzers.reporters.page.listing import Cell, Column, Words, listing, row_of
from profkit_analyzers.reporters.page.ranking import swatch_of
from profkit_analyzers.reporters.page.room import Room
from profkit_analyzers.reporters.trend import changes_of, figure, group_size, grouped, summary
from profkit_storage.formats import tables
from profkit_storage.formats.names import legible, markup

_ROOM, _LITTLE_ROOM = 3_000_000, 300_000
_HEIGHT, _SMALL = 140, 22
_LONGEST = 96
"""Columns of a picture: a longer series has more than one time in each."""

_COLUMNS = (
    Column("#", "figure", "Operations first, then bottlenecks, by their seconds"),
    Column("operation", "code", "The slow operation"),
    Column("category", "", "What kind of code the time is blamed on; the operation as a whole has none"),
    Column("owner", "", "The library that owns it"),
    Column("function", "code", "Your function that calls it"),
    Column("first", "figure", "Where it began"),
    Column("last", "figure", "Where it ended"),
    Column("most", "figure", "The greatest of all times"),
    Column("from 0 to the most", "spark", "Over time; a line is a change"),
    Column("changes", "", "The last one, where there is more than chance"),
)
_CHANGES = ("from (UTC)", ""), ("what", ""), ("before", "figure"), ("after", "figure"), ("p", "figure")


def render(trend: Trend, store: str) -> str:
    """Return the page of a trend in a `store`, as the user wrote it."""
    title = f"How {markup(store)} went by {trend.by}"
    return document(title, _head(trend), (_changes(trend), _series(trend)), ("ranking.js",))


def _head(trend: Trend) -> str:
    span = f", {trend.times[0]} to {trend.times[-1]} UTC" if trend.times else ""
    return (
        f"<p>{counted(trend.profiles, 'profile')}, {counted(len(trend.times), trend.by)}{span}. "
        "Seconds are per slow operation; only slow operations leave profiles.</p>"
        + skipped_part(trend.skipped, trend.skipped_count)
    )


def _changes(trend: Trend) -> str:
    found, room = changes_of(trend), Room(_LITTLE_ROOM)
    rows: list[list[str]] = []
    for series, change in found:
        name = f"{verdict(str(change.verdict))} <b>{markup(series.operation)}</b> {_what(series)}"
        before, after = figure(series, change.before), figure(series, change.after)
        row = [change.at, name, before, after, f"{change.p:.2g}"]
        if not room.take(*row):
            break
        rows.append(row)
    left = len(found) - len(rows)
    more = f'<p class="quiet">and {counted(left, "change")} more</p>' if left else ""
    table = tables.table(_CHANGES, rows) if rows else "<p>No change that is more than chance.</p>"
    return (
        '<section class="flame-part told" aria-labelledby="changes-title"><h2 id="changes-title">Changes</h2>'
        f'<div class="wide">{table}</div>{more}</section>'
    )


def _what(series: Series) -> str:
    """Return what of the operation it is a series of, as HTML."""
    if series.figure == "slow":
        return "slow ones, of all its calls"
    if not series.category:
        return "as a whole"
    return f"in {markup(series.category)}, {markup(series.function) or 'no application code'}"


def _series(trend: Trend) -> str:
    shown = Room(_ROOM).fitting(
        _row(rank, series, trend.times) for rank, series in enumerate(trend.series, start=1)
    )
    left = len(trend.series) - len(shown)
    words = Words(
        title="Each over time",
        reading="A row opens its picture, and the changes in it.",
        noun="table",
        hint="operation, category, owner, function or verdict",
        more=f"and {counted(left, 'row')} more" if left else "",
    )
    return listing(_COLUMNS, shown, words)


def _row(rank: int, series: Series, times: Sequence[str]) -> str:
    known = [value for value in series.values if value is not None]
    order = (known[0], known[-1], max(known)) if known else (0.0, 0.0, 0.0)
    columns = grouped(series.values, series.weights, _LONGEST)
    kind = swatch_of(series.category) if series.category else "heat"
    small = f'<div class="spark" aria-hidden="true">{stretched(_shapes(series, columns, times, kind), _SMALL)}</div>'
    category = f'<span class="swatch {kind}"></span>{markup(series.category)}' if series.category else ""
    last = verdict(str(series.changes[-1].verdict)) + f" {series.changes[-1].at}" if series.changes else ""
    cells = (
        Cell(markup(series.operation)),
        Cell(category or ("share of calls" if series.figure == "slow" else "all of it")),
        Cell(markup(series.owner)),
        Cell(markup(series.function)),
        *map(Cell, summary(series), order),
        Cell(small, order[1] / order[2] if order[2] else 0.0),
        Cell(last),
    )
    return row_of(rank, _COLUMNS, cells, _evidence(series, columns, times, kind))


def _evidence(series: Series, columns: Sequence[float | None], times: Sequence[str], kind: str) -> str:
    most = max((value for value in columns if value is not None), default=0.0)
    starts = _starts(times)
    rows = [
        [start, "-" if value is None else (figure(series, value), value)]
        for start, value in zip(starts, columns, strict=True)
    ]
    told = "".join(f"<li>{_told(series, change)}</li>" for change in series.changes)
    title = "Slow ones of all calls" if series.figure == "slow" else "Seconds per slow operation"
    return (
        chart(
            f"{title} over time, from {times[0]} to {times[-1]} UTC. The same is in the table below.",
            _HEIGHT,
            [(0.0, figure(series, most)), (0.5, figure(series, most / 2)), (1.0, "0")],
            _shapes(series, columns, times, kind),
            starts,
        )
        + (f"<ul>{told}</ul>" if told else "")
        + as_table((("from (UTC)", ""), (title.lower(), "figure")), rows)
    )


def _told(series: Series, change: Change) -> str:
    return (
        f"{change.at}: {verdict(str(change.verdict))}, {figure(series, change.before)} before, "
        f"{figure(series, change.after)} after"
    )


def _starts(times: Sequence[str]) -> Sequence[str]:
    """Return the first time of each column."""
    return times[:: group_size(len(times), _LONGEST)]


def _shapes(
    series: Series, columns: Sequence[float | None], times: Sequence[str], kind: str
) -> Iterator[str]:
    """Yield a bar for each column that there is something of, and a line where the series changed."""
    most = max((value for value in columns if value is not None), default=0.0) or 1.0
    wide = WIDTH / len(columns)
    for index, (start, value) in enumerate(zip(_starts(times), columns, strict=True)):
        if value is not None:
            high = 100 * value / most
            yield (
                f'<rect class="lane {kind}" x="{index * wide:.0f}" width="{wide * 0.92:.0f}" y="{100 - high:.2f}" '
                f'height="{high:.2f}"><title>{start}: {figure(series, value)}</title></rect>'
            )
    for change in series.changes:
        place = times.index(change.at) / (group_size(len(times), _LONGEST) * len(columns))
        words = html.escape(legible(f"{change.at}: {change.verdict}"))
        yield (
            f'<rect class="change {change.verdict}" x="{place * WIDTH:.0f}" width="{WIDTH / 300:.0f}" height="100">'
            f"<title>{words}</title></rect>"
        )
