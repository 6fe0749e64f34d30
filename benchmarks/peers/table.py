"""The table, in Markdown."""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping

from benchmarks.peers.adapters import PEERS
from benchmarks.peers.comparing import Cell, median_shares
from benchmarks.peers.rows import ROWS
from benchmarks.peers.rows.base import How


def head(peers: list[str]) -> Iterator[str]:
    """Yield the first two lines."""
    yield _line(["what", "n", "bare, or truth", *(PEERS[peer].heading for peer in peers)])
    yield _line(["---"] * (len(peers) + 3))


def line(row_name: str, cells: Mapping[str, Cell], *, spread: bool) -> str:
    """Return the line of one row; `spread` adds the quartiles to each median."""
    row = ROWS[row_name]
    unit = " (times bare)" if row.how is How.RATIO else ""
    figures = [_figure(cell, spread=spread) for cell in cells.values()]
    count = max(cell.pairs for cell in cells.values())
    return _line([row.title + unit, str(count), _bare(row_name, cells), *figures])


def _figure(cell: Cell, *, spread: bool) -> str:
    return f"{cell.text} ({cell.low} to {cell.high})" if spread and cell.low else cell.text


def _bare(row_name: str, cells: Mapping[str, Cell]) -> str:
    row = ROWS[row_name]
    truth = [shares for cell in cells.values() for shares in cell.truth]
    if truth:
        return median_shares(row, truth)
    values = [value for cell in cells.values() for value in cell.bare]
    return row.bare.format(statistics.median(values)) if values else "-"


def _line(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"
