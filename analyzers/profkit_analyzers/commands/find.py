"""`profkit find`: profiles by what only they themselves tell: request id, trace id, tags."""

from __future__ import annotations

import json
import sys
from collections import deque
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import click

from profkit_analyzers.commands.filters import filter_options, make_query, store_argument
from profkit_analyzers.commands.list import write_list
from profkit_analyzers.commands.progress import ProgressBar
from profkit_analyzers.commands.skipped import Skipped
from profkit_analyzers.reporters.figures import counted
from profkit_analyzers.reporters.terminal import printable
from profkit_storage import (
    ConfigurationError,
    Profile,
    ProfileEntry,
    ProfileNotFound,
    ProfileStorage,
    open_storage,
)

_MOST_READ = 10_000
_MOST_FOUND = 50


@click.command()
@store_argument
@click.option("--request-id", metavar="ID", help="Operations of this request.")
@click.option("--trace-id", metavar="ID", help="Operations of this trace; letter case does not matter.")
@click.option(
    "--tag", "tags", metavar="NAME=VALUE", multiple=True, help="Operations with this tag; may be repeated."
)
@filter_options
@click.option(
    "--limit", type=click.IntRange(min=1), default=_MOST_FOUND, show_default=True, help="The newest so many."
)
@click.option(
    "--read",
    type=click.IntRange(min=1),
    default=_MOST_READ,
    show_default=True,
    help="Look into so many profiles at the most.",
)
@click.option("--json", "as_json", is_flag=True, help="JSON in place of a table.")
def find(
    *,
    store: str,
    request_id: str | None,
    trace_id: str | None,
    tags: Sequence[str],
    since: str | None,
    until: str | None,
    operation: str | None,
    category: str | None,
    service: str | None,
    limit: int,
    read: int,
    as_json: bool,
) -> None:
    """Find the profiles in STORE of a request, a trace or with a tag; the newest last, as `list` shows them.

    Each profile has to be opened for that, the newest first: times, service, operation and category say which. A tag is
    found on the operation that has it, not on those around it.

    If none is found the exit code is 2; with --json it is 0, and `count` is 0.
    """
    wanted = _Wanted.of(request_id, trace_id, tags)
    query = make_query(since, until, operation, category, service)
    skipped = Skipped()
    newest: deque[ProfileEntry] = deque(maxlen=min(read, sys.maxsize))
    count = 0
    with open_storage(store, create=False) as storage:
        for entry in storage.scan(query, on_problem=skipped.add):
            newest.append(entry)
            count += 1
        found, looked = _found(storage, wanted, newest, skipped, limit)
    unread = f", the newest of {count:,}" if looked < count else ""
    searched = f"{counted(looked, 'profile')}{unread}{skipped.note()}"
    if not found and not as_json:
        raise ProfileNotFound(f"no profile with {wanted} in {store}; looked into {searched}")
    found.reverse()
    write_list(found, len(found), skipped, as_json=as_json)
    if not as_json:
        click.echo(printable(f"{len(found):,} found; looked into {searched}"), err=True)


def _found(
    storage: ProfileStorage, wanted: _Wanted, entries: Sequence[ProfileEntry], skipped: Skipped, limit: int
) -> tuple[list[ProfileEntry], int]:
    """Return which of the entries are wanted, the newest first, and into how many it had to look."""
    found: list[ProfileEntry] = []
    looked = 0
    with ProgressBar("looking into profiles") as bar:
        for entry in reversed(entries):
            profile = skipped.load(storage, entry)
            looked += 1
            if profile is not None and wanted.matches(profile):
                found.append(entry)
                if len(found) >= limit:
                    break
            if bar.wanted:
                bar.update(looked, len(entries))
    return found, looked


class _Wanted(NamedTuple):
    """What a profile must have, all of it; None and no tags mean any."""

    request_id: str | None
    trace_id: str | None
    tags: Mapping[str, str]

    @classmethod
    def of(cls, request_id: str | None, trace_id: str | None, tags: Sequence[str]) -> _Wanted:
        """Return what the options ask for.

        Raises:
            ConfigurationError: they ask for nothing, for a tag without a name, or for two values of one.
        """
        pairs: dict[str, str] = {}
        for tag in tags:
            name, equals, value = tag.partition("=")
            if not (name and equals):
                raise ConfigurationError(f"--tag {tag!r}: must be NAME=VALUE")
            if pairs.setdefault(name, value) != value:
                raise ConfigurationError(f"--tag {tag!r}: {name} cannot be {pairs[name]!r} as well")
        for option, text in (("--request-id", request_id), ("--trace-id", trace_id)):
            if text is not None and not text.strip():
                raise ConfigurationError(f"{option} {text!r}: must not be empty")
        if request_id is None and trace_id is None and not pairs:
            raise ConfigurationError(
                "find: give --request-id, --trace-id or --tag NAME=VALUE; any of them, or all"
            )
        trace = None if trace_id is None else trace_id.strip().lower()
        return cls(None if request_id is None else request_id.strip(), trace, pairs)

    def matches(self, profile: Profile) -> bool:
        """Tell whether the profile has all of it."""
        if self.request_id is not None and profile.request_id != self.request_id:
            return False
        if self.trace_id is not None and profile.trace_id.lower() != self.trace_id:
            return False
        return all(
            name in profile.tags and value in _forms(profile.tags[name]) for name, value in self.tags.items()
        )

    def __str__(self) -> str:
        asked = [f"request id {self.request_id!r}"] if self.request_id is not None else []
        asked += [f"trace id {self.trace_id!r}"] if self.trace_id is not None else []
        asked += [f"tag {name!r} = {value!r}" for name, value in self.tags.items()]
        return ", ".join(asked)


def _forms(value: object) -> tuple[str, str]:
    """Return how a tag's value may be written: as `show` does, or as JSON (`true`, `null`)."""
    return str(value), json.dumps(value, default=str)
