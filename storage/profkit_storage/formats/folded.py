"""Folded stacks, which most flame graph tools read: one line a stack, with its microseconds of wall time.

    app.agent.handle;app.orders.Orders.lookup;sqlite3.cursor.execute 612000

A function is `module.qualname`, or the qualname where no module is known. A `;` in a name is written as `,`; control
characters as U+FFFD. Stacks are in order of their names; those of less than half a microsecond are left out.
"""

from __future__ import annotations

from profkit_storage.formats.names import writable
from profkit_storage.functions import function_name
from profkit_storage.merging import MergedProfile
from profkit_storage.profile import Frame, Profile


def render(profile: Profile) -> str:
    """Return the profile's stacks, its weight not applied."""
    return render_merged(MergedProfile.of(profile))


def render_merged(merged: MergedProfile) -> str:
    """Return the stacks of a merge."""
    names = [_name(frame) for frame in merged.frames]
    paths: list[str] = []
    for parent, frame, _ in merged.nodes:
        paths.append(f"{paths[parent]};{names[frame]}" if parent >= 0 else names[frame])
    spent: dict[str, float] = {}
    for part, seconds in merged.parts.items():
        path = paths[part.node]
        spent[path] = spent.get(path, 0.0) + seconds.wall
    rows = ((path, round(wall * 1e6)) for path, wall in sorted(spent.items()))
    return "".join(f"{path} {microseconds}\n" for path, microseconds in rows if microseconds)


def _name(frame: Frame) -> str:
    return writable(function_name(frame)).replace(";", ",")
