"""When things happened in one profile: states, child operations, tasks and threads, over one axis of time.

An SVG of percentages, so that it needs no script and fits any width, and the same as a table.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from profkit_storage.formats.durations import in_seconds
from profkit_storage.formats.flame_svg import figure
from profkit_storage.formats.lanes import MAX_ROWS, Lane, Shown, lanes_of
from profkit_storage.formats.names import markup
from profkit_storage.formats.states import ORDER, bar
from profkit_storage.formats.strip import by_root, columns_of
from profkit_storage.formats.tables import table
from profkit_storage.formats.timeline_svg import drawn_timeline
from profkit_storage.profile import Profile, Trigger


def timeline_section(profile: Profile) -> str:
    """Return the timeline of a profile as a part of a page."""
    title = "Threads and tasks" if profile.trigger is Trigger.MANUAL else "Timeline"
    return (
        f'<section class="flame-part" aria-labelledby="flame-time"><h2 id="flame-time">{title}</h2>'
        f"{timeline(profile)}</section>"
    )


def timeline(profile: Profile) -> str:
    """Return what is in that part, of which a page may have several."""
    return _threads(profile) if profile.trigger is Trigger.MANUAL else _timeline(profile)


def _timeline(profile: Profile) -> str:
    operations, branches = lanes_of(profile)
    columns = columns_of(profile)
    ends = [lane.end for lane in (*operations.lanes, *branches.lanes)]
    span = max([profile.wall, *ends])
    if span <= 0 or not (columns or ends):
        return '<p class="quiet">Nothing is known of its time: no sample was taken.</p>'
    return "".join(
        (
            f"<p>{_reading(profile)}</p>",
            drawn_timeline(profile, columns, operations.lanes, branches.lanes, span),
            *(f'<p class="quiet">{text}</p>' for text in _remarks(profile, operations, branches)),
            _table(operations.lanes, branches.lanes),
        )
    )


def _reading(profile: Profile) -> str:
    parts = ["the states it was in"]
    if profile.children:
        parts.append("the operations inside it, those of one name in a row")
    if profile.branches:
        parts.append("the tasks and threads it started")
    return f"From its start to its end: {', '.join(parts)}."


def _remarks(profile: Profile, operations: Shown, branches: Shown) -> Iterator[str]:
    if 0 < profile.threshold < math.inf and profile.threshold > profile.wall:
        yield f"It ended before its threshold, {in_seconds(profile.threshold)}."
    if profile.paused > 0:
        yield (
            f"It stood still for {in_seconds(profile.paused)} between its steps. The states are without these seconds, "
            "so they lie further left than what happened in them."
        )
    if profile.sampling.unobserved > 0.01 * profile.wall:
        yield f"{in_seconds(profile.sampling.unobserved)} were not observed; the states are spread over them."
    for left, noun in ((operations, "more kinds of operations"), (branches, "more tasks or threads")):
        if left.left_out:
            yield (
                f"Left out: {left.left_out:,} {noun}, {left.spans:,} times, {in_seconds(left.seconds)} in all. "
                f"The {MAX_ROWS} longest are shown."
            )
    if profile.sampling.dropped_children:
        yield f"{profile.sampling.dropped_children:,} shorter operations were not kept when it was captured."


def _table(operations: Sequence[Lane], branches: Sequence[Lane]) -> str:
    rows = [
        (
            figure(lane.seconds),
            (f"{len(lane.spans):,}", len(lane.spans)),
            markup(lane.name),
            markup(lane.category) if kind == "operation" else kind,
            figure(lane.start),
            figure(lane.end),
        )
        for kind, lanes in (("operation", operations), ("task or thread", branches))
        for lane in lanes
    ]
    if not rows:
        return ""
    columns = (
        ("seconds", "figure"),
        ("times", "figure"),
        ("operation, task or thread", "code"),
        ("of", ""),
        ("first began at", "figure"),
        ("last ended at", "figure"),
    )
    return f"<details><summary>The same as a table</summary>{table(columns, rows)}</details>"


def _threads(profile: Profile) -> str:
    """Return a bar for each thread and task: a capture of the whole process has no one line of time."""
    found = by_root(profile)
    if not found:
        return '<p class="quiet">No sample was taken.</p>'
    whole = max(profile.wall, *(sum(spent.values()) for _, spent in found))
    rows = "".join(
        f"<li><span>{markup(name)}</span> <b>{_spent(spent)}</b>{bar(spent, whole, 12)}</li>"
        for name, spent in found[:MAX_ROWS]
    )
    rest = found[MAX_ROWS:]
    more = (
        f'<p class="quiet">Left out: {len(rest):,} more, '
        f"{in_seconds(sum(sum(spent.values()) for _, spent in rest))} in all.</p>"
        if rest
        else ""
    )
    return (
        f"<p>A capture of the whole process counts the seconds of every thread and task, {in_seconds(profile.wall)} of "
        "each, so they add up to more than went by. A bar is one thread or task: how long it was in each state, not "
        f'when. Those that did most come first.</p><ul class="flame-threads">{rows}</ul>{more}'
    )


def _spent(spent: dict[str, float]) -> str:
    return ", ".join(f"{in_seconds(spent[state])} {state}" for state in ORDER if spent.get(state))
