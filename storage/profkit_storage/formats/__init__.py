"""Profiles in the forms other tools read: one format a module, each with a `render(profile) -> str`."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from profkit_storage.formats import html, json, pyinstrument, speedscope, text
from profkit_storage.profile import Profile

__all__ = ["FORMATS", "Renderer"]

Renderer = Callable[[Profile], str]

FORMATS: Mapping[str, Renderer] = MappingProxyType(
    {
        "pyinstrument": pyinstrument.render,
        "html": html.render,
        "speedscope": speedscope.render,
        "json": json.render,
        "text": text.render,
    }
)
"""What `profkit export --format` takes. `pyinstrument` is a file for `pyinstrument --load`."""
