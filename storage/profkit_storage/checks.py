"""Checks of decoded JSON arrays: each returns its values typed, or raises a `Malformed` that names the array."""

from __future__ import annotations

import enum
import math
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import TypeVar, cast

MAX_SECONDS = 1e10
"""Three centuries: no measured time is longer, and every one fits into a key."""

E = TypeVar("E", bound=enum.StrEnum)


_SHOWN = 100


class Malformed(ValueError):
    """A document that holds no profile; says what is wrong where."""


def shown(value: object) -> str:
    """Return `value` as a message may show it: damaged data can be of any length."""
    text = repr(value[:_SHOWN] if isinstance(value, str) else value)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."


def texts(path: str, column: Sequence[object]) -> list[str]:
    """Return strings."""
    found = cast("list[str]", column)
    try:
        "".join(found)  # takes nothing else, and a fifth of the time that asking each costs
    except TypeError:
        _kinds(path, column, (str,), "a string")
    return found


def flags(path: str, column: Sequence[object]) -> list[bool]:
    """Return booleans."""
    _kinds(path, column, (bool,), "true or false")
    return cast("list[bool]", column)


def integers(path: str, column: Sequence[object], low: int, high: int) -> list[int]:
    """Return integers from `low` to `high`."""
    _kinds(path, column, (int,), "an integer")
    numbers = cast("list[int]", column)
    if numbers and not (min(numbers) >= low and max(numbers) <= high):
        raise Malformed(f"{path} is out of range: must be from {low} to {high}")
    return numbers


def seconds(path: str, column: Sequence[object], high: float = MAX_SECONDS) -> list[float]:
    """Return finite numbers from 0 to `high`."""
    _kinds(path, column, (float, int), "a number")
    numbers = cast("list[float]", column)
    # A NaN may hide from min and max, but not from the sum.
    if numbers and not (min(numbers) >= 0 and max(numbers) <= high and not math.isnan(sum(numbers))):
        raise Malformed(f"{path} is out of range: must be from 0 to {high:g}")
    return list(map(float, numbers))


def words(path: str, column: Sequence[object], kind: type[enum.StrEnum]) -> list[str]:
    """Return values of members of `kind`, as they are."""
    members = _values(kind)
    found = texts(path, column)
    if not members.issuperset(found):
        wrong = next(text for text in found if text not in members)
        raise Malformed(f"{path} holds {shown(wrong)}: must be one of {', '.join(kind)}")
    return found


def parents(path: str, column: Sequence[object]) -> list[int]:
    """Return the parents of a forest: indices into the column itself, -1 for a root, never in a circle."""
    numbers = integers(path, column, -1, len(column) - 1)
    done = set[int]()
    for start in range(len(numbers)):
        way = dict[int, None]()
        index = start
        while index >= 0 and index not in done:
            if index in way:
                raise Malformed(f"{path} goes in a circle at {index}")
            way[index] = None
            index = numbers[index]
        done.update(way)
    return numbers


def tags(path: str, value: object) -> dict[str, object]:
    """Return names with a string, finite number, boolean or None each."""
    if not isinstance(value, Mapping):
        raise Malformed(f"{path} is no object")
    found = dict(cast("Mapping[object, object]", value))
    for name, content in found.items():
        if not isinstance(name, str):
            raise Malformed(f"{path} has the name {shown(name)}: must be a string")
        where = f"{path}.{name if len(name) <= _SHOWN else shown(name)}"
        if isinstance(content, float) and not math.isfinite(content):
            raise Malformed(f"{where} is {content}: must be finite")
        if isinstance(content, int) and not -(2**63) <= content < 2**64:
            raise Malformed(f"{where} is out of range: must fit into 64 bits")
        if not isinstance(content, str | int | float | None):
            raise Malformed(f"{where} is a {type(content).__name__}: must be str, int, float, bool or None")
    return cast("dict[str, object]", found)


@lru_cache
def _values(kind: type[enum.StrEnum]) -> frozenset[str]:
    return frozenset(member.value for member in kind)


def _kinds(path: str, column: Sequence[object], kinds: tuple[type, ...], what: str) -> None:
    for kind in set(map(type, column)):
        # True is an int to Python, but comes back from JSON as another type than an int.
        if not issubclass(kind, kinds) or (kind is bool and bool not in kinds):
            raise Malformed(f"{path} holds a {kind.__name__}: must be {what}")
