"""The difference flame graphs of a page: one for each operation, from its call trees before and after."""

from __future__ import annotations

from collections.abc import Iterator

from profkit_analyzers.changes.comparison import Comparison, OperationChange, Verdict
from profkit_analyzers.pictures.pictures import TwoSides
from profkit_analyzers.pictures.trees import CallTree
from profkit_analyzers.reporters import change_figures as figures
from profkit_analyzers.reporters.figures import counted
from profkit_analyzers.reporters.page.difference import difference
from profkit_analyzers.reporters.page.room import Room
from profkit_storage.formats.names import markup

_ROOM = 2_500_000
_MOST = 40
_OPEN = 3
_NOTHING = CallTree((), (), ())

_LEGEND = (
    ("longer-strong", "longer by 20 % of the operation"),
    ("longer-clear", "by 5 %"),
    ("longer-slight", "by less"),
    ("same", "as long"),
    ("shorter-slight", "shorter"),
    ("shorter-clear", "by 5 %"),
    ("shorter-strong", "by 20 %"),
)

_SECTION = """<section class="flame-part" id="differences" aria-labelledby="differences-title">
<h2 id="differences-title">What takes longer, and what less</h2>
<p class="quiet">A box is a function, below the one that calls it, with all that it calls: seconds per slow operation,
as wide as the greater of before and after. Red takes longer after, blue is shorter.</p>
<ul class="flame-legend">{legend}</ul>
{graphs}
{note}</section>"""


def differences_section(comparison: Comparison) -> str:
    """Return the part of a page, "" without pictures; those that have changed come first, as there is room for."""
    if comparison.pictures is None:
        return ""
    graphs = Room(_ROOM).fitting(_graphs(comparison, comparison.pictures))
    left = len(comparison.operations) - len(graphs)
    return _SECTION.format(
        legend="".join(f'<li><span class="swatch {kind}"></span>{text}</li>' for kind, text in _LEGEND),
        graphs="\n".join(graphs),
        note=f'<p class="quiet">{counted(left, "other operation")} without a graph here.</p>' if left else "",
    )


def verdict(words: str) -> str:
    """Return a verdict in its colour."""
    return f'<span class="verdict {words.partition(" ")[0]}">{words}</span>'


def _graphs(comparison: Comparison, trees: TwoSides) -> Iterator[str]:
    drawn = [
        change
        for change in comparison.operations
        if change.operation in trees.before or change.operation in trees.after
    ]
    for index, change in enumerate(drawn[:_MOST]):
        told = change.verdict is not Verdict.NO_EVIDENCE
        yield _graph(change, trees, index, shown=not index or (told and index < _OPEN))


def _graph(change: OperationChange, trees: TwoSides, index: int, *, shown: bool) -> str:
    name, seconds = change.operation, change.seconds
    picture = difference(
        trees.before.get(name, _NOTHING),
        trees.after.get(name, _NOTHING),
        change.slow,
        name,
        unobserved=change.unobserved,
    )
    note = (
        ""
        if change.compared is None
        else '<p class="quiet">It is drawn of all its slow operations, and not only of those that are compared.</p>'
    )
    return (
        f'<details class="exemplar difference-of"{" open" if shown else ""}><summary><b>{markup(name)}</b> '
        f"{figures.exact(seconds.before)} before, {figures.exact(seconds.after)} after: "
        f"{verdict(figures.operation_verdict(change))}</summary>"
        f'{note}<div class="wide">{picture}</div>'
        f'<p class="pointed quiet" id="pointed-{index}" role="status" data-scripted hidden>'
        "Point at a box, or go through them with the arrow keys, to see its seconds.</p></details>"
    )
