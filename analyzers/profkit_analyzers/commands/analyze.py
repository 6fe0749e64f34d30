"""`profkit analyze`: rank what slow operations spent their time on."""

from __future__ import annotations

import json

import click

from profkit_analyzers.analyzer import ProfileAnalyzer
from profkit_analyzers.commands.filters import filter_options, make_query, store_argument
from profkit_analyzers.commands.output import write
from profkit_analyzers.commands.progress import ProgressBar
from profkit_analyzers.report import Report
from profkit_analyzers.reporters import text
from profkit_analyzers.reporters.figures import by_hand
from profkit_analyzers.reporters.terminal import Screen
from profkit_storage import ProfkitError, open_storage
from profkit_storage.categories import default_categories, load_categories


class NothingToRank(ProfkitError):
    """No slow operation was found, or none that can be read."""


@click.command()
@store_argument
@filter_options
@click.option("--top", type=click.IntRange(min=1), default=10, show_default=True, help="Rows of the ranking.")
@click.option(
    "--budget",
    type=float,
    metavar="SECONDS",
    help="What an operation may take; else the threshold each one was captured under.",
)
@click.option("--categories", metavar="FILE", help="Your own rules, laid over profkit's categories.toml.")
@click.option("--format", type=click.Choice(["table", "json"]), default="table", show_default=True)
def analyze(
    *,
    store: str,
    since: str | None,
    until: str | None,
    operation: str | None,
    category: str | None,
    service: str | None,
    top: int,
    budget: float | None,
    categories: str | None,
    format: str,
) -> None:
    """Rank the bottlenecks of the slow operations in STORE.

    The order is by recoverable seconds: what all slow operations together would save, of the time they took over their
    budget, if that bottleneck were gone.

    If none match the exit code is 2; with --format json it is 0, and `profiles` is 0.
    """
    query = make_query(since, until, operation, category, service)
    table = default_categories() if categories is None else load_categories(categories)
    with open_storage(store, create=False) as storage, ProgressBar("reading profiles") as bar:
        analyzer = ProfileAnalyzer(storage, categories=table)
        report = analyzer.analyze(query, budget=budget, top=top, progress=bar.update if bar.wanted else None)
    # For a program, none is an answer too; that none could be read is a failure.
    if not report.profiles and (format == "table" or report.skipped):
        raise NothingToRank(_nothing(report, store))
    if format == "json":
        write(json.dumps(report.to_dict(), indent=2))
    else:
        write(text.render(report, Screen.of_stdout(), store))


def _nothing(report: Report, store: str) -> str:
    if report.skipped:
        first = report.skipped[0]
        return (
            f"no readable profile of a slow operation in {store}: {report.skipped_count} skipped, "
            f"the first is {first.key}: {first.reason}"
        )
    if report.not_ranked:
        hint = f" ({by_hand(report.captures_by_hand)})" if report.captures_by_hand else ""
        return f"no slow operation among the {report.not_ranked} profiles that match in {store}{hint}"
    return f"no profiles that match in {store}"
