"""The data that a plain object, class or module holds, as a mapping."""

from __future__ import annotations

import functools
import types
from collections.abc import Mapping

from profkit.masking.parts import named_parts


def with_parts(config: object) -> object:
    """`config` itself if the masker shows its parts, else its attributes by name; itself, too, if it has none."""
    try:
        shown = named_parts(config) is not None or _is_plain(config)
    except Exception:  # noqa: BLE001 - the application's own mapping cannot be read: the masker says so
        return config
    return config if shown else _attributes(config) or config


def _is_plain(config: object) -> bool:
    return config is None or isinstance(config, str | bytes | int | float | list | tuple | set | frozenset)


def _attributes(config: object) -> Mapping[str, object]:
    """The data a plain object, class or module holds, what it inherits first; no property is computed."""
    if isinstance(config, types.ModuleType):
        return {
            name: part for name, part in vars(config).items() if name.isupper() and not name.startswith("_")
        }
    cls = config if isinstance(config, type) else type(config)
    found: dict[str, object] = {}
    for base in reversed(cls.__mro__[:-1]):
        found.update(vars(base))
        found.update({name: getattr(config, name, None) for name in _slots(base)})
    if not isinstance(config, type):
        found.update(getattr(config, "__dict__", {}))
    return {name: part for name, part in found.items() if not name.startswith("_") and not _is_code(part)}


def _slots(cls: type) -> list[str]:
    return [name for name, part in vars(cls).items() if isinstance(part, types.MemberDescriptorType)]


def _is_code(part: object) -> bool:
    code = (
        types.FunctionType,
        property,
        classmethod,
        staticmethod,
        functools.cached_property,
        types.GetSetDescriptorType,
    )
    return isinstance(part, (*code, types.MemberDescriptorType, type))
