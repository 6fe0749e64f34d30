"""`profkit show`: one profile as a call tree."""

from __future__ import annotations

import sys

import click

from profkit_analyzers.commands.filters import store_argument
from profkit_analyzers.commands.lookup import load_profile
from profkit_analyzers.commands.output import write
from profkit_analyzers.reporters import profile as heading
from profkit_analyzers.reporters.terminal import Screen, printable
from profkit_storage.formats import text


@click.command()
@click.argument("id")
@store_argument
@click.option("--all", "show_all", is_flag=True, help="Open what is folded: libraries, and frames under 1 %.")
def show(*, id: str, store: str, show_all: bool) -> None:
    """Show the profile ID of STORE in pyinstrument's console form. The first letters of an id do."""
    profile = load_profile(id, store)
    screen = Screen.of_stdout()
    unicode = (sys.stdout.encoding or "").lower().replace("-", "") == "utf8"
    tree = text.render(profile, color=screen.color, unicode=unicode, show_all=show_all)
    write(heading.render(profile, screen) + printable(tree, lines=True, colors=screen.color))
