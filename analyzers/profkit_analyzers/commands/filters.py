"""The store, and which of its profiles: what several commands take."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import ParamSpec, TypeVar

import click

from profkit_storage import ConfigurationError, ProfileQuery

P = ParamSpec("P")
R = TypeVar("R")

_SIZE = re.compile(r"([0-9]{1,15}(?:\.[0-9]{1,3})?) ?([kMGT]?)i?B?", re.IGNORECASE)
_BYTES = {"": 1, "K": 10**3, "M": 10**6, "G": 10**9, "T": 10**12}
_AGE = re.compile(r"([0-9]{1,9})([smhdw])")
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_FORMS = "an ISO 8601 date or time (2026-03-14, 2026-03-14T15:09, UTC unless it has a zone) or an age (30m, 2h, 7d)"


class _Address(click.types.StringParamType):
    """Any text; where it is missing, it says where else it may come from."""

    name = "store"

    def get_missing_message(self, param: click.Parameter, ctx: click.Context | None) -> str:  # noqa: ARG002 - click's
        return "Give a directory or an address, or set PROFKIT_STORAGE."


def store_argument(command: Callable[P, R]) -> Callable[P, R]:
    """Let a command take the store's address."""
    return click.argument("store", envvar="PROFKIT_STORAGE", type=_Address())(command)


def filter_options(command: Callable[P, R]) -> Callable[P, R]:
    """Let a command take the options that become a `ProfileQuery`."""
    options = [
        click.option("--since", metavar="WHEN", help=f"Operations started then or later: {_FORMS}."),
        click.option("--until", metavar="WHEN", help="Operations started before then; in the same forms."),
        click.option("--operation", metavar="NAME", help="Only this operation."),
        click.option("--category", metavar="NAME", help="Only operations declared with this category."),
        click.option("--service", metavar="NAME", help="Only this service."),
    ]
    for option in reversed(options):
        command = option(command)
    return command


def make_query(
    since: str | None, until: str | None, operation: str | None, category: str | None, service: str | None
) -> ProfileQuery:
    """Return the query the options ask for.

    Raises:
        ConfigurationError: a time that is none, or no time between the two.
    """
    now = datetime.now(UTC)
    first = None if since is None else parse_time("--since", since, now)
    last = None if until is None else parse_time("--until", until, now)
    if first is not None and last is not None and first >= last:
        raise ConfigurationError(f"--since {since!r}: must be before --until {until!r}")
    return ProfileQuery(since=first, until=last, operation=operation, category=category, service=service)


def parse_age(name: str, text: str) -> timedelta:
    """Return the time span `text` means: 0s, 30m, 2h, 7d.

    Raises:
        ConfigurationError: it means none; `name` is the option's.
    """
    age = _AGE.fullmatch(text.strip())
    if age is None:
        raise ConfigurationError(f"{name} {text!r}: must be a whole number and s, m, h, d or w (0s, 30m, 7d)")
    try:
        return timedelta(**{_UNITS[age[2]]: int(age[1])})
    except OverflowError:
        raise ConfigurationError(f"{name} {text!r}: is too long") from None


def parse_bytes(name: str, text: str) -> int:
    """Return the bytes `text` means: 500MB, 10GB, or a plain number of them.

    Raises:
        ConfigurationError: it means none; `name` is the option's.
    """
    size = _SIZE.fullmatch(text.strip())
    if size is None:
        raise ConfigurationError(f"{name} {text!r}: must be a number and kB, MB, GB or TB, such as 10GB")
    return int(float(size[1]) * _BYTES[size[2].upper()])


def parse_time(name: str, text: str, now: datetime) -> datetime:
    """Return the time `text` means: ISO 8601, UTC unless it says otherwise, or an age before `now`.

    Raises:
        ConfigurationError: it is neither; `name` is the option's.
    """
    wrong = ConfigurationError(f"{name} {text!r}: must be {_FORMS}")
    try:
        age = _AGE.fullmatch(text.strip())
        if age is not None:
            return now - timedelta(**{_UNITS[age[2]]: int(age[1])})
        found = datetime.fromisoformat(text.strip())
        return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
    except (ValueError, OverflowError):
        raise wrong from None
