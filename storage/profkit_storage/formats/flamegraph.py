"""A flame graph as one page that runs by itself and reaches nothing, and its parts: the data, and a bare picture.

`page` and `picture` take a merge, so a profile is `page(MergedProfile.of(profile), facts)`. The stylesheet and the
script are files of this package, one each. The page's policy allows these two, by their hashes, and forbids every
request.
"""

from __future__ import annotations

import html
import json
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import cache
from importlib.resources import files

from profkit_storage.categories import CategoryTable, default_categories
from profkit_storage.formats.boxes import (
    CATEGORIES,
    UNOBSERVED,
    Box,
    boxes_of,
    spent_by_category,
    spent_by_state,
)
from profkit_storage.formats.flame_svg import SHADED, drawn, in_seconds, patterns
from profkit_storage.formats.names import writable
from profkit_storage.formats.policy import policy
from profkit_storage.functions import function_name
from profkit_storage.merging import MergedProfile
from profkit_storage.profile import Profile, State

__all__ = [
    "content_security_policy",
    "data",
    "page",
    "picture",
    "render",
    "render_merged",
    "script",
    "stylesheet",
]

_LABELS = {"own": "own code", "unknown": "not known"}
_STATE_LABELS = {
    State.RUNNING: "running",
    State.WAITING: "waiting",
    State.STARVED: "starved: ready, the event loop was busy",
    State.HELD: "held: its input was there, the event loop was not",
    State.GC: "garbage collection",
}
_HOTTEST = 20
_CHILDREN = 20
_OPERATIONS = 5
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

_PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="referrer" content="no-referrer">
<meta name="viewport" content="width=device-width, initial-scale=1">
<link rel="icon" href="data:,">
<title>{title}</title>
<style>{style}</style>
</head>
<body>
{body}
<script type="application/json" id="flame-data">{data}</script>
<script>{script}</script>
</body>
</html>
"""

_BODY = """<header>
<h1>{title}</h1>
<dl class="facts">{facts}</dl>
</header>
<main>
<div class="tools">
<label>Search <input type="search" id="flame-search" placeholder="function, module or file" autocomplete="off" \
spellcheck="false" aria-keyshortcuts="/" aria-describedby="flame-found"></label>
<button type="button" id="flame-reset" disabled>Reset zoom</button>
<p id="flame-found" role="status"></p>
</div>
{patterns}
<div class="graph" id="flame-graph"><noscript><p>The graph is drawn by a script, and scripts are off. The tables below \
need none.</p></noscript></div>
<div class="details" id="flame-details" aria-hidden="true"><p class="quiet">Point at a box, or step through them with \
the arrow keys. A click or Enter zooms, Escape resets, / searches.</p></div>
<section aria-labelledby="flame-colours"><h2 id="flame-colours">Colours: whose code, and its own seconds</h2>
<ul class="legend">{categories}</ul></section>
<section aria-labelledby="flame-states"><h2 id="flame-states">Shading: what it was doing</h2>
<ul class="legend">{states}</ul></section>
{tables}
</main>
<footer><p class="quiet">profkit. This page asks nobody for anything.</p></footer>"""


def render(profile: Profile) -> str:
    """Return the profile as a page, its weight not applied."""
    return page(MergedProfile.of(profile), _facts(profile))


def render_merged(merged: MergedProfile) -> str:
    """Return a merge as a page."""
    return page(merged, _merged_facts(merged))


def page(merged: MergedProfile, facts: Mapping[str, str], table: CategoryTable | None = None) -> str:
    """Return the page, with `facts` by their names in its head.

    `table` says which code belongs to which category; None takes profkit's own.
    """
    boxes = boxes_of(merged, table or default_categories())
    title = f"{merged.title}: {in_seconds(merged.wall)}"
    return _PAGE.format(
        policy=html.escape(policy([script()], [stylesheet()])),
        title=_text(title),
        style=stylesheet(),
        script=script(),
        data=data(boxes),
        body=_body(merged, title, facts, boxes),
    )


def content_security_policy() -> str:
    """Return the header under which a page runs, reaches nothing, is framed by nobody and has an origin of its own."""
    return f"{policy([script()], [stylesheet()])}; frame-ancestors 'none'; sandbox allow-scripts"


@cache
def stylesheet() -> str:
    """Return the stylesheet, of the page and of the picture."""
    return _resource("flamegraph.css")


@cache
def script() -> str:
    """Return the script; it draws what `data` returns, in the element `flame-data`, into that named `flame-graph`."""
    return _resource("flamegraph.js")


def data(boxes: Sequence[Box]) -> str:
    """Return the boxes as JSON, which may stand in a script element.

    `texts` are all strings; what follows points into them. `boxes` are columns: `parent`, `name`, `module`, `file`,
    `line`, `category` (into `categories`). `own` are [box, state (into `states`), seconds], `held` [box, name,
    seconds], `marks` [box, name, category, calls, seconds].
    """
    texts: dict[str, int] = {}

    def at(text: str) -> int:
        return texts.setdefault(writable(text), len(texts))

    columns = {
        "parent": [box.parent for box in boxes],
        "name": [at(box.frame.qualname) for box in boxes],
        "module": [at(box.frame.module) for box in boxes],
        "file": [at(box.frame.filename) for box in boxes],
        "line": [box.line for box in boxes],
        "category": [CATEGORIES.index(box.category) for box in boxes],
    }
    states = [*map(str, State), UNOBSERVED]
    own = [
        [index, states.index(state), round(seconds, 6)]
        for index, box in enumerate(boxes)
        for state, seconds in box.own.items()
    ]
    held = [
        [index, at(name), round(seconds, 6)]
        for index, box in enumerate(boxes)
        for name, seconds in sorted(box.held_by.items(), key=lambda item: -item[1])
    ]
    marks = [
        [index, at(mark.name), at(mark.category), round(mark.calls, 2), round(mark.seconds, 6)]
        for index, box in enumerate(boxes)
        for mark in box.marks
    ]
    document = {
        "texts": list(texts),
        "categories": [*CATEGORIES],
        "labels": [_LABELS.get(name, name) for name in CATEGORIES],
        "states": states,
        "boxes": columns,
        "own": own,
        "held": held,
        "marks": marks,
    }
    return json.dumps(document, separators=(",", ":")).replace("<", "\\u003c")


def picture(merged: MergedProfile, table: CategoryTable | None = None, *, width: int = 1200) -> str:
    """Return a bare SVG element of the graph, `width` pixels wide, for a page that has the stylesheet and no script.

    Boxes under a pixel are left out. Each box has its figures as a title.
    """
    return drawn(boxes_of(merged, table or default_categories()), width)


def _resource(name: str) -> str:
    return files("profkit_storage.formats").joinpath(name).read_text(encoding="utf-8")


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


def _body(merged: MergedProfile, title: str, facts: Mapping[str, str], boxes: Sequence[Box]) -> str:
    return _BODY.format(
        title=_text(title),
        facts="".join(
            f"<div><dt>{_text(name)}</dt><dd>{_text(value)}</dd></div>"
            for name, value in facts.items()
            if value
        ),
        patterns=patterns(),
        categories="".join(_category_items(boxes)),
        states="".join(_state_items(boxes)),
        tables="".join([*_hottest(boxes), *_children(merged)]),
    )


def _category_items(boxes: Sequence[Box]) -> Iterator[str]:
    for name, seconds in spent_by_category(boxes).items():
        spent = in_seconds(seconds) if seconds else "none"
        yield f'<li><span class="swatch {name}"></span>{_LABELS.get(name, name)} <b>{spent}</b></li>'


def _state_items(boxes: Sequence[Box]) -> Iterator[str]:
    spent = spent_by_state(boxes)
    for state in (State.RUNNING, *SHADED):
        fill = f'<rect width="100%" height="100%" fill="url(#flame-{state})"/>' if state in SHADED else ""
        seconds = in_seconds(spent[state]) if spent[state] else "none"
        swatch = f'<svg class="swatch plain" aria-hidden="true">{fill}</svg>'
        yield f"<li>{swatch}{_STATE_LABELS[state]} <b>{seconds}</b></li>"
    if any(box.marks for box in boxes):
        edge = '<rect class="mark" width="4" height="100%"/>'
        yield f'<li><svg class="swatch plain" aria-hidden="true">{edge}</svg>other operations ran in it</li>'


def _hottest(boxes: Sequence[Box]) -> Iterator[str]:
    """Yield a table of the functions with most seconds of their own."""
    found: dict[tuple[str, str], float] = {}
    for box in boxes[1:]:
        # What waits has no name of its own worth reading.
        name = function_name(box.frame)
        key = f"{function_name(boxes[box.parent].frame)} {name}" if name == "[await]" else name, box.category
        if box.own:
            found[key] = found.get(key, 0.0) + sum(box.own.values())
    if not found:
        return
    rows = sorted(found.items(), key=lambda item: (-item[1], item[0]))[:_HOTTEST]
    total = boxes[0].seconds or 1.0
    cells = "".join(
        f"<tr><td>{in_seconds(own)}</td><td>{own / total * 100:.1f} %</td><td>{_text(name)}</td>"
        f'<td><span class="swatch {category}"></span>{_LABELS.get(category, category)}</td></tr>'
        for (name, category), own in rows
    )
    yield (
        '<section aria-labelledby="flame-hottest"><h2 id="flame-hottest">Functions by seconds of their own</h2>'
        '<div class="wide"><table><thead><tr><th scope="col">seconds</th><th scope="col">share</th>'
        '<th scope="col">function</th><th scope="col">of</th></tr></thead>'
        f"<tbody>{cells}</tbody></table></div></section>"
    )


def _children(merged: MergedProfile) -> Iterator[str]:
    """Yield a table of the child operations."""
    found: dict[tuple[str, str], tuple[float, float]] = {}
    for child, spent in merged.children.items():
        key = child.name, child.category
        calls, seconds = found.get(key, (0.0, 0.0))
        found[key] = calls + spent.count, seconds + spent.wall
    if not found:
        return
    rows = sorted(found.items(), key=lambda item: (-item[1][1], item[0]))[:_CHILDREN]
    more = f'<p class="quiet">and {len(found) - len(rows)} more</p>' if len(found) > len(rows) else ""
    cells = "".join(
        f"<tr><td>{in_seconds(seconds)}</td><td>{calls:,.0f}</td><td>{_text(name)}</td><td>{_text(category)}</td></tr>"
        for (name, category), (calls, seconds) in rows
    )
    yield (
        '<section aria-labelledby="flame-children"><h2 id="flame-children">Operations inside</h2>'
        '<div class="wide"><table><thead><tr><th scope="col">seconds</th><th scope="col">calls</th>'
        '<th scope="col">operation</th><th scope="col">category</th></tr></thead>'
        f"<tbody>{cells}</tbody></table></div>{more}</section>"
    )


def _moment(nanoseconds: int) -> str:
    return f"{_EPOCH + timedelta(microseconds=nanoseconds // 1000):%Y-%m-%d %H:%M:%S}"


def _text(text: str) -> str:
    return html.escape(writable(text))
