"""Whether a setting's value is the one that a text (of a variable, a file) stands for."""

from __future__ import annotations

import datetime as dt
import decimal
import enum
import pathlib
import uuid
from collections.abc import Callable, Iterable, Mapping
from itertools import islice
from typing import cast

import orjson

from profkit.masking.parts import address, is_address

_SWITCHES = {
    **dict.fromkeys(("1", "true", "t", "yes", "y", "on"), True),
    **dict.fromkeys(("0", "false", "f", "no", "n", "off"), False),
}
_LISTS = (list, tuple, set, frozenset)
_MAX_TEXT = 65_536
_MAX_DEPTH = 12
_MAX_ITEMS = 200


def is_like(value: object, held: object, depth: int = 0) -> bool:
    """Whether `value` is what `held` says: a text, or what JSON holds. Never raises; in doubt, not.

    No code of a type that is not known is run, so that a value of such a type is like nothing.
    """
    if depth > _MAX_DEPTH:
        return False
    try:
        value = _bare(value)
        if isinstance(held, str):
            return len(held) <= _MAX_TEXT and _is_text(value, held, depth)
        if isinstance(held, list):
            return _is_list(value, cast("list[object]", held), depth)
        if isinstance(held, dict):
            return _is_mapping(value, cast("dict[object, object]", held), depth)
        return value is held or (type(value) in (int, float) and type(held) in (int, float) and value == held)
    except (ValueError, ArithmeticError, TypeError):
        return False


def _bare(value: object) -> object:
    """An enum's value, what pydantic's SecretStr holds; anything else as it is."""
    if isinstance(value, enum.Enum):
        return cast("object", value.value)
    cls = type(value)
    if cls.__name__ in ("SecretStr", "SecretBytes") and cls.__module__.startswith("pydantic"):
        return cast("object", getattr(value, "_secret_value", None))
    return value


def _is_text(value: object, held: str, depth: int) -> bool:
    if isinstance(value, str):
        return str.__str__(value) == held
    if isinstance(value, (*_LISTS, Mapping)):
        return is_like(cast("object", value), orjson.loads(held), depth + 1)
    if is_address(type(value)):
        return address(value).rstrip("/") == held.rstrip("/")
    if isinstance(value, pathlib.PurePath):
        return pathlib.PurePath.__str__(value) == str(pathlib.PurePath(held))
    parse = _PARSERS.get(type(value))
    return parse is not None and value == parse(held)


def _switch(held: str) -> bool | None:
    return _SWITCHES.get(held.strip().lower())


def _seconds(held: str) -> dt.timedelta:
    return dt.timedelta(seconds=float(held))


_PARSERS: Mapping[type, Callable[[str], object]] = {
    bool: _switch,
    int: float,
    float: float,
    bytes: str.encode,
    uuid.UUID: uuid.UUID,
    decimal.Decimal: decimal.Decimal,
    dt.timedelta: _seconds,
    dt.datetime: dt.datetime.fromisoformat,
    dt.date: dt.date.fromisoformat,
    dt.time: dt.time.fromisoformat,
    type(None): lambda held: None if held.lower() in ("null", "none") else held,
}


def _is_list(value: object, held: list[object], depth: int) -> bool:
    if not isinstance(value, _LISTS):
        return False
    items = list(islice(cast("Iterable[object]", value), _MAX_ITEMS + 1))
    if len(items) > _MAX_ITEMS:
        return False
    if isinstance(value, list | tuple):
        return len(items) == len(held) and all(
            map(lambda one, text: is_like(one, text, depth + 1), items, held)
        )
    return all(any(is_like(one, text, depth + 1) for text in held) for one in items) and all(
        any(is_like(one, text, depth + 1) for one in items) for text in held
    )


def _is_mapping(value: object, held: dict[object, object], depth: int) -> bool:
    if type(value) is not dict:
        return False
    items = cast("dict[object, object]", value)
    return items.keys() == held.keys() and all(is_like(items[key], held[key], depth + 1) for key in items)
