"""Known patterns of slowness that were seen, each with its evidence and what to do."""

from __future__ import annotations

from collections.abc import Iterable

from profkit_analyzers.findings import Finding
from profkit_analyzers.reporters.figures import counted, share
from profkit_analyzers.reporters.page.command import show_command
from profkit_analyzers.reporters.page.room import Room
from profkit_storage.formats.durations import in_seconds
from profkit_storage.formats.names import markup

_ROOM = 300_000


def findings_section(findings: Iterable[Finding], store: str) -> str:
    """Return the part of a page, "" if there are none."""
    parts = Room(_ROOM).fitting(_finding(finding, store) for finding in findings)
    if not parts:
        return ""
    return (
        '<section class="flame-part findings" aria-labelledby="findings-title"><h2 id="findings-title">Findings</h2>'
        f"{''.join(parts)}</section>"
    )


def _finding(found: Finding, store: str) -> str:
    facts = "".join(
        f"<div><dt>{markup(label)}</dt><dd>{_value(value, unit)}</dd></div>"
        for label, value, unit in found.evidence
    )
    commands = "".join(f"<li>{show_command(id, store)}</li>" for id in found.exemplars)
    return (
        f"<article><h3>{markup(found.title)}: {in_seconds(found.seconds)} in "
        f"{counted(found.operations, 'operation')}</h3>"
        f"<p><b>{markup(found.operation)}</b> at <code>{markup(found.place)}</code></p><p>{markup(found.advice)}</p>"
        f'<dl class="facts">{facts}</dl><ul class="commands">{commands}</ul></article>'
    )


def _value(value: float | str, unit: str) -> str:
    if isinstance(value, str):
        return markup(value)
    if unit == "s":
        return in_seconds(value)
    return share(value) if unit == "share" else f"{value:,.4g}{' times' if unit == 'times' else ''}"
