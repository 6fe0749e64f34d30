"""Parts of a Markdown page in which every name is only what it says: no markup, link, mention or HTML."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence

from profkit_storage.formats.names import legible

_LONGEST = 120
_MARKS = re.compile(r"([\\`*_{}\[\]()#+!|~<>&@:$^=-])")
_TICKS = re.compile("`+")


def as_text(name: str) -> str:
    """Return a name as Markdown that shows it, cut where it is very long."""
    return _MARKS.sub(r"\\\1", legible(name, _LONGEST))


def code(text: str, *, cell: bool = False, longest: int = _LONGEST) -> str:
    """Return `text` as code, cut after `longest` characters; "" for nothing. A table's `cell` keeps its bars.

    The fence is longer than any run of backticks in it (CommonMark 0.31, 6.1).
    """
    text = legible(text, longest)
    if not text:
        return ""
    fence = "`" * (1 + max(map(len, _TICKS.findall(text)), default=0))
    pad = " " if text.startswith("`") or text.endswith("`") else ""
    if cell:
        text = text.replace("|", r"\|")
    return f"{fence}{pad}{text}{pad}{fence}"


def table(titles: Sequence[str], rows: Iterable[Sequence[str]], *, figures: str = "") -> Iterator[str]:
    """Yield the lines of a table. `figures` has an x for each column that is set to the right: "..x"."""
    yield f"| {' | '.join(titles)} |"
    marks = ["---:" if mark == "x" else "---" for mark in figures.ljust(len(titles), ".")]
    yield f"| {' | '.join(marks)} |"
    for row in rows:
        yield f"| {' | '.join(row)} |"
