"""A report as one page that runs by itself and reaches nothing: `render`.

The page's policy allows its own stylesheets and scripts, by their hashes, and forbids every request. It is under 5 MB
whatever is in the store: each part has so much room, and says what it left out.
"""

from __future__ import annotations

from collections.abc import Iterator

from profkit_analyzers.report import Report
from profkit_analyzers.reporters.figures import by_hand, counted
from profkit_analyzers.reporters.page.charts import time_sections
from profkit_analyzers.reporters.page.document import document, skipped_part
from profkit_analyzers.reporters.page.exemplars import exemplars_section
from profkit_analyzers.reporters.page.findings import findings_section
from profkit_analyzers.reporters.page.graphs import graphs_of
from profkit_analyzers.reporters.page.ranking import ranking_section, trees_of_rows
from profkit_storage.categories import CategoryTable, default_categories
from profkit_storage.formats.durations import in_seconds
from profkit_storage.formats.flamegraph import SCRIPTS
from profkit_storage.formats.names import markup
from profkit_storage.formats.shell import facts_list

__all__ = ["render"]


def render(report: Report, store: str, *, table: CategoryTable | None = None) -> str:
    """Return the page of a report with pictures, of a `store` as the user wrote it.

    `table` says which code belongs to which category; None takes profkit's own.
    """
    trees = trees_of_rows(report)
    graphs = graphs_of(report, trees, table or default_categories())
    parts = [
        ranking_section(report, trees, graphs.of_rows, store, _budget(report)),
        findings_section(report.findings, store),
    ]
    if report.pictures is not None:
        parts += [
            time_sections(report.pictures.history),
            graphs.section,
            exemplars_section(report.pictures.exemplars, store),
        ]
    return document(
        f"What slowed {markup(store)}",
        facts_list(_facts(report)) + skipped_part(report.skipped, report.skipped_count),
        parts,
        ("ranking.js", "graphs.js"),
        graphs=SCRIPTS,
    )


def _budget(report: Report) -> str:
    budgets = report.budgets
    if budgets.operations or budgets.categories:
        return "their budget"
    return "their threshold" if budgets.default is None else in_seconds(budgets.default)


def _facts(report: Report) -> Iterator[tuple[str, str]]:
    count = sum(stats.operations for stats in report.operations.values())
    stands_for = f", which stand for {counted(count, 'operation')}" if round(count) != report.profiles else ""
    yield "profiles", f"{report.profiles:,}{stands_for}"
    yield "seconds", in_seconds(report.seconds)
    yield "operations", f"{len(report.operations):,}"
    history = report.pictures.history if report.pictures else None
    if history and history.periods:
        first, last = history.periods[0].start, history.periods[-1].start
        yield "started", f"{first:%Y-%m-%d %H:%M:%S} to {last:%Y-%m-%d %H:%M:%S} UTC"
    if report.nested:
        yield "counted inside others", f"{report.nested:,}"
    if report.captures_by_hand:
        yield "not ranked", by_hand(report.captures_by_hand)
