"""`profkit slo`: all calls held against objectives, from the rollups."""

from __future__ import annotations

import json

import click

from profkit_analyzers.commands.filters import filter_options, make_query, store_argument
from profkit_analyzers.commands.output import write
from profkit_analyzers.commands.progress import ProgressBar
from profkit_analyzers.reporters import levels, levels_markdown
from profkit_analyzers.reporters.terminal import Screen
from profkit_analyzers.skipping import told
from profkit_analyzers.slo.evaluation import service_levels_of
from profkit_analyzers.slo.objectives import default_objectives, load_objectives
from profkit_analyzers.slo.service_levels import ServiceLevels, Span
from profkit_storage import ProfkitError, open_storage

_BROKEN = 3
"""The exit code where an objective is broken, and one was asked for."""


class NothingCounted(ProfkitError):
    """There are no rollups, or none that can be read, or none of what was asked for."""


@click.command()
@store_argument
@filter_options
@click.option("--objectives", metavar="FILE", help="Your own, laid over profkit's objectives.toml.")
@click.option(
    "--window",
    type=click.Choice([str(span) for span in Span]),
    default=str(Span.ALL),
    show_default=True,
    help="Also by hour or day of UTC.",
)
@click.option("--top", type=click.IntRange(min=1), help="The worst so many operations; by default all.")
@click.option(
    "--format", type=click.Choice(["table", "json", "markdown"]), default="table", show_default=True
)
@click.option("--fail-on-breach", is_flag=True, help=f"Exit with {_BROKEN} if all calls break an objective.")
def slo(
    *,
    store: str,
    since: str | None,
    until: str | None,
    operation: str | None,
    category: str | None,
    service: str | None,
    objectives: str | None,
    window: str,
    top: int | None,
    format: str,
    fail_on_breach: bool,
) -> int:
    """Hold all calls in STORE against objectives: quick enough, available, few errors; and the error budget left.

    They come from the rollups, which count every call, kept or not. --since and --until go by when a rollup began.
    Where there are too few calls to say there is no verdict, and nothing fails.

    If none match the exit code is 2; with --format json, unless --fail-on-breach is given, it is 0 and `operations` is
    empty.
    """
    query = make_query(since, until, operation, category, service)
    held = default_objectives() if objectives is None else load_objectives(objectives)
    with open_storage(store, create=False) as storage, ProgressBar("reading rollups, by hours") as bar:
        progress = bar.update if bar.wanted else None
        found = service_levels_of(storage, query, objectives=held, span=Span(window), progress=progress)
    if not found.operations and (format != "json" or fail_on_breach or found.skipped_count):
        raise NothingCounted(_nothing(found, store))
    if format == "json":
        write(json.dumps(found.to_dict(), indent=2))
    elif format == "markdown":
        write(levels_markdown.render(found, top=top))
    else:
        write(levels.render(found, Screen.of_stdout(), top=top))
    return _BROKEN if fail_on_breach and found.breached else 0


def _nothing(found: ServiceLevels, store: str) -> str:
    if found.skipped:
        return f"no readable rollups that match in {store}: {told(found.skipped, found.skipped_count)}"
    if found.rollups:
        return f"no operation that matches in the {found.rollups:,} sets of rollups in {store}"
    return f"no rollups that match in {store}: a service writes them every `rollup_interval` seconds, unless it is 0"
