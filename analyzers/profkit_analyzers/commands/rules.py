"""A user's own rules: what several commands take."""

from __future__ import annotations

from collections.abc import Callable
from typing import ParamSpec, TypeVar

import click

from profkit_storage.categories import CategoryTable, default_categories, load_categories

P = ParamSpec("P")
R = TypeVar("R")


def rules_option(command: Callable[P, R]) -> Callable[P, R]:
    """Let a command take a file of rules."""
    option = click.option(
        "--rules",
        metavar="FILE",
        help="Your own rules, laid over profkit's: which code belongs to which category. The form is that of "
        "categories.toml in profkit_storage.",
    )
    return option(command)


def load_rules(path: str | None) -> CategoryTable:
    """Return profkit's rules, with those of the file laid over them if one is given.

    Raises:
        ConfigurationError: the file cannot be read, or something in it is not allowed; place and value are named.
    """
    return default_categories() if path is None else load_categories(path)
