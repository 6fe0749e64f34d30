"""Ids and a store, told apart where the store may be left out."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple, ParamSpec, TypeVar

import click

from profkit_analyzers.commands.lookup import is_prefix

P = ParamSpec("P")
R = TypeVar("R")

_VARIABLE = "PROFKIT_STORAGE"


class Chosen(NamedTuple):
    """Ids, or the first letters of some, and the store they are in."""

    ids: tuple[str, ...]
    store: str

    @classmethod
    def of(cls, words: Sequence[str]) -> Chosen:
        """Return what the words mean: the last one is the store.

        Where the environment names a store, words that all look like ids are ids of that one.

        Raises:
            UsageError: there is no store.
        """
        default = os.environ.get(_VARIABLE, "")
        last = words[-1] if words else ""
        if default and (not words or (is_prefix(last) and not Path(last).exists())):
            return cls(tuple(words), default)
        if not words:
            raise click.UsageError("Missing argument 'STORE'.")
        return cls(tuple(words[:-1]), last)


def words_argument(command: Callable[P, R]) -> Callable[P, R]:
    """Let a command take any number of ids, and the store's address behind them."""
    return click.argument("words", nargs=-1, metavar="[ID]... STORE")(command)
