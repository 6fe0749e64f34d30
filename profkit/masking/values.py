"""Any value as a JSON-able copy without secrets: one walk over it, bounded, that runs no code it does not know."""

from __future__ import annotations

import datetime as dt
import enum
import math
import pathlib
import re
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from itertools import islice
from typing import cast

from profkit.masking.arguments import hide_arguments
from profkit.masking.keys import Kind
from profkit.masking.parts import (
    MAX_ITEMS,
    Part,
    address,
    describe,
    is_address,
    named_parts,
    type_name,
)
from profkit.masking.shapes import MASK

__all__ = ["MAX_CHARACTERS", "MAX_DEPTH", "MAX_ITEMS", "MAX_NODES", "Walk", "named_parts", "type_name"]

MAX_DEPTH = 12
MAX_NODES = 20_000
"""Values of one walk that are shown."""
MAX_CHARACTERS = 1_000_000
"""Characters of one walk's longer texts that are looked at, about a third of a second; of others, how many they are."""
_SHORT = 64  # not counted: there are at most `MAX_NODES` of them
_LOOKED_AT = 65_536
_MAX_BYTES = 4096

_SECRETS = ("SecretStr", "SecretBytes", "Secret", "_SecretBase")
_VALUE_NAMES = tuple(
    spell(word)
    for word in ("value", "values", "val", "default", "content", "contents", "data")
    for spell in (str.lower, str.capitalize, str.upper)
)
_KEYED = {Kind.SECRET, Kind.HEADER, Kind.COUNT, Kind.PLACE, Kind.ADDRESS}


