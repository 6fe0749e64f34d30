"""`profkit diff`: what became slower or faster between two windows, two versions or two stores."""

from __future__ import annotations

import json
import os
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import replace
from datetime import UTC, datetime

import click

from profkit_analyzers.changes.comparer import ProfileComparer, Source
from profkit_analyzers.changes.comparison import Comparison
from profkit_analyzers.commands.filters import filter_options, make_query, parse_time
from profkit_analyzers.commands.output import Output, output_option
from profkit_analyzers.commands.progress import ProgressBar
from profkit_analyzers.commands.rules import load_rules, rules_option
from profkit_analyzers.engines.engine import ProcessPool
from profkit_analyzers.reporters import comparison as text
from profkit_analyzers.reporters import comparison_markdown as markdown
from profkit_analyzers.reporters.page import comparison as page
from profkit_analyzers.reporters.terminal import Screen
from profkit_analyzers.skipping import told
from profkit_storage import ConfigurationError, ProfileQuery, ProfkitError, open_storage

REGRESSED = 3
_VARIABLE = "PROFKIT_STORAGE"
_TOP, _TOP_OF_PAGE = 10, 100
_FORM = "two times with .. between them, such as 2026-03-01..2026-03-02, 7d..1d or 2026-03-02T15:00.."


class NothingToCompare(ProfkitError):
    """One side has no slow operation that can be read."""


@click.command()
@click.argument("stores", nargs=-1, metavar="STORE [STORE]")
@click.option("--before", metavar="WHEN..WHEN", help=f"The window to compare with: {_FORM}.")
@click.option("--after", metavar="WHEN..WHEN", help="The window to compare.")
@click.option("--versions", nargs=2, metavar="OLD NEW", help="Compare two deploy versions in one store.")
@filter_options
@click.option("--top", type=click.IntRange(min=0), help="Rows without a verdict; else 10, and 100 in html.")
@click.option(
    "--least",
    type=click.FloatRange(0, 100),
    default=1.0,
    show_default=True,
    metavar="PERCENT",
    help="A verdict needs a change of so much of the operation's seconds.",
)
@click.option("--fail-on-regression", is_flag=True, help="Exit with 3 if anything is slower.")
@click.option("--workers", type=click.IntRange(1, 256), help="Processes that read profiles; else one a core.")
@rules_option
@click.option(
    "--format",
    type=click.Choice(["table", "json", "markdown", "html"]),
    default="table",
    show_default=True,
    help="markdown: for an issue tracker; html: a page with difference flame graphs.",
)
@output_option
def diff(
    *,
    stores: Sequence[str],
    before: str | None,
    after: str | None,
    versions: tuple[str, str] | None,
    since: str | None,
    until: str | None,
    operation: str | None,
    category: str | None,
    service: str | None,
    top: int | None,
    least: float,
    fail_on_regression: bool,
    workers: int | None,
    rules: str | None,
    format: str,
    output: str | None,
) -> int:
    """Tell what became slower or faster.

    \b
    profkit diff STORE --before 2026-03-01..2026-03-02 --after 2026-03-02..2026-03-03
    profkit diff STORE --versions 1.4 1.5
    profkit diff STORE_BEFORE STORE_AFTER

    Seconds are per slow operation, by operation and by function of the application. Verdicts allow for how many rows
    are looked at: of all of them, 5 % are wrong.
    """  # noqa: D301 - click's mark for lines to leave as they are
    windows = _windows(before, after)
    addresses = _addresses(stores, one=windows is not None or versions is not None)
    target = Output.of(output, format)
    query = make_query(since, until, operation, category, service)
    if windows is not None and (versions is not None or since is not None or until is not None):
        raise ConfigurationError("--before and --after: go without --versions, --since and --until")
    table = load_rules(rules)
    comparer = ProfileComparer(rules=table, engine=ProcessPool(workers), least=least / 100)
    with ExitStack() as stack:
        stores_ = [stack.enter_context(open_storage(address, create=False)) for address in addresses]
        bar = stack.enter_context(ProgressBar("reading profiles"))
        progress = bar.update if bar.wanted else None
        pictures = format == "html"
        if versions is not None:
            found = comparer.versions(stores_[0], *versions, query, progress=progress, pictures=pictures)
        else:
            first, second = _sources(query, windows, before, after, addresses)
            old, new = Source(stores_[0], *first), Source(stores_[-1], *second)
            found = comparer.sources(old, new, progress=progress, pictures=pictures)
    _check(found, needed=format != "json" or fail_on_regression)
    target.write(_rendered(found, addresses, format, top, target.screen))
    return REGRESSED if fail_on_regression and found.regressed else 0


def _rendered(
    found: Comparison, addresses: Sequence[str], format: str, top: int | None, screen: Screen
) -> str:
    if format == "json":
        return json.dumps(found.to_dict(), indent=2)
    if format == "html":
        return page.render(found, (addresses[0], addresses[-1]), top=_TOP_OF_PAGE if top is None else top)
    rows = _TOP if top is None else top
    if format == "markdown":
        return markdown.render(found, (addresses[0], addresses[-1]), top=rows)
    return text.render(found, screen, top=rows)


_Window = tuple[datetime | None, datetime | None]


def _windows(before: str | None, after: str | None) -> tuple[_Window, _Window] | None:
    if before is None and after is None:
        return None
    if before is None or after is None:
        raise click.UsageError("give both --before and --after, or neither")
    now = datetime.now(UTC)
    old, new = _window("--before", before, now), _window("--after", after, now)
    if _overlap(old, new):
        raise ConfigurationError(f"--before {before!r} and --after {after!r}: must have no time in common")
    return old, new


def _window(name: str, words: str, now: datetime) -> _Window:
    first, dots, last = words.partition("..")
    if not dots or not (first.strip() or last.strip()):
        raise ConfigurationError(f"{name} {words!r}: must be {_FORM}")
    since = parse_time(name, first, now) if first.strip() else None
    until = parse_time(name, last, now) if last.strip() else None
    if since is not None and until is not None and since >= until:
        raise ConfigurationError(f"{name} {words!r}: must begin before it ends")
    return since, until


def _overlap(old: _Window, new: _Window) -> bool:
    start = max((since for since, _ in (old, new) if since is not None), default=None)
    end = min((until for _, until in (old, new) if until is not None), default=None)
    return start is None or end is None or start < end


def _addresses(stores: Sequence[str], *, one: bool) -> list[str]:
    found = list(stores) or [address for address in [os.environ.get(_VARIABLE, "")] if address]
    if not found:
        raise click.UsageError("Missing argument 'STORE'.")
    if one and len(found) != 1:
        raise click.UsageError("windows and versions are of one STORE")
    if not one and len(found) != 2:
        raise click.UsageError("give two stores, or one and --before and --after, or --versions")
    return found


def _sources(
    query: ProfileQuery,
    windows: tuple[_Window, _Window] | None,
    before: str | None,
    after: str | None,
    addresses: Sequence[str],
) -> list[tuple[ProfileQuery, str]]:
    if windows is None:
        return [(query, address) for address in addresses]
    return [
        (replace(query, since=since, until=until), name or "")
        for (since, until), name in zip(windows, (before, after), strict=True)
    ]


def _check(found: Comparison, *, needed: bool) -> None:
    """Refuse sides that nothing can be said of; for a program that only reads, none is an answer too."""
    empty = [side.name for side in (found.before, found.after) if not side.profiles]
    if not empty or not (needed or found.skipped):
        return
    said = f"no slow operation to compare in {empty[0]}"
    if found.skipped:
        said += f": {told(found.skipped, found.skipped_count)}"
    raise NothingToCompare(said)
