"""Service levels as Markdown, for an issue tracker."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from profkit_analyzers.reporters import level_figures as figures
from profkit_analyzers.reporters.figures import counted
from profkit_analyzers.reporters.marked import code, table
from profkit_analyzers.slo.service_levels import OperationLevels, ServiceLevels, Span, moment

_TITLES = (
    "operation", "category", "service", "calls", "objective", "reached", "budget left", "burn rate", "verdict",
)  # fmt: skip


def render(found: ServiceLevels, *, top: int | None = None) -> str:
    """Return the page, with the `top` operations (None: all)."""
    return "\n".join(_lines(found, found.operations[:top]))


def _lines(found: ServiceLevels, shown: Sequence[OperationLevels]) -> Iterator[str]:
    populations = [operation.population for operation in found.operations]
    first = moment(min(population.first_ns for population in populations))
    last = moment(max(population.last_ns for population in populations))
    yield f"### Service levels, {figures.minute(first)} to {figures.minute(last)} UTC"
    yield ""
    yield f"{counted(len(populations), 'operation')}; {figures.broken(found)}"
    if found.skipped_count:
        item = found.skipped[0]
        yield f"{found.skipped_count:,} skipped, the first is {code(f'{item.key}: {item.reason}')}"
    yield ""
    yield from table(_TITLES, (row for operation in shown for row in _rows(operation)))
    left = len(found.operations) - len(shown)
    if left:
        yield ""
        yield f"and {counted(left, 'operation')} more"
    for operation in shown:
        if operation.windows:
            yield from _windows(operation, found.span)
    rest = list(figures.notes(found, shown))
    if rest or found.unmatched:
        yield ""
    yield from (f"- {_literal(note)}" for note in rest)
    if found.unmatched:
        yield f"- objectives that mean no operation here: {', '.join(map(code, found.unmatched))}"


def _rows(operation: OperationLevels) -> Iterator[list[str]]:
    names = [code(name, cell=True) for name in (operation.operation, operation.category, operation.service)]
    for level in operation.levels:
        verdict = figures.VERDICTS[level.verdict]
        yield [
            *names,
            f"{level.calls:,}",
            figures.objective(level),
            _literal(figures.reached(level)),
            figures.budget_left(level),
            figures.burn_rate(level),
            f"**{verdict}**" if verdict == "broken" else verdict,
        ]


def _windows(operation: OperationLevels, span: Span) -> Iterator[str]:
    yield ""
    yield f"#### {code(operation.operation)} of {code(operation.service)}, by {span}"
    yield ""
    titles = [f"{span} (UTC)", "calls", *(figures.measure(level) for level in operation.levels)]
    rows: list[list[str]] = []
    for window in operation.windows:
        cells: list[str] = []
        for level in window.levels:
            verdict = figures.VERDICTS[level.verdict]
            note = "" if verdict == "met" else f" ({verdict})"
            cells.append(f"{_literal(figures.reached(level))}{note}")
        rows.append([figures.start(window, span), f"{window.calls:,}", *cells])
    yield from table(titles, rows)


def _literal(figure: str) -> str:
    """Return it with its ~ as it is, which would strike out what is between two."""
    return figure.replace("~", r"\~")
