"""Any value as a JSON-able copy without secrets: one walk over it, bounded, that runs no code it does not know."""

from __future__ import annotations

import dataclasses
import datetime as dt
import decimal
import enum
import fractions
import ipaddress
import math
import pathlib
import re
import types
import uuid
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from itertools import islice
from typing import cast

from profkit.masking.keys import Kind
from profkit.masking.text import MASK

MAX_DEPTH = 12
MAX_ITEMS = 1000
"""Items of one container that are shown."""
MAX_NODES = 20_000
"""Values of one walk that are shown."""
_MAX_BYTES = 4096

_PRINTED = (
    uuid.UUID,
    decimal.Decimal,
    fractions.Fraction,
    ipaddress.IPv4Address,
    ipaddress.IPv6Address,
    ipaddress.IPv4Network,
    ipaddress.IPv6Network,
    range,
    complex,
    dt.timezone,
    dt.datetime,
    dt.date,
    dt.time,
)
# Text types whose own `str` is harmless code but shows passwords: printed, then masked as text.
_ADDRESSES = ("URL", "_BaseUrl", "_BaseMultiHostUrl", "Url", "MultiHostUrl", "DatabaseURL")
_ADDRESS_MODULES = (
    "httpx",
    "httpx2",
    "starlette",
    "pydantic",
    "pydantic_core",
    "sqlalchemy",
    "yarl",
    "databases",
)
_SECRETS = ("SecretStr", "SecretBytes", "Secret", "_SecretBase")
_KEYED = {Kind.SECRET, Kind.HEADER, Kind.COUNT, Kind.PLACE, Kind.ADDRESS}


Part = tuple[object, object, bool]
"""Name, value, and whether its owner leaves it out of its own repr: then it is hidden."""


class Walk:
    """One walk: remembers the containers above the value it looks at, and how many values it may still show."""

    def __init__(
        self, text: Callable[[str, Kind], str], name: Callable[[str], str], kind: Callable[[str], Kind]
    ) -> None:
        self._text = text
        self._name = name
        self._kind = kind
        self._above: set[int] = set()
        self._left = MAX_NODES

    def value(self, value: object, kind: Kind) -> object:
        """A JSON-able copy of `value`, whose key is of `kind`."""
        self._left -= 1
        cls = type(value)
        if cls is str:
            return self._text(cast(str, value), kind)
        if value is None or cls is bool:
            return value
        if cls is int or cls is float:
            return self._number(cast("int | float", value), kind)
        try:
            if cls is dict:
                items = cast("dict[object, object]", value).items()
                pairs = ((key, part, False) for key, part in list(islice(items, MAX_ITEMS + 1)))
                return self._container(value, kind, lambda: self._mapping(pairs, kind))
            return self._other(value, kind)
        except Exception:  # noqa: BLE001 - the value's own code failed: say what it was, and go on
            return f"<unreadable {type_name(cls)}>"

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
        if not names.isdisjoint(_ADDRESSES) and _is_address(type(value)):
            return self._text(_address(value), kind)
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
        named = Kind.PLAIN
        for place, (key, value, hidden) in enumerate(pairs):
            if place >= MAX_ITEMS or self._left <= 0:
                shown["..."] = "<more>"
                break
            name, kind = self._key(key)
            if above in _KEYED and kind not in _KEYED:
                kind = above
            if name.lower() in ("name", "key") and isinstance(value, str):
                named = self._kind(value)  # {"name": "DB_PASSWORD", "value": ...}
            if name.lower() == "value" and named is not Kind.PLAIN:
                kind = named
            shown[_free(name, shown)] = MASK if hidden and value is not None else self.value(value, kind)
        return shown

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
        shown: list[object] = []
        for item in found[:MAX_ITEMS]:
            if self._left <= 0:
                break
            shown.append(self.value(item, kind))
        return shown if len(shown) == len(found) else [*shown, "<more>"]


def type_name(cls: type) -> str:
    """`module.QualName` of a type, without `builtins.`; nothing of the type's own code is run."""
    name = cast(str, type.__dict__["__qualname__"].__get__(cls))
    module = cast(object, type.__dict__["__module__"].__get__(cls))
    return f"{module}.{name}" if isinstance(module, str) and module != "builtins" else name


def describe(value: object) -> str:
    """A value without parts: printed if its type is known to print harmlessly, otherwise only what it is."""
    cls = type(value)
    if cls in _PRINTED:
        return str(value)
    if isinstance(value, dt.datetime):  # pandas' timestamps and their like
        return dt.datetime.isoformat(value)
    if isinstance(value, type):
        return f"<class {type_name(value)}>"
    if isinstance(value, types.FunctionType | types.BuiltinFunctionType):
        return f"<function {value.__module__}.{value.__qualname__}>"
    return f"<module {value.__name__}>" if isinstance(value, types.ModuleType) else f"<{type_name(cls)}>"


def named_parts(value: object) -> Iterable[Part] | None:
    """The parts of a mapping, dataclass, pydantic model, named tuple or namespace; `None` of anything else."""
    if isinstance(value, Mapping):
        mapping = cast("Mapping[object, object]", value)
        return ((key, mapping[key], False) for key in list(islice(mapping, MAX_ITEMS + 1)))
    cls = type(value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return ((f.name, getattr(value, f.name, None), not f.repr) for f in dataclasses.fields(value))
    if any(base.__name__ == "BaseModel" and base.__module__.startswith("pydantic") for base in cls.__mro__):
        return _model(value)
    if isinstance(value, types.SimpleNamespace) or type_name(cls) == "argparse.Namespace":
        return ((name, part, False) for name, part in list(vars(value).items()))
    return _named_tuple(value) or _attrs(value)


def _named_tuple(value: object) -> Iterable[Part] | None:
    names: object = getattr(type(value), "_fields", None)
    if not isinstance(value, tuple) or not isinstance(names, tuple):
        return None
    parts = cast("tuple[object, ...]", value)
    return [(name, part, False) for name, part in zip(cast("tuple[object, ...]", names), parts, strict=False)]


def _attrs(value: object) -> Iterable[Part] | None:
    fields = cast("Iterable[object]", getattr(type(value), "__attrs_attrs__", ()))
    names = [(str(getattr(f, "name", "")), bool(getattr(f, "repr", True))) for f in fields]
    return [(name, getattr(value, name, None), not shown) for name, shown in names] or None


def _model(value: object) -> Iterable[Part]:
    """A pydantic model's fields as they are, not as its own serializers would print them."""
    fields = cast("Mapping[str, object]", getattr(type(value), "model_fields", {}))
    extra = cast("Mapping[str, object] | None", getattr(value, "__pydantic_extra__", None))
    for name, part in [*vars(value).items(), *(extra or {}).items()]:
        yield name, part, not getattr(fields.get(name), "repr", True)


def _is_address(cls: type) -> bool:
    return any(str(base.__module__).partition(".")[0] in _ADDRESS_MODULES for base in cls.__mro__[:-1])


def _address(value: object) -> str:
    render = getattr(value, "render_as_string", None)  # SQLAlchemy's URL
    return cast(str, render(hide_password=False)) if render is not None else str(value)


def _free(name: str, taken: Mapping[str, object]) -> str:
    """`name`, or with a number if two keys look alike once masked."""
    if name not in taken:
        return name
    number = 2
    while f"{name} ({number})" in taken:
        number += 1
    return f"{name} ({number})"
