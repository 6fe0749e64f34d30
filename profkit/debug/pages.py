"""Pages for a browser: Jinja2 templates, everything escaped, every script and style a file of `assets`."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Final, cast

import jinja2

from profkit.debug.configuration.rows import unit_of
from profkit.debug.tokens import token_command

POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
"""The Content-Security-Policy of a page: nothing inline, nothing of another host."""

_BYTES = re.compile(r"(?:rss|vms|uss|pss|shared|swap)(?:_before|_after)?|\w*bytes")
_TURNS = str.maketrans(
    dict.fromkeys(map(chr, [*range(0x202A, 0x202F), *range(0x2066, 0x206A)]), "\N{REPLACEMENT CHARACTER}")
)
"""Characters that turn the order of what follows them: a name could be read as another."""
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
        finalize=_in_order,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    filters: dict[str, Callable[..., object]] = {
        "label": label,
        "scalar": scalar,
        "seconds": seconds,
        "moment": moment,
        "kind": kind,
        "unit": unit_of,
        "size": size,
        "size_change": size_change,
        "counted": counted,
        "count_change": count_change,
        "token_command": token_command,
    }
    environment.filters.update(filters)
    for name in environment.list_templates(extensions=["html"]):
        environment.get_template(name)
    return environment


def _in_order(value: object) -> object:
    return value.translate(_TURNS) if type(value) is str else value  # markup is a subclass


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
    """Return a value as text: thousands apart, no more digits of a float than are of use, bytes in MiB."""
    if value is None:
        return "\N{EN DASH}"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, int):
        if _BYTES.fullmatch(str(name)) and abs(value) >= 1024:
            return size(value)
        return f"{value:,}".replace(",", "\N{NARROW NO-BREAK SPACE}") if abs(value) >= 100_000 else str(value)
    if isinstance(value, float):
        return scalar(int(value), name) if value.is_integer() and abs(value) < 1e15 else f"{value:.6g}"
    return str(value)


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
    return f"{_sign(value)}{scalar(abs(value))}"


def _sign(value: int) -> str:
    return "+" if value > 0 else "\N{MINUS SIGN}" if value < 0 else ""


def counted(number: int, noun: str) -> str:
    """Return `1 task`, `2 tasks`, `no tasks`."""
    return f"{scalar(number) if number else 'no'} {noun}{'' if number == 1 else 's'}"


def seconds(value: float) -> str:
    """Return a duration: `12 ms`, `1.24 s`, `3 min 05 s`, `2 h 04 min`."""
    if value < 0.9995:  # what is rounded to a second is one
        return f"{value * 1000:.3g} ms"
    if value < 59.995:
        return f"{value:.2f} s"
    minutes, rest = divmod(round(value), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02d} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02d} min"


def moment(nanoseconds: int) -> str:
    """Return a time of day in UTC, to the second, from nanoseconds since the epoch."""
    return datetime.fromtimestamp(nanoseconds / 1e9, UTC).strftime("%Y-%m-%d %H:%M:%S")
