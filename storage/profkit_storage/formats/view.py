"""A profile or a merge as parts of a page: the exported one, and that of a live process."""

from __future__ import annotations

from dataclasses import dataclass, replace
from heapq import nlargest

from profkit_storage.categories import CategoryTable, default_categories
from profkit_storage.formats.boxes import MAX_BOXES, Box, boxes_of
from profkit_storage.formats.flame_data import data
from profkit_storage.formats.flame_parts import graph_section, tree_section
from profkit_storage.formats.flame_tables import children_section, hottest_section
from profkit_storage.formats.states import states_section
from profkit_storage.formats.timeline import timeline_section
from profkit_storage.merging import MergedProfile
from profkit_storage.profile import Profile

_MARKED = 1_000
"""Operations of one profile that are looked for in its stacks; it takes a tenth of a millisecond each."""


@dataclass(frozen=True, slots=True)
class View:
    """Parts of a page. They are HTML in which every name is escaped; `data` is JSON for the element `flame-data`.

    A part that has nothing to say is "".
    """

    states: str
    graph: str
    tree: str
    timeline: str
    hottest: str
    children: str
    data: str


def view_of(
    profile: Profile,
    *,
    table: CategoryTable | None = None,
    limit: int = MAX_BOXES,
    size: int | None = None,
    hottest: bool = True,
) -> View:
    """Return a profile's view, its weight not applied: with at most `limit` boxes and `size` bytes of data.

    Without `hottest` there is no table of functions: for a page that has one of its own.
    """
    boxes, view = _view(MergedProfile.of(_marked(profile)), table, limit, size)
    return replace(
        view, timeline=timeline_section(profile), hottest=hottest_section(boxes) if hottest else ""
    )


def view_of_merge(
    merged: MergedProfile, *, table: CategoryTable | None = None, limit: int = MAX_BOXES
) -> View:
    """Return a merge's view; it keeps no order of time, so there is no timeline."""
    boxes, view = _view(merged, table, limit, None)
    return replace(view, hottest=hottest_section(boxes), children=children_section(merged))


def _view(
    merged: MergedProfile, table: CategoryTable | None, limit: int, size: int | None
) -> tuple[list[Box], View]:
    """Return the boxes, and the parts that a profile and a merge both have."""
    boxes, content = _fitting(merged, table or default_categories(), limit, size)
    return boxes, View(
        states=states_section(merged),
        graph=graph_section(boxes),
        tree=tree_section(),
        timeline="",
        hottest="",
        children="",
        data=content,
    )


def _fitting(
    merged: MergedProfile, table: CategoryTable, limit: int, size: int | None
) -> tuple[list[Box], str]:
    """Return as many boxes, and the data of them, as there is room for: names can be of any length."""
    while True:
        boxes = boxes_of(merged, table, limit)
        content = data(boxes)
        length = len(content.encode())
        if size is None or length <= size or limit <= 1:
            return boxes, content
        limit = max(1, int(min(limit, len(boxes)) * min(0.8, 0.9 * size / length)))


def _marked(profile: Profile) -> Profile:
    """Return the profile with those of its operations that are looked for in its stacks: the longest."""
    if len(profile.children) <= _MARKED:
        return profile
    longest = nlargest(_MARKED, profile.children, key=lambda child: child.end - child.start)
    return replace(profile, children=tuple(child._replace(parent=-1) for child in longest))
