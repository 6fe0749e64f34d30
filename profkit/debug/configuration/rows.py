"""Settings as the rows of a table: name, value, and where it came from in words."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import NamedTuple, cast

from profkit.config import Settings
from profkit.debug.configuration.report import ConfigurationReport, SettingsReport
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


_IN_SECONDS = frozenset(
    one.name for one in dataclasses.fields(Settings) if "of seconds" in one.metadata["kind"].allowed
)
_IN_BYTES = frozenset(one.name for one in dataclasses.fields(Settings) if one.name.endswith("_bytes"))


def unit_of(setting: str) -> str:
    """Return the unit of one of profkit's own settings: `s`, `B`, or nothing."""
    return "s" if setting in _IN_SECONDS else "B" if setting in _IN_BYTES else ""


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


def with_rows(report: ConfigurationReport) -> dict[str, object]:
    """Return the report for a page: settings as `rows` instead, from all of them, before anything is left out."""

    def shown(settings: SettingsReport | None) -> dict[str, object] | None:
        if settings is None:
            return None
        rows = [row._asdict() for row in rows_of(settings)]
        return {"type": settings["type"], "error": settings["error"], "rows": rows}

    return {**report, "application": shown(report["application"]), "profkit": shown(report["profkit"])}


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
