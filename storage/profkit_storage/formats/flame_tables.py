"""What a flame graph says, in tables that need no script."""

from __future__ import annotations

from collections.abc import Sequence

from profkit_storage.formats.boxes import Box
from profkit_storage.formats.flame_data import LABELS
from profkit_storage.formats.flame_svg import figure
from profkit_storage.formats.names import markup
from profkit_storage.formats.tables import table
from profkit_storage.functions import function_name
from profkit_storage.merging import MergedProfile

_HOTTEST = 20
_CHILDREN = 20


def hottest_section(boxes: Sequence[Box]) -> str:
    """Return a table of the functions with most seconds of their own, "" if there is none."""
    found: dict[tuple[str, str], float] = {}
    for box in boxes[1:]:
        # What waits has no name of its own worth reading.
        name = function_name(box.frame)
        key = f"{function_name(boxes[box.parent].frame)} {name}" if name == "[await]" else name, box.category
        if box.own:
            found[key] = found.get(key, 0.0) + sum(box.own.values())
    total = boxes[0].seconds or 1.0
    rows = sorted(found.items(), key=lambda item: (-item[1], item[0]))[:_HOTTEST]
    cells = [
        (
            figure(own),
            (f"{own / total * 100:.1f} %", own / total),
            markup(name),
            f'<span class="swatch {category}"></span>{LABELS.get(category, category)}',
        )
        for (name, category), own in rows
    ]
    columns = (("seconds", "figure"), ("share", "figure"), ("function", "code"), ("of", ""))
    return _section("hottest", "Functions by seconds of their own", table(columns, cells)) if cells else ""


def children_section(merged: MergedProfile) -> str:
    """Return a table of the operations inside those merged, "" if there is none."""
    found: dict[tuple[str, str], tuple[float, float]] = {}
    for child, spent in merged.children.items():
        key = child.name, child.category
        calls, seconds = found.get(key, (0.0, 0.0))
        found[key] = calls + spent.count, seconds + spent.wall
    rows = sorted(found.items(), key=lambda item: (-item[1][1], item[0]))[:_CHILDREN]
    more = f'<p class="quiet">and {len(found) - len(rows):,} more</p>' if len(found) > len(rows) else ""
    cells = [
        (figure(seconds), (f"{calls:,.0f}", calls), markup(name), markup(category))
        for (name, category), (calls, seconds) in rows
    ]
    columns = (("seconds", "figure"), ("calls", "figure"), ("operation", "code"), ("category", ""))
    return _section("children", "Operations inside", table(columns, cells) + more) if cells else ""


def _section(id: str, title: str, content: str) -> str:
    return (
        f'<section class="flame-part" aria-labelledby="flame-{id}"><h2 id="flame-{id}">{title}</h2>'
        f"{content}</section>"
    )
