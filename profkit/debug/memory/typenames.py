"""Names of types, modules and functions, read without running any code of theirs: metaclasses may have properties."""

from __future__ import annotations

from collections.abc import Callable
from types import FunctionType, ModuleType
from typing import Any, cast

from profkit.masking import Masker

MAX_NAME = 200
kind_of: Callable[[object], type] = type
"""The type of an object, whatever it says of itself."""

_TYPE: Any = type.__dict__
_QUALNAME, _MODULE = _TYPE["__qualname__"], _TYPE["__module__"]
_NAMESPACE = cast("Any", ModuleType).__dict__["__dict__"]
_FUNCTION_MODULE: Any = FunctionType.__dict__["__module__"]


def type_name(kind: type) -> str:
    """Return `module.qualname`, as it is; only the second part if the module is no text."""
    qualname, module = str.__str__(_QUALNAME.__get__(kind)), _MODULE.__get__(kind)
    return f"{module}.{qualname}" if type(module) is str else qualname


def shown_name(name: str, masker: Masker) -> str:
    """Return a name as it may be shown: masked, at most 200 characters."""
    shown = masker.mask_text(name)
    return shown if len(shown) <= MAX_NAME else shown[: MAX_NAME - 1] + "…"


def own_name(item: object) -> str | None:
    """Return what a module, class or function is called in its source; None for anything else."""
    kind = type(item)
    if issubclass(kind, type):
        return type_name(cast("type", item))
    name: object = None
    if issubclass(kind, ModuleType):
        name = cast("dict[str, object]", _NAMESPACE.__get__(item) or {}).get("__name__")
    elif kind is FunctionType:
        function = cast("FunctionType", item)
        module, qualname = _FUNCTION_MODULE.__get__(function), function.__code__.co_qualname
        name = f"{module}.{qualname}" if type(module) is str else qualname
    return name if type(name) is str else None
