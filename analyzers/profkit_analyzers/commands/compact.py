"""`profkit compact`: closed hours into Parquet blocks."""

from __future__ import annotations

from datetime import UTC, datetime

import click

from profkit_analyzers.commands.filters import parse_age, parse_bytes, parse_time, store_argument
from profkit_analyzers.commands.output import write
from profkit_analyzers.reporters.figures import counted
from profkit_analyzers.reporters.terminal import printable
from profkit_storage import ConfigurationError, open_storage
from profkit_storage.blocks.compaction import GRACE, Compaction
from profkit_storage.blocks.working import Compacted
from profkit_storage.object_storage import ObjectStorage

_SHOWN = 3


@click.command()
@store_argument
@click.option(
    "--until",
    metavar="WHEN",
    help="Hours that ended by then; those that ended in the last 15 minutes never. By default all others.",
)
@click.option(
    "--grace",
    metavar="AGE",
    default=f"{int(GRACE.total_seconds()) // 60}m",
    show_default=True,
    help="How long originals stay beside their block (0s, 10m, 1d); a later run removes them.",
)
@click.option(
    "--smallest",
    metavar="BYTES",
    default="64kB",
    show_default=True,
    help="What takes less in an hour of a service stays as it is: a block of it would take as much, or more.",
)
@click.option("--dry-run", is_flag=True, help="Say what would be done, and do nothing.")
def compact(*, store: str, until: str | None, grace: str, smallest: str, dry_run: bool) -> None:
    """Turn the closed hours in STORE into Parquet blocks.

    Where a service has many profiles an hour they take a fraction of the room. Everything finds and loads profiles in
    blocks as before; Polars and DuckDB read blocks directly.
    """
    last = None if until is None else parse_time("--until", until, datetime.now(UTC))
    patience = parse_age("--grace", grace)
    least = parse_bytes("--smallest", smallest)
    if store.lower().startswith("memory:"):
        raise ConfigurationError(f"storage address {store!r}: what is in memory is gone with its process")
    problems = _Problems()
    total = Compacted(hour="", service="")
    with open_storage(store, create=False) as storage:
        if not isinstance(storage, ObjectStorage):
            raise ConfigurationError(f"storage address {store!r}: keeps no objects that could be compacted")
        compaction = Compaction(storage, until=last, grace=patience, smallest=least, on_problem=problems.add)
        for done in compaction.run(dry_run=dry_run):
            write(_line(f"{done.hour} {printable(done.service)}", done))
            total.add(done)
    nothing = f"nothing to do: no hour that is over holds {smallest} of a service beside its blocks"
    write(_line("would be done" if dry_run else "in all", total, nothing))
    problems.tell()


class _Problems:
    """Keeps the first few things that could not be compacted, and counts all."""

    def __init__(self) -> None:
        self._count = 0
        self._first: list[str] = []

    def add(self, key: str, reason: str) -> None:
        self._count += 1
        if len(self._first) < _SHOWN:
            self._first.append(f"{key}: {reason}")

    def tell(self) -> None:
        if self._count:
            first = "; ".join(self._first)
            click.echo(f"{counted(self._count, 'problem')}, left alone: {printable(first)}", err=True)


def _line(name: str, done: Compacted, nothing: str = "") -> str:
    parts: list[str] = []
    what = [
        counted(number, noun)
        for number, noun in ((done.profiles, "profile"), (done.rollups, "set"))
        if number
    ]
    if done.blocks:
        to = f" to {done.after:,} bytes" if done.after else ""
        blocks = counted(done.blocks, "block")
        parts.append(f"{' and '.join(what)} into {blocks}, {done.before:,}{to or ' bytes'}")
    if done.removed:
        parts.append(f"{counted(done.removed, 'original')} removed")
    if done.waiting:
        parts.append(f"{counted(done.waiting, 'original')} kept for now")
    if done.damaged:
        parts.append(f"{done.damaged:,} damaged")
    return f"{name}: {'; '.join(parts) or nothing}"
