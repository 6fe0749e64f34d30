"""What this process runs with: settings, Python, distributions, command line, environment; all masked."""

from __future__ import annotations

import functools
import importlib.metadata
import os
import platform
import sys
import time
import types
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import cast

import psutil

from profkit.masking import Masker
from profkit.masking.arguments import hide_arguments
from profkit.masking.parts import named_parts

MAX_ARGUMENTS = 200
MAX_DISTRIBUTIONS = 2000
_FUNCTIONS = (
    types.FunctionType,
    types.MethodType,
    types.BuiltinFunctionType,
    functools.partial,
    type(functools.cache(lambda: None)),  # what a cached `get_settings` is
)


def configuration_report(
    config: object, *, settings: object, masker: Masker, environment: bool = False
) -> dict[str, object]:
    """`{"profkit", "application", "python", "process", "distributions", "environment"}`, all masked. Never raises.

    `settings` are profkit's; `config` is the application's: a dataclass, pydantic model, mapping, module, class or
    plain object (its attributes without a leading underscore), or a function without parameters that returns one.
    A function that raises is shown as `{"error": "KeyError: ..."}`. `environment` is `None` unless asked for.
    """
    return {
        "profkit": masker.mask(settings),
        "application": _application(config, masker),
        "python": _python(masker),
        "process": _process(masker),
        "distributions": dict(distributions()),
        "environment": masker.mask(dict(os.environ)) if environment else None,
    }


@functools.cache
def distributions() -> Mapping[str, str]:
    """The installed distributions' names and versions, in order; read once a process (about 1 ms for each)."""
    found: dict[str, str] = {}
    for one in importlib.metadata.distributions():
        try:
            name, version = one.name, one.version
        except (KeyError, OSError, ValueError):  # a broken installation
            continue
        if isinstance(cast("object", name), str) and len(found) < MAX_DISTRIBUTIONS:
            found.setdefault(name, str(version))  # the first on sys.path is the one that is imported
    return types.MappingProxyType(dict(sorted(found.items(), key=lambda item: item[0].lower())))


def mask_arguments(arguments: list[str], masker: Masker) -> list[str]:
    """A command line without secrets: `--token=x`, `--token x`, `mysql -px`, `TOKEN=x`; at most 200 arguments."""
    looked_at = arguments[:MAX_ARGUMENTS]
    hidden = hide_arguments(looked_at, masker.is_secret)
    shown = [hidden[at] if at in hidden else masker.mask_text(one) for at, one in enumerate(looked_at)]
    left = len(arguments) - len(shown)
    return [*shown, f"... ({left} more)"] if left else shown


def _application(config: object, masker: Masker) -> object:
    try:
        if isinstance(config, _FUNCTIONS):
            config = cast("Callable[[], object]", config)()
            if isinstance(config, types.CoroutineType):
                config.close()
                return {"error": "the function is asynchronous; give one that is not"}
        attributes = None if _has_parts(config) else _attributes(config)
    except Exception as error:  # noqa: BLE001 - the application's own code; the rest of the report stands
        return {"error": masker.mask_error(error)}
    return masker.mask(config if attributes is None else attributes)


def _has_parts(config: object) -> bool:
    """Whether the masker shows `config`'s parts by itself."""
    if named_parts(config) is not None:
        return True
    return config is None or isinstance(config, str | bytes | int | float | list | tuple | set | frozenset)


def _attributes(config: object) -> dict[str, object] | None:
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
    data = {name: part for name, part in found.items() if not name.startswith("_") and not _is_code(part)}
    return data or None


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


def _python(masker: Masker) -> dict[str, object]:
    return {
        "version": platform.python_version(),
        "implementation": platform.python_implementation(),
        "platform": masker.mask_text(platform.platform()),
        "gil": bool(getattr(sys, "_is_gil_enabled", lambda: True)()),
    }


def _process(masker: Masker) -> dict[str, object]:
    """`pid`, `uptime` in seconds and `command_line` (`None` where the system refuses), `cpu_count`."""
    process = psutil.Process()
    try:
        uptime: float | None = round(max(0.0, time.time() - process.create_time()), 3)
        arguments: list[str] | None = process.cmdline()
    except (psutil.Error, OSError):
        uptime, arguments = None, [_executable(), *sys.argv]
    return {
        "pid": os.getpid(),
        "uptime": uptime,
        "command_line": mask_arguments(arguments or [], masker),
        "cpu_count": os.cpu_count(),
    }


def _executable() -> str:
    """The interpreter's file name."""
    return Path(sys.executable or "python").name
