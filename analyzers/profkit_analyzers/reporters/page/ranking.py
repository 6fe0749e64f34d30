"""The ranking as a table of a page: each row opens its evidence."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from profkit_analyzers.attribution.blame import Blame
from profkit_analyzers.pictures.trees import CallTree
from profkit_analyzers.report import Bottleneck, Report
from profkit_analyzers.reporters.figures import counted, share
from profkit_analyzers.reporters.page.command import show_command
from profkit_analyzers.reporters.page.listing import Cell, Column, Words, listing, row_of
from profkit_analyzers.reporters.page.room import Room
from profkit_analyzers.reporters.text import NO_CODE
from profkit_storage.formats.boxes import CATEGORIES
from profkit_storage.formats.durations import in_seconds
from profkit_storage.formats.names import markup
from profkit_storage.functions import function_name

_ROOM = 1_200_000
_DEEPEST = 40
_COLUMNS = (
    Column("#", "figure", "The place in the ranking"),
    Column("operation", "code", "The slow operation"),
    Column("category", "", "What kind of code the time is blamed on"),
    Column("owner", "", "The library that owns it"),
    Column("call site", "code", "Where your code calls it"),
    Column("recoverable", "figure", "Seconds over the budget that would go with it"),
    Column("at least", "figure", "The lower end of a 95 % interval: the ranking is by it"),
    Column("seconds", "figure", "All seconds spent there"),
    Column("share", "figure", "Of the seconds of all slow operations"),
    Column("operations", "figure", "Slow operations that it touches"),
)
_READING = """Recoverable are the seconds that slow operations took over {budget} and that would go with it. The
order is by what is surest: the lower end of a 95 % interval, <i>at least</i>. A row opens what is known of it."""


def trees_of_rows(report: Report) -> dict[int, CallTree]:
    """Return the call trees of the rows, by rank; none without pictures."""
    if report.pictures is None:
        return {}
    parts = {name: tree.by_blame() for name, tree in report.pictures.trees.items()}
    found = {row.rank: parts.get(row.operation, {}).get(_blame_of(row)) for row in report.bottlenecks}
    return {rank: tree for rank, tree in found.items() if tree is not None}


def ranking_section(
    report: Report, trees: Mapping[int, CallTree], graphs: Mapping[int, str], store: str, budget: str
) -> str:
    """Return the ranking's part of a page. `trees` and `graphs` are the rows', by rank: what they call, and names."""
    if not report.bottlenecks:
        return '<section class="flame-part"><h2>What to mend first</h2><p>Nothing is over the budget.</p></section>'
    rows = Room(_ROOM).fitting(
        _row(row, trees.get(row.rank), graphs.get(row.rank), store) for row in report.bottlenecks
    )
    left = report.bottlenecks_count - len(rows)
    words = Words(
        title="What to mend first",
        reading=_READING.format(budget=budget),
        noun="ranking",
        hint="operation, category, owner or call site",
        more=f"and {counted(left, 'smaller one')}" if left else "",
    )
    return listing(_COLUMNS, rows, words)


def _blame_of(row: Bottleneck) -> Blame:
    """Return what the row's seconds are blamed on."""
    return Blame(row.category, row.subcategory, row.owner, row.call_site)


def _row(row: Bottleneck, tree: CallTree | None, graph: str | None, store: str) -> str:
    category = f"{row.category}/{row.subcategory}" if row.subcategory else row.category
    cells = (
        Cell(markup(row.operation)),
        Cell(f'<span class="swatch {swatch_of(row.category)}"></span>{markup(category)}'),
        Cell(markup(row.owner)),
        Cell(markup(str(row.call_site) or NO_CODE)),
        Cell(f"<b>{in_seconds(row.recoverable)}</b>", row.recoverable),
        Cell(in_seconds(row.interval.low) if row.interval.low > 0 else "-", row.interval.low),
        Cell(in_seconds(row.seconds), row.seconds),
        Cell(share(row.share), row.share),
        Cell(f"{row.operations:,.0f}", row.operations),
    )
    return row_of(row.rank, _COLUMNS, cells, _evidence(row, tree, graph, store))


def swatch_of(category: str) -> str:
    """Return the class that has a category's colour."""
    if category == "application":
        return "own"
    return category if category in CATEGORIES else "other"


def _evidence(row: Bottleneck, tree: CallTree | None, graph: str | None, store: str) -> str:
    facts = "".join(f"<div><dt>{name}</dt><dd>{value}</dd></div>" for name, value in _facts(row))
    commands = "".join(f"<li>{show_command(id, store)}</li>" for id in row.evidence.exemplars)
    button = (
        f'<p data-scripted hidden><button type="button" data-graph="{graph}">Its flame graph</button></p>'
        if graph
        else ""
    )
    return (
        f'<dl class="facts">{facts}</dl><p class="quiet">The worst examples</p><ul class="commands">{commands}</ul>'
        f"{button}{_stack(row, tree)}"
    )


def _facts(row: Bottleneck) -> Iterator[tuple[str, str]]:
    evidence = row.evidence
    yield (
        "recoverable",
        f"{in_seconds(row.recoverable)} (95 %: {in_seconds(row.interval.low)} to {in_seconds(row.interval.high)})",
    )
    yield "on the critical path", f"{in_seconds(row.critical)} of {in_seconds(row.seconds)}"
    yield (
        "within the budget without it",
        f"{row.rescued:,.0f} of {counted(row.operations, 'operation')}",
    )
    if row.bands is not None:
        yield "of the spread in duration", share(row.tail)
        yield "share of usual runs", share(row.bands.p50)
        yield "share of the slowest hundredth", share(row.bands.p99)
    yield "first seen", f"{evidence.first_seen:%Y-%m-%d %H:%M:%S} UTC"
    yield "last seen", f"{evidence.last_seen:%Y-%m-%d %H:%M:%S} UTC"
    for name, found, more in (
        ("hosts", evidence.hosts, evidence.more_hosts),
        ("versions", evidence.versions, evidence.more_versions),
    ):
        if found:
            yield name, ", ".join(map(markup, found)) + (" and more" if more else "")


def _stack(row: Bottleneck, tree: CallTree | None) -> str:
    """Return the hottest stack, "" if none is known: that of the worst run, or of all together."""
    names = row.evidence.hottest_stack or (tuple(map(function_name, tree.hottest())) if tree else ())
    if not names:
        return ""
    left = len(names) - _DEEPEST
    before = f"<li>{left:,} callers</li>" if left > 0 else ""
    lines = "".join(f"<li><code>{markup(name)}</code></li>" for name in names[-_DEEPEST:])
    return f"<details><summary>Its hottest stack</summary><ol>{before}{lines}</ol></details>"
