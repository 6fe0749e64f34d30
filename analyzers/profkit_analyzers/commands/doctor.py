"""`profkit doctor`: is a store well, and what is in it?"""

from __future__ import annotations

import os
import sys
from collections import deque
from collections.abc import Iterator
from pathlib import Path

import click
from rich.text import Text

from profkit_analyzers.commands.filters import store_argument
from profkit_analyzers.commands.output import write
from profkit_analyzers.commands.progress import ProgressBar
from profkit_analyzers.reporters.columns import Column, in_columns
from profkit_analyzers.reporters.figures import byte_size, counted
from profkit_analyzers.reporters.terminal import Screen, printable, written
from profkit_storage import (
    Amount,
    ConfigurationError,
    ProfileEntry,
    ProfileStorage,
    S3Storage,
    StorageError,
    StoreUnavailable,
    open_storage,
)
from profkit_storage.spool import Spool, spool_directory

_READ = 1_000
_MOST_PROBLEMS = 20
_ILL = 1
"""The exit code where something is damaged, foreign, or cannot be written."""


@click.command("doctor")
@store_argument
@click.option(
    "--read",
    type=click.IntRange(min=0),
    default=_READ,
    show_default=True,
    help="So many of the newest are read.",
)
def doctor(*, store: str, read: int) -> int:
    """Say whether STORE can be listed, read and written, what is in it, what is damaged, and what waits for it.

    What waits is looked for in the directory that PROFKIT_SPOOL names, else where a service of the same user puts it.

    The exit code is 1 if anything is wrong. Nothing is changed; one small file is written and removed again.
    """
    try:
        opened = open_storage(store, create=False)
    except StoreUnavailable as error:
        # Then most of all does it matter what waits: only S3 says so.
        with S3Storage(store, check=False) as away:
            facts = [("listed", f"NO: {error}"), ("in the spool", _waiting(away))]
        write(written(_lines(facts), Screen.of_stdout()))
        return _ILL
    with opened as storage:
        unwritable = _try_to_write(storage)
        problems: dict[str, str] = {}
        newest: deque[ProfileEntry] = deque(maxlen=min(read, sys.maxsize))
        days, categories, total = _count(storage, newest, problems)
        readable = _read_all(storage, list(newest), problems)
        waiting = _waiting(storage)
    facts = [
        ("listed", f"yes, {counted(total.profiles, 'profile')} in {byte_size(total.size)}"),
        ("read", f"{readable:,} of the newest {len(newest):,}" if newest else "nothing to read"),
        ("written", f"NO: {unwritable}" if unwritable else "yes"),
        ("in the spool", waiting),
        ("wrong", f"{len(problems):,}" if problems else "nothing"),
    ]
    screen = Screen.of_stdout()
    lines = _lines(facts)
    lines += [
        f"{'':12}  {printable(f'{key}: {reason}')}" for key, reason in list(problems.items())[:_MOST_PROBLEMS]
    ]
    if len(problems) > _MOST_PROBLEMS:
        lines.append(f"{'':12}  and {len(problems) - _MOST_PROBLEMS:,} more")
    tables = [*_table("day", days, screen), *_table("category", categories, screen)]
    write(written([*lines, *tables], screen))
    return _ILL if problems or unwritable else 0


def _lines(facts: list[tuple[str, str]]) -> list[str | Text]:
    return [f"{name:12}  {printable(value)}" for name, value in facts]


def _try_to_write(storage: ProfileStorage) -> str:
    try:
        storage.check_writable()
    except StorageError as error:
        return str(error)
    return ""


def _count(
    storage: ProfileStorage, newest: deque[ProfileEntry], problems: dict[str, str]
) -> tuple[dict[str, Amount], dict[str, Amount], Amount]:
    stats = storage.stats(each=newest.append)
    problems.update(stats.problems)
    days = {str(day): amount for day, amount in stats.days.items()}
    categories = {name or "none": amount for name, amount in sorted(stats.categories.items())}
    return days, categories, stats.total


def _read_all(storage: ProfileStorage, entries: list[ProfileEntry], problems: dict[str, str]) -> int:
    read = 0
    with ProgressBar("reading profiles") as bar:
        for _ in storage.load_many(entries, on_problem=problems.__setitem__):
            read += 1
            if bar.wanted:
                bar.update(read, len(entries))
    return read


def _waiting(storage: ProfileStorage) -> str:
    """Say what waits in this user's spool for the store, where the environment says or in the usual place."""
    given = os.environ.get("PROFKIT_SPOOL", "")
    if given == "off":
        return "there is none: PROFKIT_SPOOL is off"
    try:
        below = Path(given).expanduser().absolute() if given else None
    except RuntimeError as error:
        raise ConfigurationError(f"PROFKIT_SPOOL {given!r}: {error}") from None
    directory = spool_directory(storage.url, below)
    waiting = Spool(directory).waiting()
    if waiting.profiles:
        return f"{waiting.profiles:,} wait, {byte_size(waiting.size)}, in {directory.parent}"
    return f"nothing waits in {directory.parent}"


def _table(title: str, amounts: dict[str, Amount], screen: Screen) -> Iterator[str | Text]:
    if not amounts:
        return
    yield ""
    columns = (Column(title, shrink=True), Column("profiles", right=True), Column("size", right=True))
    rows = [[name, f"{amount.profiles:,}", byte_size(amount.size)] for name, amount in amounts.items()]
    yield from in_columns(columns, rows, screen.width)