class Walk:
    """One walk: remembers the containers above the value it looks at, and how many values it may still show."""

    def __init__(
        self, text: Callable[[str, Kind], str], name: Callable[[str], str], kind: Callable[[str], Kind]
    ) -> None:
        self._mask_text = text
        self._mask_name = name
        self._kind = kind
        self._above: set[int] = set()
        self._left = MAX_NODES
        self._characters = MAX_CHARACTERS

    def value(self, value: object, kind: Kind) -> object:
        """A JSON-able copy of `value`, whose key is of `kind`."""
        self._left -= 1
        cls = type(value)
        if type(value) is str:
            return self._mask_text(value, kind) if len(value) <= _SHORT else self._text(value, kind)
        if value is None or cls is bool:
            return value
        if cls is int or cls is float:
            return self._number(cast("int | float", value), kind)
        try:
            if cls is dict:
                items = cast("dict[object, object]", value).items()
                pairs = [(key, part, False) for key, part in list(islice(items, MAX_ITEMS + 1))]
                return self._container(value, kind, lambda: self._mapping(pairs, kind))
            return self._other(value, kind)
        except Exception:  # noqa: BLE001 - the value's own code failed: say what it was, and go on
            return f"<unreadable {type_name(cls)}>"

    def _text(self, text: str, kind: Kind) -> str:
        size = len(text)
        if size > _SHORT and not self._afford(size):
            return f"<text of {size} characters>"
        return self._mask_text(text, kind)

    def _name(self, text: str) -> str:
        size = len(text)
        return (
            self._mask_name(text) if size <= _SHORT or self._afford(size) else f"<text of {size} characters>"
        )

    def _afford(self, size: int) -> bool:
        self._characters -= min(size, _LOOKED_AT)
        return self._characters >= 0

    def _number(self, value: float, kind: Kind) -> object:
        if kind is Kind.SECRET or kind is Kind.HEADER or kind is Kind.PLACE or kind is Kind.ADDRESS:
            return MASK
        if isinstance(value, int):
            bits = value.bit_length()
            return value if bits < 64 else str(value) if bits < 4096 else f"<integer of {bits} bits>"
        return value if math.isfinite(value) else str(value)  # JSON has no nan and no infinity

    def _other(self, value: object, kind: Kind) -> object:
        """Subclasses, containers and objects; known ones through the base type's own methods only."""
        if isinstance(value, str):
            return self._text(str.__str__(value), kind)
        if isinstance(value, enum.Enum):
            return self.value(cast("object", value.value), kind)
        if isinstance(value, int):
            return self._number(int.__index__(value), kind)
        if isinstance(value, float):
            return self._number(float.__float__(value), kind)
        return self._object(value, kind)

    def _object(self, value: object, kind: Kind) -> object:
        names = {base.__name__ for base in type(value).__mro__}
        if not names.isdisjoint(_SECRETS):
            return MASK
        if is_address(type(value)):
            return self._text(address(value), kind)
        pairs = named_parts(value)
        if pairs is not None:
            return self._container(value, kind, lambda: self._mapping(pairs, kind))
        if isinstance(value, list | tuple | set | frozenset | deque):
            items = cast("Iterable[object]", value)
            return self._container(items, kind, lambda: self._items(items, kind))
        return self._leaf(value, kind)

    def _leaf(self, value: object, kind: Kind) -> object:
        if isinstance(value, bytes | bytearray | memoryview):
            return self._bytes(bytes(cast("bytes", value)), kind)
        if isinstance(value, pathlib.PurePath):
            return self._text(pathlib.PurePath.__str__(value), kind)
        if kind in _KEYED:
            return MASK
        if isinstance(value, dt.timedelta):
            return value.total_seconds()
        if isinstance(value, re.Pattern):
            return self._text(str(cast("re.Pattern[str]", value).pattern), kind)
        return self._text(describe(value), Kind.HASH)

    def _bytes(self, value: bytes, kind: Kind) -> str:
        if len(value) == 0:
            return ""
        if len(value) <= _MAX_BYTES:
            try:
                text = value.decode("utf-8")
            except UnicodeDecodeError:
                pass
            else:
                if text.isprintable():
                    return self._text(text, kind)
        return MASK if kind in _KEYED else f"<{len(value)} bytes>"

    def _container(self, value: object, kind: Kind, show: Callable[[], object]) -> object:
        if kind is Kind.SECRET or kind is Kind.HEADER:
            return MASK if type(value) not in (dict, list, tuple, set) or value else show()
        if id(value) in self._above:
            return "<cycle>"
        if len(self._above) >= MAX_DEPTH:
            return "<deeper>"
        self._above.add(id(value))
        try:
            return show()
        finally:
            self._above.discard(id(value))

    def _mapping(self, pairs: Iterable[Part], above: Kind) -> dict[str, object]:
        """Named parts; under a secret's name (`tokens`) a harmless name changes nothing."""
        shown: dict[str, object] = {}
        parts = pairs if isinstance(pairs, list) else list(islice(pairs, MAX_ITEMS + 1))
        for place, (key, value, hidden) in enumerate(parts):
            if place >= MAX_ITEMS or self._left <= 0:
                shown["..."] = "<more>"
                break
            name, kind = self._key(key)
            if kind not in _KEYED and name.endswith(_VALUE_NAMES):
                named = self._named(parts)
                kind = named if named is not Kind.PLAIN else kind
            if above in _KEYED and kind not in _KEYED:
                kind = above
            shown[_free(name, shown)] = MASK if hidden and value is not None else self.value(value, kind)
        return shown

    def _named(self, parts: list[Part]) -> Kind:
        """Of `{"value": ..., "name": "DB_PASSWORD"}`, what that name says."""
        found = Kind.PLAIN
        for key, value, _ in parts:
            if (
                isinstance(key, str)
                and isinstance(value, str | bytes)
                and key.lower().endswith(("name", "key"))
            ):
                kind = self._kind(value if isinstance(value, str) else value.decode("utf-8", "replace"))
                if kind in _KEYED:
                    return kind
                found = kind if kind is Kind.HASH else found
        return found

    def _key(self, key: object) -> tuple[str, Kind]:
        if isinstance(key, str):
            text = str.__str__(key)
            return self._name(text), self._kind(text)
        if isinstance(key, bytes):
            text = key.decode("utf-8", "backslashreplace")
            return self._name(text), self._kind(text)
        shown = self.value(key, Kind.PLAIN)
        text = shown if isinstance(shown, str) else f"<{type_name(type(key))}>"
        if shown is None or isinstance(shown, bool | int | float):
            text = str(shown)
        return text, self._kind(text)

    def _items(self, items: Iterable[object], kind: Kind) -> list[object]:
        """A sequence's items; a pair whose first is a secret's name (headers) loses its second."""
        found = list(islice(items, MAX_ITEMS + 1))
        if len(found) == 2 and isinstance(found[0], str | bytes):
            name, named = self._key(found[0])
            if named is not Kind.PLAIN and named is not Kind.HASH:
                return [name, self.value(found[1], named)]
        hidden: dict[int, str] = {}
        if any(isinstance(item, str) and item[:1] == "-" for item in found):  # perhaps a command line
            hidden = hide_arguments(found, lambda name: self._kind(name) in (Kind.SECRET, Kind.HEADER))
        shown: list[object] = []
        for place, item in enumerate(found[:MAX_ITEMS]):
            if self._left <= 0:
                break
            shown.append(hidden[place] if place in hidden else self.value(item, kind))
        return shown if len(shown) == len(found) else [*shown, "<more>"]


def _free(name: str, taken: Mapping[str, object]) -> str:
    """`name`, or with a number if two keys look alike once masked."""
    if name not in taken:
        return name
    number = 2
    while f"{name} ({number})" in taken:
        number += 1
    return f"{name} ({number})"
