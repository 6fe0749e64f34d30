"""When the seconds were spent, and how long operations took then: two pictures over time, each a table too."""

from __future__ import annotations

import html
import math
from collections.abc import Iterator, Mapping, Sequence

from profkit_analyzers.pictures.history import History
from profkit_analyzers.reporters.figures import counted
from profkit_analyzers.reporters.page.axes import WIDTH, as_table, chart
from profkit_analyzers.reporters.page.columns import Column, Columns, columns_of, span_of
from profkit_analyzers.reporters.page.ranking import swatch_of
from profkit_storage.formats.boxes import UNOBSERVED
from profkit_storage.formats.durations import in_seconds
from profkit_storage.formats.flame_svg import figure
from profkit_storage.formats.names import legible, markup
from profkit_storage.formats.tables import Cell

_HEIGHT = 160
_CELL = 14
_MAX_NAMED = 8
_MAX_ROWS = 30
_SHADES = 6
_OTHERS = "other categories"

_SECTION = """<section class="flame-part" aria-labelledby="{id}-title"><h2 id="{id}-title">{title}</h2>
<p class="quiet">{reading}</p>
{chart}
{below}</section>"""


def time_sections(history: History) -> str:
    """Return the parts of a page that tell when: seconds by category, and a heat map of durations."""
    found = columns_of(history)
    return _categories(found) + _durations(found) if found.columns else ""


def _categories(found: Columns) -> str:
    totals: dict[str, float] = {}
    for column in found.columns:
        for name, seconds in _spent(column).items():
            totals[name] = totals.get(name, 0.0) + seconds
    names = _named(totals)
    most = max(column.seconds for column in found.columns) or 1.0
    legend = "".join(
        f'<li><span class="swatch {_kind(name)}"></span>{markup(name)} <b>{in_seconds(seconds)}</b></li>'
        for name, seconds in _folded(totals, names).items()
    )
    heads = (("from (UTC)", ""), *((markup(name), "figure") for name in names))
    rows: list[Sequence[Cell]] = [
        (_moment(column), *(figure(_folded(_spent(column), names).get(name, 0.0)) for name in names))
        for column in found.columns
        if column.seconds
    ]
    return _SECTION.format(
        id="time",
        title="Seconds by category over time",
        reading=f"A column is {span_of(found.step)}: the seconds of the slow operations that started in it.",
        chart=chart(
            f"Seconds by category over time, from {_range(found)}. The same is in the table below.",
            _HEIGHT,
            [(0.0, in_seconds(most)), (0.5, in_seconds(most / 2)), (1.0, "0")],
            _bars(found, names, most),
            _times(found),
        ),
        below=f'<ul class="flame-legend">{legend}</ul>{as_table(heads, rows)}',
    )


def _spent(column: Column) -> dict[str, float]:
    return {**column.categories, UNOBSERVED: column.unobserved} if column.unobserved else column.categories


def _named(totals: Mapping[str, float]) -> list[str]:
    """Return the categories that are shown by name, the largest first; then what stands for the others."""
    ranked = sorted(totals, key=lambda name: (-totals[name], name))
    return ranked if len(ranked) <= _MAX_NAMED + 1 else [*ranked[:_MAX_NAMED], _OTHERS]


def _folded(spent: Mapping[str, float], names: Sequence[str]) -> dict[str, float]:
    found: dict[str, float] = {}
    for name, seconds in sorted(spent.items()):
        key = name if name in names else _OTHERS
        found[key] = found.get(key, 0.0) + seconds
    return {name: found[name] for name in names if name in found}


def _kind(name: str) -> str:
    return "unknown" if name == UNOBSERVED else swatch_of(name)


def _bars(found: Columns, names: Sequence[str], most: float) -> Iterator[str]:
    wide = WIDTH / len(found.columns)
    for index, column in enumerate(found.columns):
        bottom = 100.0
        for name, seconds in _folded(_spent(column), names).items():
            high = 100 * seconds / most
            bottom -= high
            title = f"{_moment(column)}, {legible(name)}: {in_seconds(seconds)}"
            yield (
                f'<rect class="lane {_kind(name)}" x="{index * wide:.0f}" width="{wide * 0.92:.0f}" '
                f'y="{bottom:.2f}" height="{max(high, 0.0):.2f}"><title>{html.escape(title)}</title></rect>'
            )


