"""pyinstrument's console tree."""

from __future__ import annotations

from pyinstrument.renderers import ConsoleRenderer

from profkit_storage.formats.pyinstrument import merged_session, to_session
from profkit_storage.merging import MergedProfile
from profkit_storage.profile import Profile


def render(profile: Profile, *, color: bool = False, unicode: bool = True, show_all: bool = False) -> str:
    """Return the profile as a call tree; `show_all` opens the folded library frames and those under 1 %."""
    return ConsoleRenderer(color=color, unicode=unicode, show_all=show_all).render(to_session(profile))


def render_merged(merged: MergedProfile, *, color: bool = False, unicode: bool = True) -> str:
    """Return a merge as such a tree."""
    return ConsoleRenderer(color=color, unicode=unicode).render(merged_session(merged))
