"""A report as one page that runs by itself and reaches nothing: `render`.

The page's policy allows its own stylesheets and scripts, by their hashes, and forbids every request. It is under 5 MB
whatever is in the store: each part has so much room, and says what it left out.
"""

from __future__ import annotations

import html
from collections.abc import Iterator
from functools import cache
from importlib.resources import files

from profkit_analyzers.report import Report
from profkit_analyzers.reporters.figures import by_hand, counted
from profkit_analyzers.reporters.page.charts import time_sections
from profkit_analyzers.reporters.page.exemplars import exemplars_section
from profkit_analyzers.reporters.page.findings import findings_section
from profkit_analyzers.reporters.page.graphs import graphs_of
from profkit_analyzers.reporters.page.ranking import ranking_section, trees_of_rows
from profkit_storage.categories import CategoryTable, default_categories
from profkit_storage.formats.durations import in_seconds
from profkit_storage.formats.flamegraph import SCRIPTS, STYLES, resource
from profkit_storage.formats.names import markup
from profkit_storage.formats.policy import policy

__all__ = ["render"]

_SCRIPTS = ("ranking.js", "graphs.js")
_STYLES = ("page.css",)

_PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="referrer" content="no-referrer">
<meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="icon" href="data:,">
<title>{title}</title>
{styles}
</head>
<body>
<header>
<h1>{title}</h1>
<dl class="facts">{facts}</dl>
{skipped}
</header>
<main>
{parts}
</main>
<footer><p class="quiet">profkit. This page asks nobody for anything.</p></footer>
{scripts}
</body>
</html>
"""


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
    styles = [*map(resource, STYLES), *map(_resource, _STYLES)]
    scripts = [*map(resource, SCRIPTS), *map(_resource, _SCRIPTS)]
    return _PAGE.format(
        policy=html.escape(policy(scripts, styles)),
        title=f"What slowed {markup(store)}",
        styles="\n".join(f"<style>{style}</style>" for style in styles),
        scripts="\n".join(f"<script>{script}</script>" for script in scripts),
        facts="".join(f"<div><dt>{name}</dt><dd>{value}</dd></div>" for name, value in _facts(report)),
        skipped=_skipped(report),
        parts="\n".join(filter(None, parts)),
    )


@cache
def _resource(name: str) -> str:
    return files("profkit_analyzers.reporters.page").joinpath(name).read_text(encoding="utf-8")


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


def _skipped(report: Report) -> str:
    if not report.skipped_count:
        return ""
    rows = "".join(f"<li>{markup(item.key)}: {markup(item.reason)}</li>" for item in report.skipped)
    more = report.skipped_count - len(report.skipped)
    rest = f"<li>and {more:,} more</li>" if more > 0 else ""
    return (
        f"<details><summary>{counted(report.skipped_count, 'profile')} could not be read</summary>"
        f"<ul>{rows}{rest}</ul></details>"
    )
