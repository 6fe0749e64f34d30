"""How much of a block's tables may become Python's at once: a few bytes of Parquet may stand for anything."""

from __future__ import annotations

from collections.abc import Mapping

import polars as pl

from profkit_storage.codec import MAX_DOCUMENT

CHUNK = 128
"""Documents whose rows are read together: one alone takes about as long as so many."""

MAX_ROWS = 20_000_000
"""Of a table that are read at once: a few bytes of Parquet may stand for any number of equal ones."""

MAX_TEXT = CHUNK * MAX_DOCUMENT
"""Bytes of texts that are read at once, for the same reason: no document is longer."""


def check_amounts(table: str, found: pl.DataFrame) -> None:
    """Refuse lists and texts that are too long in all; repeated ones take next to no room until they are Python's."""
    lists = [name for name, kind in found.schema.items() if isinstance(kind, pl.List)]
    check_sums(table, found, {name: pl.col(name).list.len() for name in lists}, MAX_ROWS, "values")
    texts = {name: pl.col(name) for name, kind in found.schema.items() if kind == pl.String}
    texts |= {name: pl.col(name).explode() for name in lists if found.schema[name] == pl.List(pl.String)}
    check_sums(
        table,
        found,
        {name: column.str.len_bytes() for name, column in texts.items()},
        MAX_TEXT,
        "bytes of texts",
    )


def check_sums(table: str, found: pl.DataFrame, columns: Mapping[str, pl.Expr], most: int, what: str) -> None:
    """Refuse columns of whole numbers whose sum is more than `most`, of `what`."""
    # All in one query: each takes a millisecond, whatever it is asked for.
    sums = (
        found.select(**{name: column.cast(pl.UInt64).sum() for name, column in columns.items()})
        if columns
        else pl.DataFrame()
    )
    for name in columns:
        amount = int(sums[name][0] or 0)
        if amount > most:
            raise ValueError(f"{amount} {what} in {table}.{name} at once, allowed are {most}")
