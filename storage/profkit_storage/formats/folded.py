"""Folded stacks, which most flame graph tools read: one line a stack, with its microseconds of wall time.

    app.agent.handle;app.orders.Orders.lookup;sqlite3.cursor.execute 612000

A function is `module.qualname`, or the qualname where no module is known. A `;` in a name is written as `,`; control
characters as U+FFFD. Stacks are in order of their names; those of less than half a microsecond are left out.
"""

from __future__ import annotations

from collections.abc import Sequence

from profkit_storage.formats.names import writable
from profkit_storage.functions import function_name
from profkit_storage.merging import MergedProfile
from profkit_storage.profile import Frame, Node, Profile


def render(profile: Profile) -> str:
    """Return the profile's stacks, its weight not applied."""
    return render_merged(MergedProfile.of(profile))


def render_merged(merged: MergedProfile) -> str:
    """Return the stacks of a merge."""
    names = [_name(frame) for frame in merged.frames]
    # Of those with seconds only: the paths of all nodes are as long, in all, as the square of a stack's depth.
    seconds: dict[int, float] = {}
    for part, own in merged.parts.items():
        seconds[part.node] = seconds.get(part.node, 0.0) + own.wall
    spent: dict[str, float] = {}
    for node, wall in seconds.items():
        path = _path(node, merged.nodes, names)
        spent[path] = spent.get(path, 0.0) + wall
    rows = ((path, round(wall * 1e6)) for path, wall in sorted(spent.items()))
    return "".join(f"{path} {microseconds}\n" for path, microseconds in rows if microseconds)


def _path(node: int, nodes: Sequence[Node], names: Sequence[str]) -> str:
    path: list[str] = []
    while node >= 0:
        path.append(names[nodes[node].frame])
        node = nodes[node].parent
    return ";".join(reversed(path))


def _name(frame: Frame) -> str:
    return writable(function_name(frame)).replace(";", ",")
