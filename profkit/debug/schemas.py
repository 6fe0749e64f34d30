"""JSON Schema (2020-12) of what the routes answer with, made of its types: `TypedDict`s and what can be in them."""

from __future__ import annotations

import enum
import inspect
import types
from collections.abc import Mapping
from typing import (
    Annotated,
    Any,
    Literal,
    NotRequired,
    TypeAlias,
    Union,
    cast,
    get_args,
    get_origin,
    get_type_hints,
    is_typeddict,
)

Schema: TypeAlias = dict[str, object]
REFERENCE = "#/components/schemas/"
_PLAIN: Mapping[object, str] = {
    str: "string",
    int: "integer",
    float: "number",
    bool: "boolean",
    type(None): "null",
}


class Schemas:
    """Makes schemas of types. Each `TypedDict` is in `named` once, and is referred to by its name."""

    def __init__(self) -> None:
        self.named: dict[str, Schema] = {}
        self._kinds: dict[str, object] = {}

    def of(self, kind: object) -> Schema:
        """Return the schema of a type; raise `TypeError` for one that no report may hold.

        `Annotated[str, Enum]` is one of the enumeration's values, a text in `Annotated` is a description.
        """
        if kind in _PLAIN:
            return {"type": _PLAIN[kind]}
        if kind is object or kind is Any:
            return {}
        if is_typeddict(kind):
            return self._reference(cast("type", kind))
        if get_origin(kind) is Annotated:
            return self._annotated(kind)
        return self._composed(kind, get_origin(kind), get_args(kind))

    def fields(self, kind: type, more: Mapping[str, object] | None = None) -> Schema:
        """Return the schema of a `TypedDict` itself, not a reference to it; `more` are further keys and their types."""
        hints: dict[str, object] = {**(more or {}), **get_type_hints(kind, include_extras=True)}
        optional = {name for name, hint in hints.items() if get_origin(hint) is NotRequired}
        properties = {
            name: self.of(get_args(hint)[0] if name in optional else hint) for name, hint in hints.items()
        }
        found: Schema = {"type": "object", "properties": properties}
        found["required"] = [name for name in properties if name not in optional]
        description = inspect.cleandoc(kind.__doc__ or "")
        return {"description": description, **found} if description else found

    def _composed(self, kind: object, origin: object, arguments: tuple[object, ...]) -> Schema:
        if origin is Literal:
            return _one_of(list(arguments))
        if origin is Union or origin is types.UnionType:
            return _any_of([self.of(one) for one in arguments])
        if origin is list:
            return {"type": "array", "items": self.of(arguments[0])}
        if origin is dict and arguments[0] is str:
            return {"type": "object", "additionalProperties": self.of(arguments[1])}
        raise TypeError(f"{kind!r} has no JSON Schema here")

    def _reference(self, kind: type) -> Schema:
        name = kind.__name__.lstrip("_")
        if self._kinds.setdefault(name, kind) is not kind:
            raise TypeError(f"two types are named {name}")
        if name not in self.named:
            self.named[name] = {}  # so that it may be in itself
            self.named[name] = self.fields(kind)
        return {"$ref": REFERENCE + name}

    def _annotated(self, kind: object) -> Schema:
        base, *notes = get_args(kind)
        found = self.of(base)
        for note in notes:
            if isinstance(note, str):
                found = {**found, "description": note}
            elif isinstance(note, type) and issubclass(note, enum.Enum):
                found = {**found, "enum": [one.value for one in note]}
        return found


def _any_of(schemas: list[Schema]) -> Schema:
    names = [one["type"] for one in schemas if one.keys() == {"type"}]
    return {"type": names} if len(names) == len(schemas) else {"anyOf": schemas}


def _one_of(values: list[object]) -> Schema:
    kinds = {_PLAIN[type(value)] for value in values}
    found: Schema = {"const": values[0]} if len(values) == 1 else {"enum": values}
    return {"type": kinds.pop(), **found} if len(kinds) == 1 else found
