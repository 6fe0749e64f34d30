"""Kinds of settings: how one is read from text, and what of it is allowed."""

from __future__ import annotations

import inspect
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import cast

from profkit_storage import ProfileStorage

MAX_SECONDS = 86_400.0
"""A day: what takes longer is not told apart by a threshold."""


@dataclass(frozen=True, slots=True)
class Kind:
    """How a setting is read from text and what of it is allowed; `allowed_text` where that is another in text."""

    allowed: str
    parse: Callable[[str], object]
    accepts: Callable[[object], bool]
    allowed_text: str = ""


def is_seconds(value: object) -> bool:
    """Tell whether `value` is a finite number that is not negative."""
    return _is_number(value) and 0.0 <= cast("float", value) <= sys.float_info.max


def number(low: float, high: float, unit: str = "", *, or_zero: bool = False) -> Kind:
    """Return the kind of numbers from `low` to `high`, and 0 if `or_zero`."""

    def accepts(value: object) -> bool:
        if not _is_number(value):
            return False
        return low <= cast("float", value) <= high or (or_zero and value == 0)

    zero = "0, or " if or_zero else ""
    return Kind(f"{zero}a number{unit and f' of {unit}'} from {low:g} to {high:g}", float, accepts)


def count(low: int, high: int) -> Kind:
    """Return the kind of whole numbers from `low` to `high`."""

    def accepts(value: object) -> bool:
        return isinstance(value, int) and not isinstance(value, bool) and low <= value <= high

    return Kind(f"a whole number from {low} to {high}", int, accepts)


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _parse_switch(text: str) -> bool:
    switches = {"1": True, "true": True, "yes": True, "on": True}
    switches |= {"0": False, "false": False, "no": False, "off": False}
    return switches[text.strip().lower()]


def _parse_thresholds(text: str) -> dict[str, float]:
    found: dict[str, float] = {}
    for part in filter(str.strip, text.split(",")):
        name, _, seconds = part.rpartition("=")  # a name may have one itself
        found[name.strip()] = float(seconds)
    return found


def _is_thresholds(value: object) -> bool:
    if not isinstance(value, Mapping):
        return False
    items = cast("Mapping[object, object]", value).items()
    return all(
        isinstance(name, str) and name and is_seconds(seconds) and cast("float", seconds) <= MAX_SECONDS
        for name, seconds in items
    )


def _is_path(value: object) -> bool:
    return isinstance(value, (str, os.PathLike)) and "\0" not in os.fspath(cast("str", value))


TEXT = Kind("text", str, lambda value: isinstance(value, str))
PATH = Kind("the path of a directory", str, _is_path)
SWITCH = Kind(
    "True or False",
    _parse_switch,
    lambda value: isinstance(value, bool),
    "1, true, yes, on, 0, false, no or off",
)
STORAGE = Kind(
    "a path, an address such as file:///var/lib/profkit, or a ProfileStorage",
    str,
    lambda value: value is None or isinstance(value, (str, os.PathLike, ProfileStorage)),
)
CALLBACK = Kind(
    "a callable taking a Profile, no coroutine function",
    str,
    lambda value: value is None or (callable(value) and not inspect.iscoroutinefunction(value)),
)
"""Not from the environment: text is never a callable, so `CALLBACK` refuses whatever it parses."""
THRESHOLDS = Kind(
    f"names of operations or categories with seconds from 0 to {MAX_SECONDS:g}, as in {{'db': 0.2}}",
    _parse_thresholds,
    _is_thresholds,
    f"names of operations or categories with seconds from 0 to {MAX_SECONDS:g}, as in db=0.2,POST /agent=3",
)
"""In the environment a name with a comma cannot be given."""
