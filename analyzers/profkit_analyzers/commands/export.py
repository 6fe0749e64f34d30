"""`profkit export`: one profile as a file for another tool."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from profkit_analyzers.commands.filters import store_argument
from profkit_analyzers.commands.lookup import load_profile
from profkit_analyzers.commands.output import write
from profkit_analyzers.reporters.terminal import printable
from profkit_storage import StorageError
from profkit_storage.formats import FORMATS


@click.command()
@click.argument("id")
@store_argument
@click.option("--format", type=click.Choice(sorted(FORMATS)), required=True, help="pyinstrument: for --load.")
@click.option("-o", "--output", metavar="FILE", help="Where to write it; standard output if not given, or -.")
def export(*, id: str, store: str, format: str, output: str | None) -> None:
    """Write the profile ID of STORE in another tool's format. The first letters of an id do."""
    text = FORMATS[format](load_profile(id, store))
    if output is None or output == "-":
        write(printable(text, lines=True) if sys.stdout.isatty() else text)
        return
    try:
        Path(output).write_text(text, encoding="utf-8", newline="\n")
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise StorageError(f"{output}: cannot be written: {reason}") from error
