"""Rows of text in columns that fit a width: every row on one line, whatever is in it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from rich.cells import cell_len
from rich.text import Text

from profkit_analyzers.reporters.terminal import clipped, printable

_GAP = 2
_NARROWEST = 8
_WIDEST = 80
"""Columns of a cell where the page has no width of its own; names may be long."""


class Column(NamedTuple):
    """One column. `shrink`: it gives way where the page is narrow, losing its start with `keep_end`, else its end."""

    title: str
    right: bool = False
    shrink: bool = False
    keep_end: bool = False
    style: str = ""


def in_columns(columns: Sequence[Column], rows: Sequence[Sequence[str]], width: int | None) -> list[Text]:
    """Return a line of titles and one for each row; cells are made printable here."""
    cells = [[printable(cell) for cell in row] for row in rows]
    widths = [
        max([cell_len(column.title), *(cell_len(row[index]) for row in cells)])
        for index, column in enumerate(columns)
    ]
    if width is None:
        widths = [
            min(cells, _WIDEST) if column.shrink else cells
            for column, cells in zip(columns, widths, strict=True)
        ]
    else:
        _shrink(columns, widths, width)
    titles = _line(columns, [column.title for column in columns], widths)
    titles.stylize("bold")
    return [titles, *(_line(columns, row, widths) for row in cells)]


def _shrink(columns: Sequence[Column], widths: list[int], width: int) -> None:
    able = [index for index, column in enumerate(columns) if column.shrink]
    over = sum(widths) + _GAP * (len(widths) - 1) - width
    while over > 0 and able:
        widest = max(able, key=lambda index: widths[index])
        if widths[widest] <= _NARROWEST:
            return
        widths[widest] -= 1
        over -= 1


def _line(columns: Sequence[Column], row: Sequence[str], widths: Sequence[int]) -> Text:
    line = Text()
    for index, (column, cell, width) in enumerate(zip(columns, row, widths, strict=True)):
        text = clipped(cell, width, keep_end=column.keep_end)
        padding = " " * (width - cell_len(text))
        line.append(" " * _GAP if index else "")
        line.append(padding + text if column.right else text + padding, style=column.style or None)
    return line
