"""What an object is made of: its named parts, its type's name, its printed form; runs no code it does not know."""

from __future__ import annotations

import dataclasses
import datetime as dt
import decimal
import fractions
import ipaddress
import types
import uuid
from collections.abc import Iterable, Mapping
from itertools import islice
from typing import cast

MAX_ITEMS = 1000
"""Items of one container that are shown."""

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
_ADDRESSES = {"URL", "_BaseUrl", "_BaseMultiHostUrl", "Url", "MultiHostUrl", "DatabaseURL"}
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

Part = tuple[object, object, bool]
"""Name, value, and whether its owner leaves it out of its own repr: then it is hidden."""


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


def is_address(cls: type) -> bool:
    """Whether a type is named as a URL's and comes from a library whose URLs print harmlessly."""
    if _ADDRESSES.isdisjoint(base.__name__ for base in cls.__mro__):
        return False
    return any(str(base.__module__).partition(".")[0] in _ADDRESS_MODULES for base in cls.__mro__[:-1])


def address(value: object) -> str:
    """Such a URL as text, with its password: to be masked."""
    render = getattr(value, "render_as_string", None)  # SQLAlchemy's URL
    return cast(str, render(hide_password=False)) if render is not None else str(value)
