"""Profiles in the forms other tools read: one format a module, each with a `render(profile)`.

A module that can carry a merge too has a `render_merged(merged)`. pprof is bytes, all others are text.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from profkit_storage.formats import flamegraph, folded, html, json, pprof, pyinstrument, speedscope, text
from profkit_storage.merging import MergedProfile
from profkit_storage.profile import Profile

__all__ = ["FORMATS", "MERGED_FORMATS", "MergedRenderer", "Renderer"]

Renderer = Callable[[Profile], str | bytes]
MergedRenderer = Callable[[MergedProfile], str | bytes]

FORMATS: Mapping[str, Renderer] = MappingProxyType(
    {
        "pyinstrument": pyinstrument.render,
        "html": html.render,
        "flamegraph": flamegraph.render,
        "speedscope": speedscope.render,
        "pprof": pprof.render,
        "folded": folded.render,
        "json": json.render,
        "text": text.render,
    }
)
"""What `profkit export --format` takes. `pyinstrument` is a file for `pyinstrument --load`."""

MERGED_FORMATS: Mapping[str, MergedRenderer] = MappingProxyType(
    {
        "pyinstrument": pyinstrument.render_merged,
        "html": html.render_merged,
        "flamegraph": flamegraph.render_merged,
        "speedscope": speedscope.render_merged,
        "pprof": pprof.render_merged,
        "folded": folded.render_merged,
        "text": text.render_merged,
    }
)
"""What it takes for several profiles as one: all but json, which is one profile's own fields."""
