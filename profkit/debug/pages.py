"""Pages for a browser: Jinja2 templates, everything escaped, every script and style a file of `assets`."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final, cast

import jinja2
from markupsafe import Markup, escape

from profkit.debug.configuration.rows import unit_of
from profkit.debug.tokens import token_command
from profkit_storage.formats.durations import in_seconds
from profkit_storage.formats.names import writable_lines

POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
"""The Content-Security-Policy of a page: nothing inline, nothing of another host."""

_BYTES = re.compile(r"(?:rss|vms|uss|pss|shared|swap)(?:_before|_after)?|\w*bytes")
_PARTS = re.compile(r"(?<=[._/:])(?=\w)")
_TEMPLATES = Path(__file__).parent / "templates"


class Pages:
    """Renders the templates beside this module. `by_token` says that a token is what lets somebody in."""

    def __init__(self, *, by_token: bool = False) -> None:
        self._environment = _environment()
        self._by_token = by_token

    def render(self, template: str, values: Mapping[str, object]) -> str:
        """Return the page."""
        return self._environment.get_template(template).render(values, by_token=self._by_token)


@functools.cache
def _environment() -> jinja2.Environment:
    """Compile every template, once a process and when the application starts: it holds the GIL."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        finalize=_shown,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    filters: dict[str, Callable[..., object]] = {
        "breakable": breakable,
        "label": label,
        "scalar": scalar,
        "seconds": in_seconds,
        "kind": kind,
        "unit": unit_of,
        "size": size,
        "size_change": size_change,
        "count": count,
        "counted": counted,
        "count_change": count_change,
        "token_command": token_command,
    }
    environment.filters.update(filters)
    for name in environment.list_templates(extensions=["html"]):
        environment.get_template(name)
    return environment


def _shown(value: object) -> object:
    """Return a text without what is no letter, or turns the order of others: it could be read as another."""
    return writable_lines(value) if type(value) is str else value  # markup is a subclass


def breakable(name: str) -> Markup:
    """Return a name that may be broken where it has parts, after a dot, a slash or an underscore."""
    return Markup("<wbr>").join(map(escape, _PARTS.split(writable_lines(name))))


def kind(value: object) -> str:
    """Tell how a value is shown: mapping, records (a list of mappings), numbers, list or scalar."""
    if isinstance(value, Mapping):
        return "mapping"
    if isinstance(value, (list, tuple)):
        items = cast("list[object]", value)
        if items and all(isinstance(item, Mapping) for item in items):
            return "records"
        return "numbers" if items and all(isinstance(item, (int, float)) for item in items) else "list"
    return "scalar"


def label(name: object) -> str:
    """Return a key of a report as a heading: `in_use` is "in use"."""
    return str(name).replace("_", " ")


def scalar(value: object, name: object = "") -> str:
    """Return a value as text: no more digits of a float than are of use, bytes in MiB, large numbers with commas.

    So that a port or an id stays as it is written; what is counted is a `count`.
    """
    if value is None:
        return "\N{EN DASH}"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        if _BYTES.fullmatch(str(name)) and abs(value) >= 1024:
            return size(value)
        return f"{value:,}" if abs(value) >= 100_000 else str(value)
    if isinstance(value, float):
        return scalar(int(value), name) if value.is_integer() and abs(value) < 1e15 else f"{value:.6g}"
    return str(value)


def count(value: object) -> str:
    """Return how many there are, thousands apart; what is no whole number as `scalar` does."""
    return f"{value:,}" if type(value) is int else scalar(value)


def size(value: int) -> str:
    """Return bytes: `812 B`, `1.4 KiB`, `65.9 MiB`, `2.31 GiB`."""
    for unit, digits, scale in (("GiB", 2, 2**30), ("MiB", 1, 2**20), ("KiB", 1, 2**10)):
        if abs(value) >= scale * (1 - 0.5 / 10**4):  # 1024.0 of a unit are one of the next
            return f"{value / scale:.{digits}f} {unit}"
    return f"{value} B"


def size_change(value: int) -> str:
    """Return by how many bytes something is more, or less: `+1.2 MiB`."""
    return f"{_sign(value)}{size(abs(value))}"


def count_change(value: int) -> str:
    """Return by how many something is more, or less: `+12`."""
    return f"{_sign(value)}{count(abs(value))}"


def _sign(value: int) -> str:
    return "+" if value > 0 else "\N{MINUS SIGN}" if value < 0 else ""


def counted(number: int, noun: str) -> str:
    """Return `1 task`, `2 tasks`, `no tasks`."""
    return f"{count(number) if number else 'no'} {noun}{'' if number == 1 else 's'}"
