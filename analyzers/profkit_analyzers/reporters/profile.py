"""What one profile is about, above its call tree."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from rich.text import Text

from profkit_analyzers.reporters.figures import counted, seconds
from profkit_analyzers.reporters.terminal import Screen, clipped, printable, written
from profkit_storage import Profile, State, Status

_MAX_CHILDREN = 20
_MOST_HOLDERS = 5
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
        (_verb(profile), f"{seconds(profile.wall)}{cpu}; threshold {seconds(profile.threshold)}"),
        ("of that", _states(profile)),
        ("held up by", _holders(profile)),
        ("seen", _looks(profile)),
        ("ended", f"{profile.status}, kept because: {profile.trigger}{_weight(profile)}"),
        ("request", profile.request_id),
        ("trace", profile.trace_id),
        ("tags", ", ".join(clipped(f"{name}={value}", _WIDEST) for name, value in profile.tags.items())),
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


def _verb(profile: Profile) -> str:
    return "running for" if profile.status is Status.RUNNING else "took"


def _weight(profile: Profile) -> str:
    if profile.weight <= 1:
        return ""
    return f"; stands for {counted(profile.weight, 'slow operation')}"


def _holders(profile: Profile) -> str:
    """Name what had the event loop while the operation was ready, or waited, the longest first."""
    spent: dict[int, float] = {}
    for sample in profile.samples:
        if sample.holder >= 0:
            spent[sample.holder] = spent.get(sample.holder, 0.0) + sample.wall
    ranked = sorted(spent.items(), key=lambda item: -item[1])[:_MOST_HOLDERS]
    return ", ".join(
        f"{clipped(profile.frames[frame].qualname, _WIDEST)} {seconds(spent)}" for frame, spent in ranked
    )


def _looks(profile: Profile) -> str:
    """Say on how many looks it rests, and how much was concluded from the thread's clock alone."""
    ticks = profile.sampling.ticks
    if not ticks:
        return ""
    inferred = sum(sample.wall for sample in profile.samples if sample.inferred)
    concluded = (
        f"; {seconds(inferred)} concluded from its thread's clock" if seconds(inferred) != seconds(0) else ""
    )
    return f"in {counted(ticks, 'look')} by the {profile.sampling.engine}{concluded}"


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
