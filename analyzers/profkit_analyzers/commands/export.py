"""`profkit export`: one profile, or several merged into one, as a file for another tool."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence

import click

from profkit_analyzers.commands.chosen import Chosen, words_argument
from profkit_analyzers.commands.filters import filter_options, make_query
from profkit_analyzers.commands.lookup import find_profile, load_profile
from profkit_analyzers.commands.output import write, write_bytes, write_file
from profkit_analyzers.commands.progress import ProgressBar
from profkit_analyzers.commands.skipped import Skipped
from profkit_analyzers.engines.nesting import placed
from profkit_analyzers.reporters.figures import by_hand, counted, seconds
from profkit_analyzers.reporters.terminal import printable
from profkit_storage import (
    ConfigurationError,
    Profile,
    ProfileNotFound,
    ProfileQuery,
    ProfileStorage,
    Trigger,
    open_storage,
)
from profkit_storage.formats import FORMATS, MERGED_FORMATS
from profkit_storage.merging import MergedProfile, weight_of

_MOST_IDS = 1_000
_BINARY = frozenset({"pprof"})


@click.command()
@words_argument
@filter_options
@click.option("--format", type=click.Choice(sorted(FORMATS)), required=True, help="pyinstrument: for --load.")
@click.option("-o", "--output", metavar="FILE", help="Where to write it; standard output if not given, or -.")
def export(
    *,
    words: Sequence[str],
    since: str | None,
    until: str | None,
    operation: str | None,
    category: str | None,
    service: str | None,
    format: str,
    output: str | None,
) -> None:
    """Write the profile ID of STORE in another tool's format. The first letters of an id do.

    Several ids, or no id and options that choose profiles, are merged into one: the same stacks summed, each profile
    times the slow operations it stands for. By options, no second is counted twice: captures by hand are left out, and
    what ran inside another operation that is merged.
    """
    query = make_query(since, until, operation, category, service)
    chosen = Chosen.of(words)
    _check(chosen, query, format)
    to_stdout = output is None or output == "-"
    if to_stdout and format in _BINARY and sys.stdout.isatty():
        raise ConfigurationError(f"--format {format}: is not text; give it a file (-o FILE) or a pipe")
    if len(chosen.ids) == 1:
        rendered = FORMATS[format](load_profile(chosen.ids[0], chosen.store))
    else:
        rendered = MERGED_FORMATS[format](_merged(chosen, query))
    if output is None or output == "-":
        _to_stdout(rendered)
    else:
        write_file(rendered.encode() if isinstance(rendered, str) else rendered, output)


def _check(chosen: Chosen, query: ProfileQuery, format: str) -> None:
    if chosen.ids and query != ProfileQuery():
        raise ConfigurationError("export: takes ids, or options that choose profiles, not both")
    if len(chosen.ids) > _MOST_IDS:
        raise ConfigurationError(f"export: {len(chosen.ids):,} ids; allowed are {_MOST_IDS:,}, or options")
    if len(chosen.ids) != 1 and format not in MERGED_FORMATS:
        allowed = ", ".join(MERGED_FORMATS)
        raise ConfigurationError(
            f"--format {format}: holds one profile, give one id; several go into {allowed}"
        )


def _merged(chosen: Chosen, query: ProfileQuery) -> MergedProfile:
    """Return the profiles with these ids, or those the query takes, as one; say on standard error what is in it."""
    merged, taken = MergedProfile(), _Taken(chosen.store)
    with open_storage(chosen.store, create=False) as storage, ProgressBar("merging profiles") as bar:
        profiles = taken.by_ids(storage, chosen.ids) if chosen.ids else taken.by_query(storage, query, bar)
        for profile in profiles:
            merged.add(profile, weight_of(profile))
    if not merged.count:
        raise ProfileNotFound(f"no profiles that match in {chosen.store}{taken.note()}")
    said = f"{counted(merged.count, 'profile')} merged, {seconds(merged.wall)}{taken.note()}"
    click.echo(printable(said), err=True)
    return merged


class _Taken:
    """Yields the profiles to merge, one by one, and counts what it leaves out."""

    def __init__(self, store: str) -> None:
        self._store = store
        self._skipped = Skipped()
        self._captures = 0
        self._nested = 0

    def by_ids(self, storage: ProfileStorage, ids: Sequence[str]) -> Iterator[Profile]:
        """Yield those with the ids, each once."""
        seen: set[str] = set()
        for id in ids:
            profile = find_profile(id, self._store, storage)
            if profile.id not in seen:
                seen.add(profile.id)
                yield profile

    def by_query(self, storage: ProfileStorage, query: ProfileQuery, bar: ProgressBar) -> Iterator[Profile]:
        """Yield what the query takes, but for what would be counted twice.

        A capture by hand may hold the seconds of many operations; those of an operation that ran inside another are in
        that one's profile.
        """
        for found in placed(self._operations(storage, query, bar)):
            if found.nested:
                self._nested += 1
            else:
                yield found.profile

    def note(self) -> str:
        """Return what was left out, "" for nothing."""
        captures = f"; {by_hand(self._captures)} left out" if self._captures else ""
        nested = f"; {self._nested:,} that ran inside others counted there" if self._nested else ""
        return captures + nested + self._skipped.note()

    def _operations(
        self, storage: ProfileStorage, query: ProfileQuery, bar: ProgressBar
    ) -> Iterator[Profile]:
        total = storage.stats(query).total.profiles if bar.wanted else 0
        for done, entry in enumerate(storage.scan(query, on_problem=self._skipped.add), start=1):
            if entry.trigger is Trigger.MANUAL:
                self._captures += 1
            else:
                profile = self._skipped.load(storage, entry)
                if profile is not None:
                    yield profile
            if bar.wanted:
                bar.update(done, max(done, total))


def _to_stdout(rendered: str | bytes) -> None:
    if isinstance(rendered, bytes):
        write_bytes(rendered)
    else:
        write(printable(rendered, lines=True) if sys.stdout.isatty() else rendered)
