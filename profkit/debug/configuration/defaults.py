"""The defaults that a structure's class has for its parts, and whether a value is its default."""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Iterable, Mapping
from typing import Any, Final, cast

NO_DEFAULT: Final = object()
NOT_TOLD: Final = object()
"""There is a function that makes one: it is the application's, and is not called."""

_PLAIN = (str, int, float, bool, bytes, complex, type(None), pathlib.PosixPath, pathlib.PurePosixPath)
_EMPTY: tuple[type[object], ...] = (list, dict, set, tuple, frozenset)
_MAX_ITEMS = 200
_MAX_DEPTH = 4


def defaults_of(value: object) -> Mapping[str, object] | None:
    """By name, of a dataclass, attrs class or named tuple; `None` of anything else."""
    cls = type(value)
    if dataclasses.is_dataclass(cls):
        return {
            one.name: one.default
            if one.default is not dataclasses.MISSING
            else _made(one.default_factory, dataclasses.MISSING)
            for one in dataclasses.fields(cls)
        }
    attributes = cast("Iterable[Any]", getattr(cls, "__attrs_attrs__", ()))
    found: dict[str, object] = {str(one.name): _attrs_default(one.default) for one in attributes}
    if found:
        return found
    names, given = getattr(cls, "_fields", None), getattr(cls, "_field_defaults", None)
    if isinstance(value, tuple) and isinstance(names, tuple) and isinstance(given, dict):
        return dict.fromkeys(cast("tuple[str, ...]", names), NO_DEFAULT) | cast("dict[str, object]", given)
    return None


def is_default(value: object, default: object) -> bool | None:
    """Whether a value is the default; None where only code of the application could tell."""
    if default is NO_DEFAULT:
        return False
    if default is NOT_TOLD:
        return None
    return _equal(value, default, 0)


def _made(factory: object, missing: object) -> object:
    if factory is missing:
        return NO_DEFAULT
    for kind in _EMPTY:
        if factory == kind:
            return kind()
    return NOT_TOLD


def _attrs_default(default: object) -> object:
    kind = type(default).__name__
    if kind == "Factory":
        return _made(getattr(default, "factory", None), NO_DEFAULT)
    return NO_DEFAULT if kind == "_Nothing" else default


def _equal(left: object, right: object, depth: int) -> bool | None:
    if left is right or type(left) is not type(right):
        return left is right
    if type(left) in _PLAIN:
        return left == right
    return _equal_items(left, right, depth) if type(left) in _EMPTY and depth <= _MAX_DEPTH else None


def _equal_items(left: object, right: object, depth: int) -> bool | None:
    first, second = cast("list[object]", left), cast("list[object]", right)
    if len(first) != len(second) or len(first) > _MAX_ITEMS:
        return False if len(first) != len(second) else None
    if isinstance(left, list | tuple):
        return _all(_equal(one, other, depth + 1) for one, other in zip(first, second, strict=True))
    if not all(type(item) in _PLAIN for item in (*first, *second)):
        return None
    if isinstance(left, dict):
        one, other = cast("dict[object, object]", left), cast("dict[object, object]", right)
        same = one.keys() == other.keys()
        return same and _all(_equal(one[key], other[key], depth + 1) for key in one)
    return left == right


def _all(told: Iterable[bool | None]) -> bool | None:
    """Whether all are; not if one is not, and not known if one is not known."""
    found = list(told)
    return None if None in found and False not in found else all(found)
