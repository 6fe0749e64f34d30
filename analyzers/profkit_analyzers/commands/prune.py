"""`profkit prune`: lets go of what is too old or too much."""

from __future__ import annotations

import re

import click

from profkit_analyzers.commands.filters import parse_bytes, store_argument
from profkit_analyzers.commands.output import write
from profkit_analyzers.reporters.figures import byte_size, counted
from profkit_storage import ConfigurationError, open_storage
from profkit_storage.retention import Retention, prune

_AGE = re.compile(r"([0-9]{1,9})([smhdw])")
_SECONDS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400, "w": 604_800}


@click.command("prune")
@store_argument
@click.option("--max-age", metavar="AGE", help="Profiles and rollups older than this go: 12h, 30d, 8w.")
@click.option(
    "--max-bytes", metavar="SIZE", help="The oldest go until the rest takes at most this: 500MB, 10GB."
)
@click.option("--max-count", type=click.IntRange(min=0), help="The oldest go until so many are left.")
@click.option(
    "--keep-slowest", type=click.IntRange(min=0), default=0, help="So many of the slowest stay in any case."
)
@click.option("--category", metavar="NAME", help="Only operations declared with this category.")
@click.option("--dry-run", is_flag=True, help="Say what would go, and remove nothing.")
def prune_profiles(
    *,
    store: str,
    max_age: str | None,
    max_bytes: str | None,
    max_count: int | None,
    keep_slowest: int,
    category: str | None,
    dry_run: bool,
) -> None:
    """Let go of profiles in STORE, the oldest first.

    Of operations that were still running, and captures by hand, only where nothing else is left to go, or by age.
    """
    if max_age is None and max_bytes is None and max_count is None:
        raise click.UsageError("give --max-age, --max-bytes or --max-count")
    retention = Retention(
        max_age=None if max_age is None else _seconds(max_age),
        max_bytes=None if max_bytes is None else parse_bytes("--max-bytes", max_bytes),
        max_count=max_count,
        keep_slowest=keep_slowest,
        category=category,
    )
    skipped = 0

    def skip(_key: str, _reason: str) -> None:
        nonlocal skipped
        skipped += 1

    with open_storage(store, create=False) as storage:
        done = prune(storage, retention, dry_run=dry_run, on_problem=skip)
    rollups = f" and {counted(done.rollups, 'set')} of rollups" if done.rollups else ""
    removed, kept = done.removed, done.kept
    write(
        f"{'would remove' if dry_run else 'removed'} {counted(removed.profiles, 'profile')} "
        f"({byte_size(removed.size)}){rollups}; "
        f"{'would keep' if dry_run else 'kept'} {kept.profiles:,} ({byte_size(kept.size)})"
    )
    if skipped:
        click.echo(
            f"{counted(skipped, 'object')} skipped that are no profiles: profkit doctor names them", err=True
        )


def _seconds(text: str) -> float:
    match = _AGE.fullmatch(text.strip())
    if match is None:
        raise ConfigurationError(
            f"--max-age {text!r}: must be a whole number and s, m, h, d or w, such as 30d"
        )
    return float(int(match[1]) * _SECONDS[match[2]])