def _durations(found: Columns) -> str:
    bands = _bands(found)
    most = max((count for column in found.columns for count in column.durations.values()), default=1.0)
    height = len(bands) * _CELL
    every = max(1, math.ceil(len(bands) / (height / 28)))
    scale = [
        ((index + 1) / len(bands), in_seconds(band[0]))
        for index, band in enumerate(bands)
        if index % every == 0
    ]
    totals: dict[tuple[float, float], float] = {}
    for column in found.columns:
        for band, count in column.durations.items():
            totals[band] = totals.get(band, 0.0) + count
    rows = [
        (figure(band[0]), figure(band[1]), (f"{totals[band]:,.0f}", totals[band]))
        for band in bands
        if band in totals
    ]
    shades = "".join(
        f'<li><svg class="swatch"><rect class="heat" width="100%" height="100%" fill-opacity="{_opacity(shade)}"/>'
        f"</svg>{counts}</li>"
        for shade, counts in _legend(most)
    )
    return _SECTION.format(
        id="heat",
        title="How long slow operations took",
        reading=(
            f"A cell is the operations that started within {span_of(found.step)} and took about that long; the "
            f"stronger its colour, the more, {counted(most, 'operation')} at most."
        ),
        chart=chart(
            f"Durations over time, from {_range(found)}. The sums are in the table below.",
            height,
            scale,
            _cells(found, bands, most),
            _times(found),
        ),
        below=(
            f'<ul class="flame-legend">{shades}<li>operations in a cell</li></ul>'
            + as_table((("over", "figure"), ("up to", "figure"), ("operations", "figure")), rows)
        ),
    )


def _bands(found: Columns) -> list[tuple[float, float]]:
    """Return the bands from the longest to the shortest, those without an operation between them too."""
    met = sorted({band for column in found.columns for band in column.durations})
    bands = [met[0]]
    for band in met[1:]:
        while band[0] > bands[-1][1] * 1.05 and len(bands) < _MAX_ROWS * 8:
            bands.append((bands[-1][1], bands[-1][1] * met[0][1] / met[0][0]))
        bands.append(band)
    return bands[::-1]


def _cells(found: Columns, bands: Sequence[tuple[float, float]], most: float) -> Iterator[str]:
    wide, high = WIDTH / len(found.columns), 100 / len(bands)
    places = {band: index for index, band in enumerate(bands)}
    for index, column in enumerate(found.columns):
        for band, count in sorted(column.durations.items()):
            title = f"{_moment(column)}, {in_seconds(band[0])} to {in_seconds(band[1])}: {counted(count, 'operation')}"
            yield (
                f'<rect class="heat" x="{index * wide:.0f}" width="{wide * 0.94:.0f}" '
                f'y="{places[band] * high:.2f}" height="{high * 0.92:.2f}" '
                f'fill-opacity="{_opacity(_shade(count, most))}"><title>{title}</title></rect>'
            )


def _shade(count: float, most: float) -> int:
    """Return one of `_SHADES`, by the logarithm: one operation is to be seen beside a thousand."""
    if most <= 1 or count >= most:
        return _SHADES
    return min(_SHADES, max(1, math.ceil(_SHADES * math.log(max(count, 1)) / math.log(most))))


def _legend(most: float) -> Iterator[tuple[int, str]]:
    """Yield shades that are met, and of how many operations a cell of each is."""
    above = 0
    for shade in range(1, _SHADES + 1):
        last = math.ceil(most) if shade == _SHADES else math.floor(most ** (shade / _SHADES))
        if last > above:
            yield shade, f"{last:,}" if last == above + 1 else f"{above + 1:,} to {last:,}"
            above = last


def _opacity(shade: int) -> float:
    return round(0.15 + 0.85 * shade / _SHADES, 2)


def _times(found: Columns) -> list[str]:
    long = found.step * len(found.columns) > 86_400
    return [f"{column.start:{'%m-%d %H:%M' if long else '%H:%M:%S'}}" for column in found.columns]


def _moment(column: Column) -> str:
    return f"{column.start:%Y-%m-%d %H:%M:%S}"


def _range(found: Columns) -> str:
    return f"{_moment(found.columns[0])} to {_moment(found.columns[-1])} UTC"
