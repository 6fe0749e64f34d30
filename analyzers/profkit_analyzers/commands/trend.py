"""`profkit trend`: how operations and bottlenecks went over time, and when they changed."""

from __future__ import annotations

import json

import click

from profkit_analyzers.changes.comparer import ProfileComparer
from profkit_analyzers.changes.sides import Key
from profkit_analyzers.commands.filters import filter_options, make_query, store_argument
from profkit_analyzers.commands.output import Output, output_option
from profkit_analyzers.commands.progress import ProgressBar
from profkit_analyzers.commands.rules import load_rules, rules_option
from profkit_analyzers.engines.engine import ProcessPool
from profkit_analyzers.reporters import trend as text
from profkit_analyzers.reporters import trend_markdown as markdown
from profkit_analyzers.reporters.page import trend as page
from profkit_analyzers.skipping import told
from profkit_storage import ProfkitError, open_storage


class NothingToTell(ProfkitError):
    """No slow operation was found, or none that can be read."""


@click.command()
@store_argument
@filter_options
@click.option("--by", type=click.Choice(["hour", "day"]), default="hour", show_default=True, help="In UTC.")
@click.option(
    "--top",
    type=click.IntRange(1, 1000),
    default=10,
    show_default=True,
    help="So many operations, and so many bottlenecks.",
)
@click.option("--workers", type=click.IntRange(1, 256), help="Processes that read profiles; else one a core.")
@rules_option
@click.option(
    "--format",
    type=click.Choice(["table", "json", "markdown", "html"]),
    default="table",
    show_default=True,
    help="markdown: for an issue tracker; html: one page with pictures.",
)
@output_option
def trend(
    *,
    store: str,
    since: str | None,
    until: str | None,
    operation: str | None,
    category: str | None,
    service: str | None,
    by: str,
    top: int,
    workers: int | None,
    rules: str | None,
    format: str,
    output: str | None,
) -> None:
    """Tell how the slow operations in STORE went by hour or day, and when they changed.

    Seconds are per slow operation, of the operations and bottlenecks with most seconds. A change is told if chance
    finds one like it, in any of the series, in one of 20 such reports.
    """
    target = Output.of(output, format)
    query = make_query(since, until, operation, category, service)
    table = load_rules(rules)
    with open_storage(store, create=False) as storage, ProgressBar("reading profiles") as bar:
        comparer = ProfileComparer(rules=table, engine=ProcessPool(workers))
        progress = bar.update if bar.wanted else None
        found = comparer.trend(storage, query, by=Key(by), top=top, progress=progress)
    if not found.profiles and (format != "json" or found.skipped):
        skipped = f": {told(found.skipped, found.skipped_count)}" if found.skipped else ""
        raise NothingToTell(f"no slow operation that matches in {store}{skipped}")
    if format == "json":
        target.write(json.dumps(found.to_dict(), indent=2))
    elif format == "markdown":
        target.write(markdown.render(found, store))
    elif format == "html":
        target.write(page.render(found, store))
    else:
        target.write(text.render(found, target.screen))
