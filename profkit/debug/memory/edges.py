"""By which attribute one object holds another, read without running any code of theirs."""

from __future__ import annotations

import gc
from collections.abc import Iterator, Mapping
from types import GetSetDescriptorType, MemberDescriptorType, ModuleType
from typing import Any, cast

from profkit.masking import Masker

_MAX_KEY = 60
_MAX_LOOKED_AT = 100_000
_TYPE: Any = type.__dict__
_MRO, _TYPE_NAMESPACE = _TYPE["__mro__"], _TYPE["__dict__"]
_MODULE_NAMESPACE = cast("Any", ModuleType).__dict__["__dict__"]


def namespace(holder: object) -> dict[str, object] | None:
    """Return the dict in which a module, a class or an instance keeps its attributes; None if it has none."""
    kind = type(holder)
    found: object
    if issubclass(kind, type):
        found = next(iter(gc.get_referents(_TYPE_NAMESPACE.__get__(holder))), None)
    elif issubclass(kind, ModuleType):
        found = _MODULE_NAMESPACE.__get__(holder)
    else:
        getter = next(_descriptors(kind, GetSetDescriptorType, "__dict__"), None)
        found = _read(getter, holder)
    return cast("dict[str, object]", found) if type(found) is dict else None


def attribute(holder: object, held: object, masker: Masker) -> str | None:
    """Return the name of the attribute of `holder` that is `held`, if there is one that may be shown.

    A name may be shown if it is an identifier, not too long, and masking finds nothing in it. Keys of other dicts are
    data, and never shown.
    """
    try:
        for name, value in _attributes(holder):
            if value is held:
                return shown_key(name, masker)
    except RuntimeError:  # another thread has added or removed one
        pass
    return None


def _attributes(holder: object) -> Iterator[tuple[object, object]]:
    found = namespace(holder)
    if found is not None and len(found) <= _MAX_LOOKED_AT:
        yield from dict[str, object].items(found)
    kind = type(holder)
    if not issubclass(kind, type):
        for base in _MRO.__get__(kind):
            for name, one in _TYPE_NAMESPACE.__get__(base).items():
                if type(one) is MemberDescriptorType:
                    yield name, _read(one, holder)


def _descriptors(kind: type, of: type, name: str) -> Iterator[object]:
    for base in _MRO.__get__(kind):
        own: Mapping[str, object] = _TYPE_NAMESPACE.__get__(base)
        if type(found := own.get(name)) is of:
            yield found


def _read(descriptor: object, holder: object) -> object:
    """Read a slot or the dict of an instance; both are Python's own code."""
    if descriptor is None:
        return None
    try:
        return cast("Any", descriptor).__get__(holder)
    except (AttributeError, TypeError):  # not set
        return None


def shown_key(name: object, masker: Masker) -> str | None:
    """Return the name of an attribute or variable if it may be shown."""
    if type(name) is not str or len(name) > _MAX_KEY or not name.isidentifier():
        return None
    return name if masker.mask_text(name) == name else None
