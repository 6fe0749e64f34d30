"""A report as a page of text: the ranking, seconds by category, and what to run next."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Sequence

from rich.cells import cell_len
from rich.text import Text

from profkit_analyzers.ranking.budgets import Budgets
from profkit_analyzers.report import Bottleneck, Report
from profkit_analyzers.reporters import findings
from profkit_analyzers.reporters.columns import Column, in_columns
from profkit_analyzers.reporters.figures import by_hand, counted, seconds, share
from profkit_analyzers.reporters.terminal import Screen, clipped, printable, written
from profkit_analyzers.skipping import MAX_SKIPPED

_WIDE = 140
_BAR = 24
_COLUMNS = (
    Column("#", right=True),
    Column("operation", shrink=True),
    Column("category", shrink=True, style="cyan"),
    Column("owner", shrink=True),
    Column("call site", shrink=True, keep_end=True),
    Column("recoverable", right=True, style="bold"),
    Column("at least", right=True),
    Column("seconds", right=True),
    Column("share", right=True),
    Column("operations", right=True),
    Column("worst example"),
)
_FINDINGS = 5
_NARROW = (0, 1, 5, 7, 8, 9)
_NOTHING = seconds(0)
NO_CODE = "[no application code seen]"


def render(report: Report, screen: Screen, store: str | None = None) -> str:
    """Return the page; with `store`, the address as the user wrote it, the commands to run next are at its end."""
    return written(_lines(report, screen, store), screen)


def _lines(report: Report, screen: Screen, store: str | None) -> Iterator[Text | str]:
    yield from _summary(report)
    yield from _skipped(report)
    yield ""
    shown = [row for row in report.bottlenecks if row.rank == 1 or seconds(row.recoverable) != _NOTHING]
    if shown:
        yield from _ranking(shown, screen)
        left = report.bottlenecks_count - len(shown)
        if left and len(shown) == len(report.bottlenecks):
            yield f"and {counted(left, 'smaller one')}: see --top"
    else:
        yield "Nothing is over the budget."
    yield ""
    yield from _findings(report, screen)
    yield from _categories(report, screen)
    if report.bottlenecks and store is not None:
        yield ""
        yield from _next(report, store)


def _summary(report: Report) -> Iterator[str]:
    count = sum(stats.operations for stats in report.operations.values())
    stands_for = f" (for {counted(count, 'slow operation')})" if round(count) != report.profiles else ""
    yield f"{counted(report.profiles, 'profile')}{stands_for}, {seconds(report.seconds)}"
    if report.nested:
        yield f"{report.nested:,} of them ran inside others of them, and are counted there"
    if report.captures_by_hand:
        are = "is" if report.captures_by_hand == 1 else "are"
        yield f"{by_hand(report.captures_by_hand)} {are} not ranked"
    yield f"recoverable: the seconds that an operation took over {_budget(report.budgets)}"
    yield "at least: the lower end of a 95 % interval; they are ranked by it"


def _budget(budgets: Budgets) -> str:
    if budgets.operations or budgets.categories:
        return "its budget"
    return "its threshold" if budgets.default is None else seconds(budgets.default)


def _skipped(report: Report) -> Iterator[str]:
    if not report.skipped_count:
        return
    yield f"{report.skipped_count:,} skipped:"
    for item in report.skipped:
        yield f"  {printable(item.key)}: {printable(item.reason)}"
    if report.skipped_count > len(report.skipped) >= MAX_SKIPPED:
        yield "  ..."


def _ranking(bottlenecks: Sequence[Bottleneck], screen: Screen) -> Iterator[Text]:
    rows = [_cells(row) for row in bottlenecks]
    if screen.width is None or screen.width >= _WIDE:
        yield from in_columns(_COLUMNS, rows, screen.width)
        return
    columns = [_COLUMNS[index] for index in _NARROW]
    short = [[row[index] for index in _NARROW] for row in rows]
    titles, *lines = in_columns(columns, short, screen.width)
    indent = " " * (max(len(row[0]) for row in rows) + 2)
    yield titles
    yield Text(f"{indent}category  owner  call site", style="bold")
    third = (screen.width - len(indent) - 4) // 3
    for line, row in zip(lines, rows, strict=True):
        yield line
        category, owner = (clipped(printable(cell), third) for cell in row[2:4])
        kind = f"{indent}{category}  {owner}  "
        place = clipped(printable(row[4]), screen.width - cell_len(kind), keep_end=True)
        yield Text.assemble((kind, "cyan"), place)
        yield Text(f"{indent}at least {row[6]}, worst example {printable(row[10])}", style="dim")


def _cells(row: Bottleneck) -> list[str]:
    category = f"{row.category}/{row.subcategory}" if row.subcategory else row.category
    return [
        str(row.rank),
        row.operation,
        category,
        row.owner,
        str(row.call_site) or NO_CODE,
        seconds(row.recoverable),
        _or_dash(seconds(row.interval.low)),
        seconds(row.seconds),
        share(row.share),
        f"{row.operations:,.0f}",
        row.exemplar,
    ]


def _findings(report: Report, screen: Screen) -> Iterator[Text | str]:
    shown = [finding for finding in report.findings if seconds(finding.seconds) != _NOTHING]
    if shown:
        yield from findings.lines(shown, screen, _FINDINGS)
        yield ""


def _or_dash(text: str) -> str:
    return "-" if text == _NOTHING else text


def _categories(report: Report, screen: Screen) -> Iterator[Text]:
    total = report.seconds or 1.0
    named = [*report.categories.items(), ("not observed", report.unobserved)]
    rows = [
        [name, seconds(spent), share(spent / total), "#" * round(_BAR * spent / total)]
        for name, spent in named
        if seconds(spent) != _NOTHING
    ]
    columns = (
        Column("by category", shrink=True, style="cyan"),
        Column("seconds", right=True),
        Column("share", right=True),
        Column("", style="dim"),
    )
    yield from in_columns(columns, rows, screen.width)


def _next(report: Report, store: str) -> Iterator[Text | str]:
    first = report.bottlenecks[0]
    place = printable(shlex.quote(store))
    yield Text("next", style="bold")
    yield f"profkit show {first.exemplar} {place}"
    yield f"profkit explain {first.exemplar} {place}"
    yield f"profkit export {first.exemplar} {place} --format flamegraph -o profile.html"
    yield f"profkit analyze {place} --format html -o report.html"
    if sum(stats.profiles > stats.nested for stats in report.operations.values()) > 1:
        yield f"profkit analyze {place} --operation {printable(shlex.quote(first.operation))}"
