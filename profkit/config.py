"""Settings: what can be set, where it comes from, and what is allowed."""

from __future__ import annotations

import dataclasses
import difflib
import logging
import math
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from profkit_storage import ConfigurationError, Profile, ProfileStorage

logger = logging.getLogger("profkit")
ENVIRONMENT_PREFIX = "PROFKIT_"
_OTHER_VARIABLES = {"PROFKIT_DEBUG_TOKENS"}
"""Variables that are read elsewhere."""


@dataclass(frozen=True, slots=True)
class _Kind:
    """How a setting is read from text and what of it is allowed."""

    allowed: str
    parse: Callable[[str], object]
    accepts: Callable[[object], bool]


def _parse_switch(text: str) -> bool:
    switches = {"1": True, "true": True, "yes": True, "on": True}
    switches |= {"0": False, "false": False, "no": False, "off": False}
    return switches[text.strip().lower()]


def _is_number(value: object) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _number(low: float, high: float, unit: str) -> _Kind:
    def accepts(value: object) -> bool:
        return _is_number(value) and low <= cast("float", value) <= high

    return _Kind(f"a number of {unit} from {low:g} to {high:g}", float, accepts)


def _count(low: int, high: int) -> _Kind:
    def accepts(value: object) -> bool:
        return isinstance(value, int) and not isinstance(value, bool) and low <= value <= high

    return _Kind(f"a whole number from {low} to {high}", int, accepts)


_TEXT = _Kind("text", str, lambda value: isinstance(value, str))
_SWITCH = _Kind("1, true, yes, on, 0, false, no or off", _parse_switch, lambda value: isinstance(value, bool))
_STORAGE = _Kind(
    "a path, an address such as file:///var/lib/profkit, or a ProfileStorage",
    str,
    lambda value: value is None or isinstance(value, (str, os.PathLike, ProfileStorage)),
)
_CALLBACK = _Kind("a callable taking a Profile", str, lambda value: value is None or callable(value))
"""Not from the environment: text is never a callable, so `_CALLBACK` refuses whatever it parses."""


def _setting(default: object, kind: _Kind, purpose: str) -> Any:  # noqa: ANN401 - as dataclasses.field itself
    return dataclasses.field(default=default, metadata={"kind": kind, "help": purpose})


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Every setting of profkit. Each has a `PROFKIT_*` variable of the same name in capitals.

    Raises:
        ConfigurationError: a value that is not allowed; names the setting, the value and what is allowed.
    """

    storage: str | os.PathLike[str] | ProfileStorage | None = _setting(  # noqa: RUF009 - makes a field
        None, _STORAGE, "where profiles go; without it nothing is sampled or written"
    )
    service: str = _setting("", _TEXT, "the service's name; the main module's if empty")
    version: str = _setting("", _TEXT, "the deployed version of the service")
    enabled: bool = _setting(default=True, kind=_SWITCH, purpose="whether operations are watched at all")
    threshold: float = _setting(
        1.0, _number(0.0, 86_400.0, "seconds"), "operations this long leave a profile"
    )
    interval: float = _setting(
        0.01, _number(0.001, 1.0, "seconds"), "time between two looks at what is running"
    )
    max_samples: int = _setting(
        6_000, _count(100, 100_000), "samples kept of one operation; then resolution halves"
    )
    max_children: int = _setting(
        1_000, _count(0, 10_000), "child operations kept of one operation; the rest are counted"
    )
    queue_size: int = _setting(
        100, _count(1, 1_000_000), "finished slow operations that may wait to be stored"
    )
    shutdown_timeout: float = _setting(
        5.0, _number(0.0, 3_600.0, "seconds"), "how long the exit may wait for what is queued"
    )
    on_profile: Callable[[Profile], object] | None = _setting(  # noqa: RUF009 - makes a field
        None, _CALLBACK, "called in the background with each profile (not a variable)"
    )

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            kind = cast("_Kind", field.metadata["kind"])
            if not kind.accepts(value) or (isinstance(value, float) and not math.isfinite(value)):
                raise ConfigurationError(f"{field.name}={value!r} is not allowed: give {kind.allowed}")
        if not self.service:
            object.__setattr__(self, "service", _main_module_name())

    @classmethod
    def from_env(cls, environ: Mapping[str, str] | None = None, **arguments: object) -> Settings:
        """Build settings from arguments first, `PROFKIT_*` variables second, defaults last.

        Raises:
            ConfigurationError: an unknown argument, or a value that is not allowed; names the variable or argument.
        """
        environ = os.environ if environ is None else environ
        fields = {field.name: field for field in dataclasses.fields(cls)}
        for name in arguments:
            if name not in fields:
                raise ConfigurationError(f"{name!r} is not a setting: give any of {', '.join(fields)}")
        _warn_of_unknown(environ, {variable_name(name) for name in fields})
        values = dict(arguments)
        for name, field in fields.items():
            text = environ.get(variable_name(name))
            if text and name not in values:  # an empty one is as good as none: compose files make them
                values[name] = _from_text(variable_name(name), text, cast("_Kind", field.metadata["kind"]))
        return cls(**values)  # type: ignore[arg-type]  # __post_init__ checks each value against its kind


def _warn_of_unknown(environ: Mapping[str, str], known: set[str]) -> None:
    for variable in environ:
        if variable.startswith(ENVIRONMENT_PREFIX) and variable not in known | _OTHER_VARIABLES:
            close = difflib.get_close_matches(variable, known, 1)
            hint = f": did you mean {close[0]}?" if close else ""
            logger.warning("profkit: %s is no setting%s", variable, hint)


def variable_name(setting: str) -> str:
    """Return the environment variable of a setting: `threshold` is `PROFKIT_THRESHOLD`."""
    return ENVIRONMENT_PREFIX + setting.upper()


def check_threshold(threshold: float | None) -> None:
    """Raise `ConfigurationError` unless `threshold` is None or a number of seconds that is not negative."""
    if threshold is not None and not (_is_number(threshold) and 0.0 <= threshold < float("inf")):
        raise ConfigurationError(
            f"threshold={threshold!r} is not allowed: give a number of seconds, 0 or more"
        )


def _from_text(variable: str, text: str, kind: _Kind) -> object:
    try:
        value = kind.parse(text)
    except (ValueError, KeyError):
        value = None
    if value is None or not kind.accepts(value):
        raise ConfigurationError(f"{variable}={text!r} is not allowed: give {kind.allowed}")
    return value


def _main_module_name() -> str:
    """Return the name of what was started: the package of `python -m`, else the script's file name."""
    main = sys.modules.get("__main__")
    spec = getattr(main, "__spec__", None)
    if spec is not None and spec.name:
        return str(spec.name).removesuffix(".__main__")
    file = getattr(main, "__file__", None)
    if not file:
        return "python"
    path = Path(str(file))
    return path.parent.name if path.stem == "__main__" else path.stem
