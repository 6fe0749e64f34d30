"""Findings as lines of text: what, where and how much, how it is known, what to do."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.cells import cell_len
from rich.text import Text

from profkit_analyzers.findings import Evidence, Finding, Unit
from profkit_analyzers.reporters.columns import Column, in_columns
from profkit_analyzers.reporters.figures import counted, seconds, share
from profkit_analyzers.reporters.terminal import Screen, clipped, printable

_WIDE = 140
_ROOMY = 60
_INDENT = "    "
_NO_PLACE = "[no application code seen]"
_COLUMNS = (
    Column("at stake", right=True, style="bold"),
    Column("finding", style="cyan"),
    Column("operation", shrink=True),
    Column("place", shrink=True, keep_end=True),
)


def lines(findings: Sequence[Finding], screen: Screen, top: int | None = None) -> Iterator[Text | str]:
    """Yield the first `top` findings, all if None, and how many more there are; nothing if there is none."""
    shown = findings[:top]
    if not shown:
        return
    wide = screen.width is None or screen.width >= _WIDE
    titles, *rows = in_columns(
        _COLUMNS if wide else _COLUMNS[:3],
        [_cells(finding)[: None if wide else 3] for finding in shown],
        screen.width,
    )
    yield titles
    for finding, row in zip(shown, rows, strict=True):
        yield row
        if not wide:
            yield _in_line(_place(finding), screen, keep_end=True)
        told = "; ".join(_fact(fact) for fact in finding.evidence)
        yield from _wrapped(f"{counted(finding.operations, 'operation')}; {told}", screen)
        yield from _wrapped(finding.advice, screen)
        for id in finding.exemplars[:1]:
            # An id is of no use without its end.
            label = "worst example" if screen.width is None or screen.width >= _ROOMY else "worst"
            yield Text(f"{_INDENT}{label} {printable(id)}", style="dim")
    left = len(findings) - len(shown)
    if left:
        yield f"and {counted(left, 'smaller finding')}"


def _cells(finding: Finding) -> list[str]:
    return [seconds(finding.seconds), finding.title, finding.operation, _place(finding)]


def _place(finding: Finding) -> str:
    return finding.place or _NO_PLACE


def _fact(fact: Evidence) -> str:
    return f"{fact.label}: {_figure(fact)}"


def _figure(fact: Evidence) -> str:
    value = fact.value
    if isinstance(value, str):
        return printable(value)
    if fact.unit is Unit.SECONDS:
        return seconds(value)
    if fact.unit is Unit.SHARE:
        return share(value) if value >= 0.001 else "under 0.1 %"
    if fact.unit is Unit.TIMES:
        return f"{value:.1f} times"
    return f"{value:,.0f}" if value >= 10 or value == int(value) else f"{value:,.1f}"


def _in_line(text: str, screen: Screen, *, keep_end: bool = False) -> str:
    safe = printable(text)
    if screen.width is not None:
        safe = clipped(safe, screen.width - len(_INDENT), keep_end=keep_end)
    return _INDENT + safe


def _wrapped(text: str, screen: Screen) -> Iterator[str]:
    """Yield `text` in lines that fit the screen, broken between words; a word that fits no line loses its end."""
    if screen.width is None:
        yield _INDENT + text
        return
    room, line = screen.width - len(_INDENT), ""
    for word in text.split():
        if line and cell_len(line) + 1 + cell_len(word) > room:
            yield _INDENT + line
            line = ""
        line = f"{line} {word}" if line else clipped(word, room)
    if line:
        yield _INDENT + line
