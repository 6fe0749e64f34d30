"""Settings as the rows of a table: name, value, and where it came from in words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple, cast

from profkit.debug.configuration.report import SettingsReport
from profkit.debug.configuration.sources import Setting

_WORDS = {
    "default": "default",
    "environment": "environment",
    "env_file": ".env file:",
    "secret_file": "secrets directory:",
    "argument": "argument",
    "live": "changed in this process",
    "set": "given",
    "unknown": "not known",
}


class Row(NamedTuple):
    """One setting."""

    name: str
    value: object
    type: str
    source: str


def rows_of(report: SettingsReport) -> list[Row]:
    """Return each setting, those inside others by dotted names; a single row where the settings have no names."""
    values = report["values"]
    if isinstance(values, dict):
        return list(_rows(cast("dict[str, object]", values), "", report["settings"]))
    return [] if values is None else [Row("", values, report["type"] or "", _WORDS["unknown"])]


def _rows(values: Mapping[str, object], above: str, settings: Mapping[str, Setting]) -> Iterator[Row]:
    for key, value in values.items():
        name = f"{above}.{key}" if above else key
        setting = settings.get(name)
        if setting is None and isinstance(value, dict) and value:
            yield from _rows(cast("dict[str, object]", value), name, settings)
        elif setting is None:
            yield Row(name, value, "", _WORDS["unknown"])
        else:
            yield Row(name, value, setting["type"], _words(setting))


def _words(setting: Setting) -> str:
    words = _WORDS[setting["source"]]
    return f"{words} {setting['name']}" if setting["name"] else words
