"""A few of the worst runs, each with what happened in it when."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from profkit_analyzers.reporters.page.command import show_command
from profkit_analyzers.reporters.page.room import Room
from profkit_storage import Profile
from profkit_storage.formats.durations import in_seconds
from profkit_storage.formats.names import markup
from profkit_storage.formats.timeline import timeline

_ROOM = 800_000
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def exemplars_section(profiles: Sequence[Profile], store: str) -> str:
    """Return the part of a page, with as many of the profiles as there is room for."""
    parts = Room(_ROOM).fitting(
        _exemplar(profile, store, first=not index) for index, profile in enumerate(profiles)
    )
    if not parts:
        return ""
    return (
        '<section class="flame-part" aria-labelledby="exemplars-title"><h2 id="exemplars-title">Worst examples</h2>'
        f'<p class="quiet">One run each, as it was captured.</p>{"".join(parts)}</section>'
    )


def _exemplar(profile: Profile, store: str, *, first: bool) -> str:
    moment = _EPOCH + timedelta(microseconds=profile.start_ns // 1000)
    place = f" on {markup(profile.host)}" if profile.host else ""
    version = f" {markup(profile.version)}" if profile.version else ""
    return (
        f'<details class="exemplar"{" open" if first else ""}><summary><b>{markup(profile.operation)}</b> '
        f"{in_seconds(profile.wall)}, {moment:%Y-%m-%d %H:%M:%S} UTC</summary>"
        f'<p class="quiet">{markup(profile.service)}{version}{place}; '
        f"{show_command(profile.id, store)}</p>{timeline(profile)}</details>"
    )
