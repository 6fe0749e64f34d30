"""Settings: what can be set, where it comes from, and what is allowed."""

from __future__ import annotations

import dataclasses
import difflib
import logging
import os
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from profkit.setting_kinds import (
    CALLBACK,
    MAX_SECONDS,
    PATH,
    STORAGE,
    SWITCH,
    TEXT,
    THRESHOLDS,
    Kind,
    count,
    is_seconds,
    number,
)
from profkit.setting_sources import ARGUMENT, DEFAULT, LIVE, SettingSource, Sourced
from profkit_storage import ConfigurationError, Profile, ProfileStorage

logger = logging.getLogger("profkit")
ENVIRONMENT_PREFIX = "PROFKIT_"
_OTHER_VARIABLES = {"PROFKIT_DEBUG_TOKENS", "PROFKIT_DEBUG_TOKENS_FILE", "PROFKIT_REVISION"}
"""Variables that are read elsewhere."""


def _setting(default: object, kind: Kind, purpose: str) -> Any:  # noqa: ANN401 - as dataclasses.field itself
    metadata = {"kind": kind, "help": purpose}
    if isinstance(default, dict):  # no two settings share one, and it has no hash
        return dataclasses.field(default_factory=dict[str, float], hash=False, metadata=metadata)
    return dataclasses.field(default=default, metadata=metadata)


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings(Sourced):
    """Every setting of profkit. Each has a `PROFKIT_*` variable of the same name in capitals.

    Raises:
        ConfigurationError: a value that is not allowed; names the setting, the value and what is allowed.
    """

    storage: str | os.PathLike[str] | ProfileStorage | None = _setting(  # noqa: RUF009 - makes a field
        None, STORAGE, "where profiles go; without it nothing is sampled or written"
    )
    service: str = _setting("", TEXT, "the service's name; the main module's if empty")
    version: str = _setting("", TEXT, "the deployed version of the service")
    enabled: bool = _setting(default=True, kind=SWITCH, purpose="whether operations are watched at all")
    threshold: float = _setting(
        1.0, number(0.0, MAX_SECONDS, "seconds"), "operations this long leave a profile"
    )
    thresholds: Mapping[str, float] = _setting(
        {}, THRESHOLDS, "thresholds of single operations and of categories: `db=0.2,POST /agent=3`"
    )
    keep_errors: bool = _setting(
        default=False, kind=SWITCH, purpose="whether operations that fail leave a profile too"
    )
    control_rate: float = _setting(
        0.0, number(0.0, 1.0), "share of the other operations that leave one, to compare with"
    )
    max_profiles_per_operation: int = _setting(
        6, count(0, 1_000_000), "profiles of one operation kept in a minute; 0: no limit"
    )
    max_profiles: int = _setting(60, count(0, 1_000_000), "profiles kept in a minute; 0: no limit")
    stall_after: float = _setting(
        30.0, number(0.0, MAX_SECONDS, "seconds"), "operations still running then leave one at once; 0: never"
    )
    interval: float = _setting(
        0.01, number(0.001, 1.0, "seconds"), "time between two looks at what is running"
    )
    max_overhead: float = _setting(
        0.01, number(0.0005, 1.0, "one core"), "share of one core that looking may cost, over a minute"
    )
    switch_interval: float = _setting(
        0.0002,
        number(0.0001, 0.005, "seconds", or_zero=True),
        "the interpreter's, while operations are in flight; 0: left as it is",
    )
    max_samples: int = _setting(
        6_000, count(100, 100_000), "samples kept of one operation; then resolution halves"
    )
    max_children: int = _setting(
        1_000, count(0, 10_000), "child operations kept of one operation; the rest are counted"
    )
    queue_size: int = _setting(100, count(1, 1_000_000), "finished operations that may wait to be stored")
    queue_bytes: int = _setting(
        64_000_000, count(1_000_000, 100_000_000_000), "memory that they may take, by an estimate"
    )
    rollup_interval: float = _setting(
        60.0, number(0.0, MAX_SECONDS, "seconds"), "time between two rollups of all operations; 0: none"
    )
    retain_age: float = _setting(
        30 * 86_400.0,
        number(0.0, 3_660 * 86_400.0, "seconds"),
        "how long a local store keeps profiles and rollups; 0: for ever",
    )
    retain_bytes: int = _setting(
        1_000_000_000,
        count(0, 1_000_000_000_000_000),
        "room that profiles may take in a local store; 0: no limit",
    )
    spool: str | os.PathLike[str] = _setting(  # noqa: RUF009 - makes a field
        "",
        PATH,
        "directory for what the store cannot take for the moment; if empty one in the temporary directory; `off`: none",
    )
    spool_bytes: int = _setting(100_000_000, count(0, 1_000_000_000_000), "room that it may take on the disk")
    spool_age: float = _setting(
        7 * 86_400.0, number(0.0, 366 * 86_400.0, "seconds"), "how long something may wait in it"
    )
    shutdown_timeout: float = _setting(
        5.0, number(0.0, 3_600.0, "seconds"), "how long the exit may wait for what is queued"
    )
    on_profile: Callable[[Profile], object] | None = _setting(  # noqa: RUF009 - makes a field
        None, CALLBACK, "called in the background with each profile (not a variable)"
    )

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            kind = cast("Kind", field.metadata["kind"])
            if not kind.accepts(value):
                raise ConfigurationError(f"{field.name}={value!r} is not allowed: give {kind.allowed}")
        object.__setattr__(self, "thresholds", dict(self.thresholds))  # the caller may go on with its own
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
        sources = dict.fromkeys(arguments, ARGUMENT)
        for name, field in fields.items():
            variable = variable_name(name)
            text = environ.get(variable)
            if text and name not in values:  # an empty one is as good as none: compose files make them
                values[name] = _from_text(variable, text, cast("Kind", field.metadata["kind"]))
                sources[name] = SettingSource("environment", variable)
        made = cls(**values)  # type: ignore[arg-type]  # __post_init__ checks each value against its kind
        made.remember_sources({name: sources.get(name, DEFAULT) for name in fields})
        return made

    def changed(self, **changes: object) -> Settings:
        """Return these settings with changes made in the running process, which their sources then say.

        Raises:
            ConfigurationError: a value that is not allowed.
        """
        made = dataclasses.replace(self, **changes)  # type: ignore[arg-type]  # as above
        made.remember_sources({**self.sources(), **dict.fromkeys(changes, LIVE)})
        return made

    def sources(self) -> dict[str, SettingSource]:
        """Return by name where each value came from; made without `from_env`, what is no default was an argument."""
        return self.remembered_sources() or {
            field.name: DEFAULT if self._is_default(field) else ARGUMENT for field in dataclasses.fields(self)
        }

    def _is_default(self, field: dataclasses.Field[Any]) -> bool:
        value: object = getattr(self, field.name)
        if field.name == "service":
            return value == _main_module_name()
        default: object = {} if field.default is dataclasses.MISSING else field.default
        return value is default or (type(value) is type(default) and value == default)


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
    """Raise `ConfigurationError` unless `threshold` is None or a number of seconds from 0 to `MAX_SECONDS`."""
    if threshold is not None and not (is_seconds(threshold) and threshold <= MAX_SECONDS):
        raise ConfigurationError(
            f"threshold={threshold!r} is not allowed: give a number of seconds from 0 to {MAX_SECONDS:g}"
        )


def _from_text(variable: str, text: str, kind: Kind) -> object:
    try:
        value = kind.parse(text)
    except (ValueError, KeyError):
        value = None
    if value is None or not kind.accepts(value):
        raise ConfigurationError(
            f"{variable}={text!r} is not allowed: give {kind.allowed_text or kind.allowed}"
        )
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
