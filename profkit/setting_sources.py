"""Where a setting's value came from."""

from __future__ import annotations

from typing import Literal, NamedTuple

SourceKind = Literal["default", "environment", "argument", "live"]


class SettingSource(NamedTuple):
    """`live`: changed in the running process. `variable` is that of the environment, else None."""

    kind: SourceKind
    variable: str | None = None


DEFAULT = SettingSource("default")
ARGUMENT = SettingSource("argument")
LIVE = SettingSource("live")


class Sourced:
    """What `Settings` remembers beside its fields; a copy by way of pickle does not."""

    __slots__ = ("_sources",)
    _sources: dict[str, SettingSource]

    def remember_sources(self, sources: dict[str, SettingSource]) -> None:
        """Keep where each value came from."""
        object.__setattr__(self, "_sources", sources)

    def remembered_sources(self) -> dict[str, SettingSource]:
        """Return what was kept, nothing if nothing was."""
        return getattr(self, "_sources", {})
