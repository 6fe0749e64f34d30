"""The flame graphs of a page: one for each operation and one for each row of the ranking, drawn when chosen."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, zip_longest
from typing import NamedTuple

from profkit_analyzers.pictures.trees import CallTree
from profkit_analyzers.report import Report
from profkit_analyzers.reporters.figures import counted
from profkit_analyzers.reporters.page.room import Room
from profkit_storage.categories import CategoryTable
from profkit_storage.formats.boxes import Box, boxes_of
from profkit_storage.formats.durations import in_seconds
from profkit_storage.formats.flame_data import data
from profkit_storage.formats.flame_parts import graph_section, tree_section
from profkit_storage.formats.names import legible, markup

_ROOM = 2_200_000
_OPERATIONS = 40
_ROWS = 60
_BOXES = 1_500
_FEWER = 300

_SECTION = """<section class="flame-part" id="graphs" aria-labelledby="graphs-title" data-scripted hidden>
<h2 id="graphs-title">Call stacks</h2>
<div class="flame-tools"><label for="graph-choice">Flame graph and call tree of</label>
<select id="graph-choice">{choices}</select></div>
<div id="graph-place"></div>
{note}
</section>
{graphs}"""


@dataclass(slots=True)
class Graphs:
    """The part of a page, and the names of the graphs of the ranking's rows, by rank."""

    section: str = ""
    of_rows: dict[int, str] = field(default_factory=dict[int, str])


def graphs_of(report: Report, of_rows: Mapping[int, CallTree], table: CategoryTable) -> Graphs:
    """Return the flame graphs of the operations with most seconds, and of the first rows, as there is room for.

    `of_rows` are the rows' trees, by rank.
    """
    if report.pictures is None:
        return Graphs()
    found, room = Graphs(), Room(_ROOM)
    made: dict[bool, list[_Graph]] = {False: [], True: []}
    # Operations and rows in turns, so that neither takes all the room.
    turns = zip_longest(
        _of_operations(report, report.pictures.trees, table), _of_rows(report, of_rows, table)
    )
    for graph in filter(None, chain.from_iterable(turns)):
        if not room.take(graph.html):
            break
        made[graph.rank > 0].append(graph)
        if graph.rank:
            found.of_rows[graph.rank] = graph.id
    if any(made.values()):
        left = len(report.pictures.trees) - len(made[False])
        found.section = _SECTION.format(
            choices=_group("Operations", made[False]) + _group("Rows of the ranking", made[True]),
            note=f'<p class="quiet">{counted(left, "other operation")} without a graph here.</p>'
            if left
            else "",
            graphs="\n".join(graph.html for graph in (*made[False], *made[True])),
        )
    return found


class _Graph(NamedTuple):
    """One graph: its id on the page, the rank of its row (0: an operation's), and what it is chosen by."""

    id: str
    rank: int
    choice: str
    html: str


def _of_operations(report: Report, trees: Mapping[str, CallTree], table: CategoryTable) -> Iterator[_Graph]:
    for index, name in enumerate([name for name in report.operations if name in trees][:_OPERATIONS]):
        unobserved = report.operations[name].unobserved
        boxes = boxes_of(trees[name].merged(name, unobserved), table, _BOXES)
        yield _graph(f"operation-{index}", 0, name, boxes)


def _of_rows(report: Report, trees: Mapping[int, CallTree], table: CategoryTable) -> Iterator[_Graph]:
    for row in report.bottlenecks[:_ROWS]:
        if row.rank in trees:
            boxes = boxes_of(trees[row.rank].merged(row.operation), table, _FEWER)
            label = f"{row.rank}. {row.operation}: {row.owner}, {row.call_site}"
            yield _graph(f"row-{row.rank}", row.rank, label, boxes)


def _graph(id: str, rank: int, label: str, boxes: Sequence[Box]) -> _Graph:
    return _Graph(
        id,
        rank,
        f'<option value="{id}">{markup(legible(label, 90))} ({in_seconds(boxes[0].seconds)})</option>',
        f'<template id="graph-{id}">{graph_section(boxes)}{tree_section()}</template>'
        f'<script type="application/json" id="data-{id}">{data(boxes)}</script>',
    )


def _group(title: str, graphs: Sequence[_Graph]) -> str:
    choices = "".join(graph.choice for graph in graphs)
    return f'<optgroup label="{title}">{choices}</optgroup>' if graphs else ""
