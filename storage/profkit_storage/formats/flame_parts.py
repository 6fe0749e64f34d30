"""The parts of a page that the scripts fill in: the flame graph with its legend, and the call tree."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from profkit_storage.formats.boxes import SMALLER, Box, spent_by_category, spent_by_state
from profkit_storage.formats.durations import in_seconds
from profkit_storage.formats.flame_data import LABELS
from profkit_storage.formats.flame_svg import SHADED, patterns
from profkit_storage.profile import State

_GRAPH = """<section class="flame-part" aria-labelledby="flame-title"><h2 id="flame-title">Flame graph</h2>
<div class="flame-tools" data-scripted hidden>
<label for="flame-search">Search</label>
<input type="search" id="flame-search" placeholder="function, module or file" autocomplete="off" \
spellcheck="false" aria-keyshortcuts="/" aria-describedby="flame-found">
<button type="button" id="flame-reset" disabled>Reset zoom</button>
<p id="flame-found" role="status"></p>
</div>
{patterns}
<div class="flame-graph" id="flame-graph"><noscript><p>The graph and the call tree are drawn by a script, and scripts \
are off. The rest of the page needs none.</p></noscript></div>
<div class="flame-details" data-scripted hidden>
<div id="flame-details" aria-hidden="true"><p class="quiet">Point at a box, or step through them with the arrow keys. \
A click or Enter zooms, / searches, Escape takes the search back and then the zoom, T goes to the box's \
row in the call tree.</p></div>
<button type="button" id="flame-to-tree">Show in the call tree</button>
</div>
<h3>Colours: whose code, and its own seconds</h3>
<ul class="flame-legend">{categories}</ul>
<h3>Shading</h3>
<ul class="flame-legend">{shades}</ul>
{smaller}
</section>"""

_TREE = """<section class="flame-part" data-scripted hidden aria-labelledby="tree-title">
<h2 id="tree-title">Call tree</h2>
<p class="quiet" id="tree-help">Arrow keys go through it: right opens, left closes. Enter, or a double click, shows \
the row's box in the flame graph.</p>
<div class="tree-frame">
<div class="tree" id="flame-tree" role="treegrid" aria-labelledby="tree-title" aria-describedby="tree-help" \
tabindex="0"></div>
</div>
</section>"""


def graph_section(boxes: Sequence[Box]) -> str:
    """Return the flame graph's part: search, the graph, details, legends. A page has one, and needs the patterns."""
    return _GRAPH.format(
        patterns=patterns(),
        categories="".join(_category_items(boxes)),
        shades="".join(_shade_items(boxes)),
        smaller=_smaller(boxes),
    )


def tree_section() -> str:
    """Return the call tree's part."""
    return _TREE


def _category_items(boxes: Sequence[Box]) -> Iterator[str]:
    for name, seconds in spent_by_category(boxes).items():
        spent = in_seconds(seconds) if seconds else "none"
        yield f'<li><span class="swatch {name}"></span>{LABELS.get(name, name)} <b>{spent}</b></li>'


def _shade_items(boxes: Sequence[Box]) -> Iterator[str]:
    spent = spent_by_state(boxes)
    for state in (State.RUNNING, *SHADED):
        fill = f'<rect width="100%" height="100%" fill="url(#flame-{state})"/>' if state in SHADED else ""
        if spent[state] or state in (State.RUNNING, State.WAITING):
            yield f'<li><svg class="swatch own" aria-hidden="true">{fill}</svg>{state}</li>'
    if any(box.marks for box in boxes):
        edge = '<rect class="mark" width="4" height="100%"/>'
        yield f'<li><svg class="swatch own" aria-hidden="true">{edge}</svg>other operations ran in it</li>'


def _smaller(boxes: Sequence[Box]) -> str:
    shown = sum(box.count == 1 for box in boxes)
    rest = sum(box.count for box in boxes) - shown
    if not rest:
        return ""
    return (
        f'<p class="quiet">The {shown:,} boxes with most seconds are shown each by itself; {rest:,} others, below the '
        f"same callers, are summed up as {SMALLER}.</p>"
    )
