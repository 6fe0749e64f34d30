"""What one profile is about, above its call tree."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from rich.text import Text

from profkit_analyzers.reporters.figures import seconds
from profkit_analyzers.reporters.terminal import Screen, printable, written
from profkit_storage import Profile


def render(profile: Profile, screen: Screen) -> str:
    """Return a few lines: what ran when, for how long, and how it ended."""
    started = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=profile.start_ns // 1000)
    cpu = "" if profile.cpu is None else f", {seconds(profile.cpu)} CPU"
    version = f" {profile.version}" if profile.version else ""
    facts = [
        ("service", profile.service + version),
        ("started", f"{started:%Y-%m-%d %H:%M:%S} UTC on {profile.host or 'an unnamed host'}"),
        ("took", f"{seconds(profile.wall)}{cpu}; threshold {seconds(profile.threshold)}"),
        ("ended", f"{profile.status}, kept because: {profile.trigger}"),
        ("request", profile.request_id),
        ("trace", profile.trace_id),
        ("tags", ", ".join(f"{name}={value}" for name, value in profile.tags.items())),
        ("not observed", seconds(profile.sampling.unobserved) if profile.sampling.unobserved else ""),
    ]
    title = Text(printable(f"{profile.operation} ({profile.category or 'no category'})"), style="bold")
    lines = [f"{name:12}  {printable(value)}" for name, value in facts if value]
    return written([title, *lines], screen)
