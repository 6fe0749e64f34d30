"""One way to write a table of a page."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

Cell = str | tuple[str, float]
"""HTML, or that of a figure and its value: a page sorts by that, whatever the unit."""


def table(columns: Sequence[tuple[str, str]], rows: Iterable[Sequence[Cell]]) -> str:
    """Return a table: `columns` are a title and "figure", "code" or "" each, `rows` are cells."""
    kinds = [f' class="{kind}"' if kind else "" for _, kind in columns]
    heads = "".join(
        f'<th scope="col"{kind}>{title}</th>' for (title, _), kind in zip(columns, kinds, strict=True)
    )
    body = "".join(
        f"<tr>{''.join(_cell(cell, kind) for cell, kind in zip(row, kinds, strict=True))}</tr>"
        for row in rows
    )
    return (
        f'<div class="wide"><table class="flame-table records"><thead><tr>{heads}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>"
    )


def _cell(cell: Cell, kind: str) -> str:
    if isinstance(cell, str):
        return f"<td{kind}>{cell}</td>"
    shown, value = cell
    return f'<td{kind} data-value="{value:.9g}">{shown}</td>'
