"""`profkit list`: which profiles there are, from their keys alone."""

from __future__ import annotations

import json
import sys
from collections import deque
from collections.abc import Sequence

import click

from profkit_analyzers.commands.filters import filter_options, make_query, store_argument
from profkit_analyzers.commands.output import write
from profkit_analyzers.commands.skipped import Skipped
from profkit_analyzers.reporters import listing
from profkit_analyzers.reporters.figures import counted
from profkit_analyzers.reporters.terminal import Screen
from profkit_storage import ProfileEntry, ProfileNotFound, open_storage

_SHOWN = 50
LIST_SCHEMA = 1


@click.command("list")
@store_argument
@filter_options
@click.option(
    "--limit",
    type=click.IntRange(min=1),
    help=f"The newest so many; by default {_SHOWN}, and all of them with --json.",
)
@click.option("--json", "as_json", is_flag=True, help="JSON in place of a table.")
def list_profiles(
    *,
    store: str,
    since: str | None,
    until: str | None,
    operation: str | None,
    category: str | None,
    service: str | None,
    limit: int | None,
    as_json: bool,
) -> None:
    """List the profiles in STORE, the newest last.

    If none match the exit code is 2; with --json it is 0, and `count` is 0.
    """
    query = make_query(since, until, operation, category, service)
    bound = limit if limit is not None or as_json else _SHOWN
    foreign = Skipped()
    newest: deque[ProfileEntry] = deque(maxlen=None if bound is None else min(bound, sys.maxsize))
    count = 0
    with open_storage(store, create=False) as storage:
        for entry in storage.scan(query, on_problem=foreign.add):
            newest.append(entry)
            count += 1
    # For a program, none is an answer too, and no failure.
    if not count and not as_json:
        raise ProfileNotFound(f"no profiles that match in {store}{foreign.note()}")
    write_list(newest, count, foreign, as_json=as_json)
    if not as_json and (count > len(newest) or foreign.count):
        click.echo(f"{len(newest):,} of {counted(count, 'profile')}{foreign.note()}", err=True)


def write_list(entries: Sequence[ProfileEntry], count: int, skipped: Skipped, *, as_json: bool) -> None:
    """Write entries as a table or as JSON; `count` is how many match."""
    if not as_json:
        write(listing.render(entries, Screen.of_stdout()))
        return
    document = {
        "schema": LIST_SCHEMA,
        "count": count,
        "profiles": [listing.to_dict(entry) for entry in entries],
        "skipped_count": skipped.count,
    }
    write(json.dumps(document, indent=2))
