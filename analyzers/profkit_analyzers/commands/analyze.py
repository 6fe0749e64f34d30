"""`profkit analyze`: rank what slow operations spent their time on."""

from __future__ import annotations

import json

import click

from profkit_analyzers.analyzer import ProfileAnalyzer
from profkit_analyzers.commands.filters import filter_options, make_query, store_argument
from profkit_analyzers.commands.output import Output, output_option
from profkit_analyzers.commands.progress import ProgressBar
from profkit_analyzers.commands.rules import load_rules, rules_option
from profkit_analyzers.engines.cluster import DaskCluster
from profkit_analyzers.engines.engine import Engine, ProcessPool
from profkit_analyzers.ranking.budgets import Budgets, load_budgets
from profkit_analyzers.report import Report
from profkit_analyzers.reporters import markdown, page, text
from profkit_analyzers.reporters.figures import by_hand
from profkit_analyzers.reporters.terminal import Screen
from profkit_analyzers.skipping import told
from profkit_storage import ConfigurationError, ProfkitError, open_storage
from profkit_storage.categories import CategoryTable

_TOP, _TOP_OF_PAGE = 10, 100


class NothingToRank(ProfkitError):
    """No slow operation was found, or none that can be read."""


class Damaged(ProfkitError):
    """Something in the store could not be read, and that was not to be passed over."""


@click.command()
@store_argument
@filter_options
@click.option("--top", type=click.IntRange(min=1), help="Rows of the ranking; else 10, and 100 in html.")
@click.option(
    "--budget",
    type=float,
    metavar="SECONDS",
    help="What an operation may take; else the threshold each one was captured under.",
)
@click.option(
    "--budgets",
    metavar="FILE",
    help="What operations may take by name and category, in TOML; laid over those of the categories.",
)
@click.option(
    "--workers",
    type=click.IntRange(1, 256),
    help="Processes that read profiles; else one for each core.",
)
@click.option(
    "--dask", metavar="ADDRESS", help="Read them on this Dask cluster instead, such as tcp://10.0.0.5:8786."
)
@click.option(
    "--cache",
    metavar="DIR",
    help="Keep what was worked out here: next time only new profiles are read, and after a Ctrl-C the rest.",
)
@rules_option
@click.option(
    "--format",
    type=click.Choice(["table", "json", "markdown", "html"]),
    default="table",
    show_default=True,
    help="markdown: for an issue tracker; html: a page with flame graphs.",
)
@click.option("--strict", is_flag=True, help="Fail if anything could not be read.")
@output_option
def analyze(
    *,
    store: str,
    since: str | None,
    until: str | None,
    operation: str | None,
    category: str | None,
    service: str | None,
    top: int | None,
    budget: float | None,
    budgets: str | None,
    workers: int | None,
    dask: str | None,
    cache: str | None,
    rules: str | None,
    format: str,
    strict: bool,
    output: str | None,
) -> None:
    """Rank the bottlenecks of the slow operations in STORE.

    The order is by recoverable seconds: what all slow operations together would save, of the time they took over their
    budget, if that bottleneck were gone. What is surest to save most comes first: by the lower end of a 95 % interval.

    If none match the exit code is 2; with --format json it is 0, and `profiles` is 0.
    """
    target = Output.of(output, format)
    query = make_query(since, until, operation, category, service)
    table = load_rules(rules)
    allowed = _budgets(budget, budgets, table)
    with open_storage(store, create=False) as storage, ProgressBar("reading profiles") as bar:
        engine = _engine(workers, dask)
        analyzer = ProfileAnalyzer(storage, rules=table, budgets=allowed, engine=engine, cache=cache)
        report = analyzer.analyze(
            query,
            top=top or (_TOP_OF_PAGE if format == "html" else _TOP),
            progress=bar.update if bar.wanted else None,
            pictures=format == "html",
        )
    if strict and report.skipped:
        raise Damaged(f"--strict: {told(report.skipped, report.skipped_count)}")
    # For a program, none is an answer too; that none could be read is a failure.
    if not report.profiles and (format != "json" or report.skipped):
        raise NothingToRank(_nothing(report, store))
    target.write(_rendered(report, store, format, table, target.screen))


def _rendered(report: Report, store: str, format: str, table: CategoryTable, screen: Screen) -> str:
    if format == "json":
        return json.dumps(report.to_dict(), indent=2)
    if format == "markdown":
        return markdown.render(report, store)
    if format == "html":
        return page.render(report, store, table=table)
    return text.render(report, screen, store)


def _budgets(seconds: float | None, path: str | None, table: CategoryTable) -> Budgets:
    if path is None:
        return Budgets(default=seconds)
    if seconds is not None:
        raise ConfigurationError("--budget and --budgets: give one of them; a file may have a default")
    return load_budgets(path, table)


def _engine(workers: int | None, dask: str | None) -> Engine:
    if dask is None:
        return ProcessPool(workers)
    if workers is not None:
        raise ConfigurationError("--workers and --dask: give one of them; a cluster has its own workers")
    return DaskCluster(dask)


def _nothing(report: Report, store: str) -> str:
    if report.skipped:
        return f"no readable profile of a slow operation in {store}: {told(report.skipped, report.skipped_count)}"
    if report.not_ranked:
        hint = f" ({by_hand(report.captures_by_hand)})" if report.captures_by_hand else ""
        return f"no slow operation among the {report.not_ranked} profiles that match in {store}{hint}"
    return f"no profiles that match in {store}"
