"""`profkit explain`: which rule sent each second of one profile where."""

from __future__ import annotations

import json

import click

from profkit_analyzers.attribution.explanation import explain as explained
from profkit_analyzers.commands.filters import store_argument
from profkit_analyzers.commands.lookup import load_profile
from profkit_analyzers.commands.output import write
from profkit_analyzers.commands.rules import load_rules, rules_option
from profkit_analyzers.reporters import explanation as page
from profkit_analyzers.reporters.terminal import Screen

_SHOWN = 10


@click.command()
@click.argument("id")
@store_argument
@rules_option
@click.option("--format", type=click.Choice(["table", "json"]), default="table", show_default=True)
@click.option(
    "--top",
    type=click.IntRange(min=1),
    help=f"So many groups of samples; by default {_SHOWN}, and all of them with --format json.",
)
def explain(*, id: str, store: str, rules: str | None, format: str, top: int | None) -> None:
    """Show why the seconds of the profile ID of STORE are blamed on what they are. The first letters of an id do.

    Samples with the same stack, state and outcome are a group. Of each: the rule that decided, the frame or the child
    operation it went by, the word of the rules that the frame fits, and the frames nearer to the leaf that it passed.
    """
    table = load_rules(rules)
    found = explained(load_profile(id, store), table)
    if format == "json":
        write(json.dumps(found.to_dict(top), indent=2))
    else:
        write(page.render(found, Screen.of_stdout(), top or _SHOWN))
