"""A picture over time: shapes between a scale beside them and times below, as wide as there is room."""

from __future__ import annotations

import html
from collections.abc import Iterable, Iterator, Sequence

from profkit_storage.formats.tables import Cell, table

WIDTH = 10_000
"""Of all shapes, which are as wide as the page in the end; their height is 100."""
_AXIS = 20
_TICKS = 4

_CHART = """<div class="chart"><svg class="scale" width="76" height="{height}" aria-hidden="true">{scale}</svg>
<svg class="plot" width="100%" height="{height}" role="img" aria-label="{label}">{plot}</svg></div>"""


def chart(
    label: str, height: int, scale: Sequence[tuple[float, str]], shapes: Iterable[str], times: Sequence[str]
) -> str:
    """Return the picture, so many pixels high. `scale` are places, 0 the top and 1 the bottom, with what stands there.

    `times` are those of its columns, of which some are shown.
    """
    return _CHART.format(
        height=height + _AXIS,
        scale="".join(_marks(scale, height)),
        label=html.escape(label),
        plot=stretched(shapes, height) + "".join(_times(times, height)),
    )


def stretched(shapes: Iterable[str], height: int) -> str:
    """Return the shapes as wide as there is room."""
    return (
        f'<svg width="100%" height="{height}" viewBox="0 0 {WIDTH} 100" preserveAspectRatio="none">'
        f"{''.join(shapes)}</svg>"
    )


def as_table(heads: Sequence[tuple[str, str]], rows: Sequence[Sequence[Cell]]) -> str:
    """Return what a picture shows as a table, folded in."""
    return f"<details><summary>The same as a table</summary>{table(heads, rows)}</details>"


def _marks(marks: Sequence[tuple[float, str]], height: int) -> Iterator[str]:
    for place, text in marks:
        top = min(max(place * height + 4, 11), height - 2)
        yield f'<text x="70" y="{top:.0f}" text-anchor="end">{text}</text>'


def _times(times: Sequence[str], height: int) -> Iterator[str]:
    """Yield the first time, and what is a quarter further each."""
    count = len(times)
    shown = sorted({round(part * (count - 1) / _TICKS) for part in range(_TICKS + 1)})
    for place, index in enumerate(shown):
        left = 100 * index / count
        of = ' class="seldom"' if 0 < place < len(shown) - 1 else ""
        anchor = "end" if place and place == len(shown) - 1 else "start"
        yield f'<text{of} x="{left:.2f}%" y="{height + 15}" text-anchor="{anchor}">{times[index]}</text>'
