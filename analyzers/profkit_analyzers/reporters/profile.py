"""What one profile is about, above its call tree."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from rich.text import Text

from profkit_analyzers.reporters.figures import counted, seconds
from profkit_analyzers.reporters.terminal import Screen, clipped, printable, written
from profkit_storage import Profile, State

_MAX_CHILDREN = 20
_WIDEST = 80


def render(profile: Profile, screen: Screen) -> str:
    """Return a few lines: what ran when, for how long, how it ended, and the operations inside it."""
    started = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=profile.start_ns // 1000)
    cpu = "" if profile.cpu is None else f", {seconds(profile.cpu)} CPU"
    version = f" {profile.version}" if profile.version else ""
    unobserved = seconds(profile.sampling.unobserved)
    facts = [
        ("service", profile.service + version),
        ("started", f"{started:%Y-%m-%d %H:%M:%S} UTC on {profile.host or 'an unnamed host'}"),
        ("took", f"{seconds(profile.wall)}{cpu}; threshold {seconds(profile.threshold)}"),
        ("of that", _states(profile)),
        ("ended", f"{profile.status}, kept because: {profile.trigger}"),
        ("request", profile.request_id),
        ("trace", profile.trace_id),
        ("tags", ", ".join(f"{name}={value}" for name, value in profile.tags.items())),
        ("not observed", unobserved if unobserved != seconds(0) else ""),
    ]
    title = Text(printable(f"{profile.operation} ({profile.category or 'no category'})"), style="bold")
    lines = [f"{name:12}  {printable(value)}" for name, value in facts if value]
    children = [
        f"{'' if index else 'operations':12}  {printable(row)}"
        for index, row in enumerate(_children(profile))
    ]
    return written([title, *lines, *children], screen)


def _states(profile: Profile) -> str:
    spent: dict[State, float] = {}
    for sample in profile.samples:
        spent[sample.state] = spent.get(sample.state, 0.0) + sample.wall
    return ", ".join(
        f"{seconds(spent[state])} {state}" for state in State if seconds(spent.get(state, 0.0)) != seconds(0)
    )


def _children(profile: Profile) -> Iterator[str]:
    """Yield a row for each name and category of child operations, the longest in all first."""
    found: dict[tuple[str, str], list[float]] = {}
    for child in profile.children:
        found.setdefault((child.name, child.category), []).append(child.end - child.start)
    ranked = sorted(found.items(), key=lambda item: (-sum(item[1]), item[0]))
    for (name, category), spans in ranked[:_MAX_CHILDREN]:
        kind = f"  {clipped(category, _WIDEST)}" if category else ""
        times = f" in {counted(len(spans), 'call')}" if len(spans) > 1 else ""
        yield f"{clipped(name, _WIDEST)}{kind}  {seconds(sum(spans))}{times}"
    rest = sum(len(spans) for _, spans in ranked[_MAX_CHILDREN:])
    dropped = profile.sampling.dropped_children
    more = [f"and {counted(rest, 'other')}"] if rest else []
    if dropped:
        more.append(f"{dropped:,} more were not kept")
    if more:
        yield "; ".join(more)
