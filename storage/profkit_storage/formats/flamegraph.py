"""A flame graph as one page that runs by itself and reaches nothing, and its parts: the data, and a bare picture.

`page` and `picture` take a merge, so a profile is `page(MergedProfile.of(profile), facts)`. Stylesheets and scripts
are files of this package. The page's policy allows these, by their hashes, and forbids every request.
"""

from __future__ import annotations

import html
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import cache
from importlib.resources import files
from typing import Final

from profkit_storage.categories import CategoryTable, default_categories
from profkit_storage.formats.boxes import boxes_of
from profkit_storage.formats.durations import in_seconds
from profkit_storage.formats.flame_data import data
from profkit_storage.formats.flame_svg import drawn
from profkit_storage.formats.names import markup, writable
from profkit_storage.formats.policy import policy
from profkit_storage.formats.shell import facts_list, whole_page
from profkit_storage.formats.view import View, view_of, view_of_merge
from profkit_storage.merging import MergedProfile
from profkit_storage.profile import Profile

__all__ = [
    "SCRIPTS",
    "STYLES",
    "content_security_policy",
    "data",
    "page",
    "picture",
    "render",
    "render_merged",
    "resource",
]

SCRIPTS: Final = ("flamedata.js", "flamegraph.js", "calltree.js")
"""What a page with a `View` runs, in this order: the first reads the data, the others draw it."""

STYLES: Final = ("flamegraph.css", "exported.css")
"""The look of a `View`, on any page that sets the colours of text and ground, and of the exported page itself."""

_OPERATIONS = 5
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def render(profile: Profile) -> str:
    """Return the profile as a page, its weight not applied."""
    return _page(f"{profile.operation}: {in_seconds(profile.wall)}", _facts(profile), view_of(profile))


def render_merged(merged: MergedProfile) -> str:
    """Return a merge as a page."""
    return page(merged, _merged_facts(merged))


def page(merged: MergedProfile, facts: Mapping[str, str], table: CategoryTable | None = None) -> str:
    """Return the page, with `facts` by their names in its head.

    `table` says which code belongs to which category; None takes profkit's own.
    """
    return _page(f"{merged.title}: {in_seconds(merged.wall)}", facts, view_of_merge(merged, table=table))


def content_security_policy() -> str:
    """Return the header under which a page runs, reaches nothing, is framed by nobody and has an origin of its own."""
    return f"{_policy()}; frame-ancestors 'none'; sandbox allow-scripts"


@cache
def resource(name: str) -> str:
    """Return one of `SCRIPTS` or `STYLES`."""
    return files("profkit_storage.formats").joinpath(name).read_text(encoding="utf-8")


def picture(merged: MergedProfile, table: CategoryTable | None = None, *, width: int = 1200) -> str:
    """Return a bare SVG element of the graph, `width` pixels wide, for a page that has the stylesheet and no script.

    Boxes under a pixel are left out. Each box has its figures as a title.
    """
    return drawn(boxes_of(merged, table or default_categories()), width)


def _policy() -> str:
    return policy(map(resource, SCRIPTS), map(resource, STYLES))


def _page(title: str, facts: Mapping[str, str], view: View) -> str:
    shown = [(markup(name), html.escape(writable(value))) for name, value in facts.items() if value]
    parts = view.graph, view.tree, view.states, view.timeline, view.hottest, view.children
    return whole_page(
        markup(title),
        facts_list(shown),
        parts,
        styles=[*map(resource, STYLES)],
        scripts=[*map(resource, SCRIPTS)],
        data=f'<script type="application/json" id="flame-data">{view.data}</script>',
    )


def _facts(profile: Profile) -> dict[str, str]:
    return {
        "service": f"{profile.service} {profile.version}".strip(),
        "started": f"{_moment(profile.start_ns)} UTC{f' on {profile.host}' if profile.host else ''}",
        "took": in_seconds(profile.wall)
        + ("" if profile.cpu is None else f", {in_seconds(profile.cpu)} CPU"),
        "category": profile.category,
        "ended": f"{profile.status}, kept because: {profile.trigger}",
        "request": profile.request_id,
        "trace": profile.trace_id,
        "tags": ", ".join(f"{name}={value}" for name, value in profile.tags.items()),
        "profile": profile.id,
    }


def _merged_facts(merged: MergedProfile) -> dict[str, str]:
    operations = dict.fromkeys(source.operation for source in merged.sources)
    shown = ", ".join([*operations][:_OPERATIONS])
    more = f" and {len(operations) - _OPERATIONS} more" if len(operations) > _OPERATIONS else ""
    return {
        "profiles": f"{merged.count:,}, which stand for {merged.weight:,.0f} operations",
        "operations": shown + more,
        "from": f"{_moment(merged.since)} UTC",
        "to": f"{_moment(merged.until)} UTC",
        "took": f"{in_seconds(merged.wall)} in all, {in_seconds(merged.cpu)} CPU",
        "request": merged.request_id,
    }


def _moment(nanoseconds: int) -> str:
    return f"{_EPOCH + timedelta(microseconds=nanoseconds // 1000):%Y-%m-%d %H:%M:%S}"
