"""One way to write a table of a page."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def table(columns: Sequence[tuple[str, str]], rows: Iterable[Sequence[str]]) -> str:
    """Return a table: `columns` are a title and "figure", "code" or "" each, `rows` are cells of HTML."""
    kinds = [f' class="{kind}"' if kind else "" for _, kind in columns]
    heads = "".join(
        f'<th scope="col"{kind}>{title}</th>' for (title, _), kind in zip(columns, kinds, strict=True)
    )
    body = "".join(
        f"<tr>{''.join(f'<td{kind}>{cell}</td>' for cell, kind in zip(row, kinds, strict=True))}</tr>"
        for row in rows
    )
    return (
        f'<div class="wide"><table class="flame-table records"><thead><tr>{heads}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>"
    )
