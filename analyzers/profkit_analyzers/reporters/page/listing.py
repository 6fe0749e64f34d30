"""A table of a page that is sorted by any column and searched by words; each row opens what is known of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

_SECTION = """<section class="flame-part ranking" aria-labelledby="ranking-title">
<h2 id="ranking-title">{title}</h2>
<p class="quiet">{reading}</p>
<div class="flame-tools" data-scripted hidden>
<label for="ranking-search">Search the {noun}</label>
<input type="search" id="ranking-search" placeholder="{hint}" autocomplete="off" \
spellcheck="false" aria-describedby="ranking-found">
<button type="button" id="ranking-open">Open all</button>
<p id="ranking-found" role="status"></p>
</div>
<div class="wide"><table class="flame-table records" id="ranking"><thead><tr>{heads}</tr></thead>
{rows}</table></div>
{more}</section>"""


class Column(NamedTuple):
    """A column: its title, "figure", "code" or "", and what it means."""

    title: str
    kind: str
    meaning: str


class Cell(NamedTuple):
    """HTML, and what it is sorted by, None for its text. A search looks at those that are sorted by their text."""

    shown: str
    value: float | None = None


class Words(NamedTuple):
    """What stands around a table, HTML: its title, how to read it, what is searched, and for what; what is left out."""

    title: str
    reading: str
    noun: str
    hint: str
    more: str = ""


def listing(columns: Sequence[Column], rows: Sequence[str], words: Words) -> str:
    """Return the part of a page; a page has one of them."""
    return _SECTION.format(
        title=words.title,
        reading=words.reading,
        noun=words.noun,
        hint=words.hint,
        heads="".join(map(_head, columns)),
        rows="\n".join(rows),
        more=f'<p class="quiet">{words.more}</p>' if words.more else "",
    )


def row_of(rank: int, columns: Sequence[Column], cells: Sequence[Cell], evidence: str) -> str:
    """Return a body of two rows: the cells behind the rank, and the evidence. The first column is that of the rank."""
    numbered = Cell(str(rank), rank), *cells
    shown = "".join(_cell(column, cell) for column, cell in zip(columns, numbered, strict=True))
    return (
        f'<tbody data-rank="{rank}"><tr class="row">{shown}</tr>'
        f'<tr class="evidence" id="evidence-{rank}"><td colspan="{len(columns)}">{evidence}</td></tr></tbody>'
    )


def _head(column: Column) -> str:
    return f'<th scope="col"{_class(column)} title="{column.meaning}">{column.title}</th>'


def _cell(column: Column, cell: Cell) -> str:
    sort = "" if cell.value is None else f' data-value="{cell.value:.9g}"'
    return f'<td{_class(column)}{sort} data-title="{column.title}">{cell.shown}</td>'


def _class(column: Column) -> str:
    return f' class="{column.kind}"' if column.kind else ""
