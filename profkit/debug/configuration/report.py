"""What this process runs with: settings and where they came from, Python, distributions, environment; all masked."""

from __future__ import annotations

import functools
import os
import types
from collections.abc import Callable, Mapping
from typing import Literal, TypedDict, cast

from profkit.config import Settings
from profkit.debug.configuration.asking import Asking
from profkit.debug.configuration.attributes import with_parts
from profkit.debug.configuration.distributions import distributions
from profkit.debug.configuration.held import Origin
from profkit.debug.configuration.process import ProcessReport, PythonReport, process_report, python_report
from profkit.debug.configuration.rules import Showing, ShowValues, ValueRules, hidden_values, shown_values
from profkit.debug.configuration.sources import Found, Setting, described, find_settings
from profkit.masking import MASK, Masker
from profkit.masking.parts import type_name

REVISION_VARIABLE = "PROFKIT_REVISION"


class SettingsReport(TypedDict):
    """Settings. `settings` is by name, dotted where one is inside another, and says of each where it came from.

    `values` are masked and nested as the settings are; a setting that is not among `settings` came from nobody knows
    where. `error`: why there are none, such as `KeyError: 'REGION'` of the application's own function.
    """

    type: str | None
    values: object
    settings: dict[str, Setting]
    error: str | None


class RevisionReport(TypedDict):
    """The revision of the code that runs, None if nobody said; `name` is the variable's that did."""

    value: str | None
    source: Literal["argument", "environment", "unknown"]
    name: str | None


class FeaturesReport(TypedDict):
    """Feature switches by name, masked; `error` says why there are none."""

    values: dict[str, object]
    error: str | None


class ConfigurationReport(TypedDict):
    """What a process runs with.

    `application` is None without a `config`, `features` without any, `environment` unless asked for. `distributions`
    are versions by name; `show_values` says how much is shown: never, masked, or rules of the application's own.
    """

    show_values: Literal["never", "masked", "rules"]
    profkit: SettingsReport
    application: SettingsReport | None
    features: FeaturesReport | None
    revision: RevisionReport
    python: PythonReport
    process: ProcessReport
    distributions: dict[str, str]
    environment: dict[str, object] | None


_FUNCTIONS = (
    types.FunctionType,
    types.MethodType,
    types.BuiltinFunctionType,
    functools.partial,
    type(functools.cache(lambda: None)),  # what a cached `get_settings` is
)


def configuration_report(
    config: object,
    *,
    settings: object,
    masker: Masker,
    environment: bool = False,
    showing: Showing = ShowValues.MASKED,
    revision: str | None = None,
    features: object = None,
    asking: Asking | None = None,
) -> ConfigurationReport:
    """Return what this process runs with, masked, and as much of it as `showing` allows. Never raises.

    `settings` are profkit's; `config` is the application's: a dataclass, pydantic model, mapping, module, class or
    plain object (its attributes without a leading underscore), or a function without parameters that returns one.
    `features` is a mapping, or a function that returns one. Functions run in a thread, for 2 s at most.
    """
    maker = _Maker(masker, showing, asking or Asking())
    return {
        "show_values": "rules" if isinstance(showing, ValueRules) else showing.value,
        "profkit": maker.own(settings),
        "application": None if config is None else maker.application(config),
        "features": None if features is None else maker.features(features),
        "revision": _revision(revision, masker),
        "python": python_report(masker),
        "process": maker.process(),
        "distributions": dict(distributions()),
        "environment": maker.variables() if environment else None,
    }


class _Maker:
    """Makes the parts that are shown as the rules want them."""

    def __init__(self, masker: Masker, showing: Showing, asking: Asking) -> None:
        self._masker = masker
        self._showing = showing
        self._asking = asking

    def own(self, settings: object) -> SettingsReport:
        """Profkit's settings: where each came from is known."""
        found = find_settings(settings, self._masker)
        if isinstance(settings, Settings):
            found = [
                Found(
                    (name,), described(getattr(settings, name), Origin(one.kind, one.variable), self._masker)
                )
                for name, one in settings.sources().items()
            ]
        return self._settings(settings, found, may_show=False)

    def application(self, config: object) -> SettingsReport:
        """The application's settings."""
        try:
            if isinstance(config, _FUNCTIONS):
                config = self._asking.ask("config", cast("Callable[[], object]", config))
            found = find_settings(with_parts(config), self._masker)
            return self._settings(config, found)
        except Exception as error:  # noqa: BLE001 - the application's own code; the rest of the report stands
            return {"type": None, "values": None, "settings": {}, "error": self._masker.mask_error(error)}

    def features(self, features: object) -> FeaturesReport:
        """Feature switches."""
        try:
            if not isinstance(features, Mapping):
                features = self._asking.ask("features", cast("Callable[[], object]", features))
            if not isinstance(features, Mapping):
                raise TypeError(f"the function returned {type(features).__name__}, and no mapping")  # noqa: TRY301
            names = self._masker.mask(cast("Mapping[object, object]", features))
            return {"values": self._by_name(names), "error": None}
        except Exception as error:  # noqa: BLE001 - as above
            return {"values": {}, "error": self._masker.mask_error(error)}

    def variables(self) -> dict[str, object]:
        """The environment."""
        return self._by_name(self._masker.mask(dict(os.environ)))

    def process(self) -> ProcessReport:
        """The process, without its command line if no value is shown."""
        report = process_report(self._masker)
        if self._showing is ShowValues.NEVER:
            report["command_line"] = [MASK]
        return report

    def _settings(self, config: object, found: list[Found], *, may_show: bool = True) -> SettingsReport:
        parts = with_parts(config)
        if isinstance(self._showing, ValueRules):
            masked = self._masker.mask(parts)
            # `show` names settings of the application's.
            values = (
                shown_values(masked, parts, self._showing)
                if may_show
                else hidden_values(masked, self._showing)
            )
        elif self._showing is ShowValues.NEVER:
            values = _names_of(found) or MASK
        else:
            values = self._masker.mask(parts)
        return {
            "type": type_name(config if isinstance(config, type) else type(config)),
            "values": values,
            "settings": {".".join(one.path): one.setting for one in found},
            "error": None,
        }

    def _by_name(self, masked: object) -> dict[str, object]:
        if not isinstance(masked, dict):  # a mapping that cannot be read
            raise TypeError(str(masked))
        parts = cast("dict[str, object]", masked)
        if isinstance(self._showing, ValueRules):
            return cast("dict[str, object]", hidden_values(parts, self._showing))
        return dict.fromkeys(parts, MASK) if self._showing is ShowValues.NEVER else parts


def _names_of(found: list[Found]) -> dict[str, object]:
    """The settings' names, nested, and the mask for each value."""
    names: dict[str, object] = {}
    for one in found:
        level = names
        for name in one.path[:-1]:
            inner = level.setdefault(name, {})
            level = cast("dict[str, object]", inner) if isinstance(inner, dict) else {}
        level.setdefault(one.path[-1], MASK)
    return names


def _revision(given: str | None, masker: Masker) -> RevisionReport:
    if given is not None:
        return {"value": _masked(given, masker), "source": "argument", "name": None}
    held = os.environ.get(REVISION_VARIABLE)
    if held:
        return {"value": _masked(held, masker), "source": "environment", "name": REVISION_VARIABLE}
    return {"value": None, "source": "unknown", "name": None}


def _masked(revision: str, masker: Masker) -> str:
    return str(masker.mask(revision, "revision"))
