"""Service levels as a page of text: each operation's objectives, the worst first, and its windows."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Sequence

from rich.cells import cell_len
from rich.text import Text

from profkit_analyzers.reporters import level_figures as figures
from profkit_analyzers.reporters.columns import Column, in_columns
from profkit_analyzers.reporters.figures import counted
from profkit_analyzers.reporters.terminal import Screen, clipped, printable, written
from profkit_analyzers.slo.levels import Level, Verdict
from profkit_analyzers.slo.service_levels import OperationLevels, ServiceLevels, Span, moment

_WIDE = 150
_INDENT = 2
_RED = "red"
_BLOCK = (
    Column("objective", shrink=True),
    Column("reached", right=True, style="bold"),
    Column("budget left", right=True),
    Column("burn rate", right=True),
    Column("verdict"),
)
_NAMES = Column("operation", shrink=True), Column("category", shrink=True, style="cyan")
_SERVICE = Column("service", shrink=True)
_ROW = (
    Column("calls", right=True),
    Column("p95", right=True),
    Column("objective"),
    Column("reached", right=True, style="bold"),
    Column("surely"),
    Column("missed", right=True),
    Column("budget left", right=True),
    Column("burn rate", right=True),
    Column("verdict"),
)


def render(found: ServiceLevels, screen: Screen, *, top: int | None = None) -> str:
    """Return the page, with the `top` operations (None: all)."""
    return written(_lines(found, found.operations[:top], screen), screen)


def _lines(found: ServiceLevels, shown: Sequence[OperationLevels], screen: Screen) -> Iterator[Text | str]:
    yield from _summary(found)
    yield from _skipped(found)
    yield ""
    if found.span is Span.ALL and (screen.width is None or screen.width >= _WIDE):
        yield from _table(found, shown, screen)
    else:
        yield from _blocks(found, shown, screen)
    left = len(found.operations) - len(shown)
    if left:
        yield f"and {counted(left, 'operation')} more: see --top"
    rest = list(figures.notes(found, shown))
    if any(operation.windows for operation in shown):
        rest.insert(0, figures.LEGEND)
    if found.unmatched:
        rest.append(f"objectives that mean no operation here: {', '.join(map(repr, found.unmatched))}")
    if rest:
        yield ""
    for note in rest:
        yield from textwrap.wrap(printable(note), screen.width or 10_000)


def _summary(found: ServiceLevels) -> Iterator[Text | str]:
    populations = [operation.population for operation in found.operations]
    calls = sum(population.calls for population in populations)
    first = moment(min(population.first_ns for population in populations))
    last = moment(max(population.last_ns for population in populations))
    count = counted(len(populations), "operation")
    yield f"{count}, {counted(calls, 'call')}, {figures.minute(first)} to {figures.minute(last)} UTC"
    yield Text(figures.broken(found), style=_RED if found.breached else "")


def _skipped(found: ServiceLevels) -> Iterator[str]:
    if not found.skipped_count:
        return
    yield f"{found.skipped_count:,} skipped:"
    for item in found.skipped:
        yield f"  {printable(item.key)}: {printable(item.reason)}"
    if found.skipped_count > len(found.skipped):
        yield "  ..."


def _table(found: ServiceLevels, shown: Sequence[OperationLevels], screen: Screen) -> Iterator[Text]:
    """Yield one line for each objective; on a terminal, the names only at an operation's first."""
    several = _several_services(found)
    columns = [*_NAMES, *([_SERVICE] if several else []), *_ROW]
    rows: list[list[str]] = []
    verdicts: list[Verdict] = []
    for operation in shown:
        names = [operation.operation, operation.category, *([operation.service] if several else [])]
        calls = [f"{operation.population.calls:,}", figures.p95(operation)]
        for index, level in enumerate(operation.levels):
            head = [*names, *calls]
            rows.append([*([""] * len(head) if index and screen.width else head), *_cells(level)])
            verdicts.append(level.verdict)
    titles, *lines = in_columns(columns, rows, screen.width)
    yield titles
    for line, verdict in zip(lines, verdicts, strict=True):
        yield _marked(line, verdict)


def _cells(level: Level) -> list[str]:
    return [
        figures.objective(level),
        figures.reached(level),
        figures.surely(level),
        figures.missed(level),
        figures.budget_left(level),
        figures.burn_rate(level),
        figures.VERDICTS[level.verdict],
    ]


def _blocks(found: ServiceLevels, shown: Sequence[OperationLevels], screen: Screen) -> Iterator[Text | str]:
    """Yield some lines for each operation: what fits 80 columns."""
    width = None if screen.width is None else screen.width - _INDENT
    levels = [level for operation in shown for level in operation.levels]
    rows = [[cell for index, cell in enumerate(_cells(level)) if index not in {2, 3}] for level in levels]
    titles, *lines = in_columns(_BLOCK, rows, width)
    yield _indented(titles)
    left = iter(zip(lines, levels, strict=True))
    for index, operation in enumerate(shown):
        if index and operation.windows:
            yield ""
        yield _heading(operation, screen, several=_several_services(found))
        for _ in operation.levels:
            line, level = next(left)
            yield _indented(_marked(line, level.verdict))
        if not operation.levels:
            yield _indented(Text("no objective"))
        yield from map(_indented, _windows(operation, found.span, width))


def _heading(operation: OperationLevels, screen: Screen, *, several: bool) -> Text:
    figure = f"{counted(operation.population.calls, 'call')}, p95 {figures.p95(operation)}"
    names = [operation.category, *([operation.service] if several else [])]
    kind = "  ".join(clipped(printable(name), 20) for name in names if name)
    room = (screen.width or 10_000) - cell_len(figure + kind) - 3 * _INDENT
    name = clipped(printable(operation.operation), max(room, 8))
    return Text.assemble((name, "bold"), "  ", (f"{kind}  " if kind else "", "cyan"), figure)


def _windows(operation: OperationLevels, span: Span, width: int | None) -> Iterator[Text]:
    if not operation.windows:
        return
    titles = [figures.measure(level) for level in operation.levels]
    columns = [
        Column(f"{span} (UTC)"),
        Column("calls", right=True),
        *(Column(title, right=True) for title in titles),
    ]
    rows = [
        [
            figures.start(window, span),
            f"{window.calls:,}",
            *map(figures.marked, window.levels),
        ]
        for window in operation.windows
    ]
    head, *lines = in_columns(columns, rows, width)
    yield head
    for line, window in zip(lines, operation.windows, strict=True):
        verdicts = {level.verdict for level in window.levels}
        yield _marked(line, Verdict.BROKEN if Verdict.BROKEN in verdicts else Verdict.MET)


def _marked(line: Text, verdict: Verdict) -> Text:
    if verdict is Verdict.BROKEN:
        line.stylize(_RED)
    return line


def _indented(line: Text) -> Text:
    return Text.assemble(" " * _INDENT, line)


def _several_services(found: ServiceLevels) -> bool:
    return len({operation.service for operation in found.operations}) > 1
