"""Two call trees as one flame graph: what takes longer in the second than in the first, and what takes less."""

from __future__ import annotations

import html
from collections.abc import Iterator
from dataclasses import dataclass, field
from heapq import nlargest

from profkit_analyzers.pictures.trees import CallTree
from profkit_storage import Frame, Origin
from profkit_storage.formats.boxes import UNOBSERVED
from profkit_storage.formats.durations import in_seconds
from profkit_storage.formats.names import legible, markup
from profkit_storage.functions import function_name

_ROW = 20
_LETTER = 7.3
_DEEPEST = 500
_MOST = 1_000
"""Boxes that are drawn, the widest."""

_STRONG, _CLEAR = 0.2, 0.05
"""Parts of all seconds by which a function has to differ to be drawn in the strongest colours."""

_UNSEEN = Frame(f"[{UNOBSERVED}]", "", 0, "", "", Origin.SYNTHETIC)


@dataclass(slots=True, eq=False)
class _Place:
    """A function below the same functions in both trees: seconds an operation, of its own and in all."""

    name: str
    depth: int
    own: list[float] = field(default_factory=lambda: [0.0, 0.0])
    total: list[float] = field(default_factory=lambda: [0.0, 0.0])
    below: dict[Frame, _Place] = field(default_factory=dict["Frame", "_Place"])
    width: float = 0.0

    @property
    def change(self) -> float:
        return self.total[1] - self.total[0]


def difference(
    before: CallTree,
    after: CallTree,
    operations: tuple[float, float],
    title: str,
    *,
    unobserved: tuple[float, float] = (0.0, 0.0),
    width: int = 1200,
) -> str:
    """Return an SVG element of two trees of the operation `title`, `width` pixels wide.

    `operations` are how many of them each tree is the sum of, since what is compared are seconds an operation;
    `unobserved` are those of each that no sample accounts for. A box is as wide as the greater of the two, its own
    seconds and what is below it; red takes longer after than before, blue less long. For a page that has the
    stylesheets of `STYLES` and page.css; it needs no script.
    """
    root = _Place(title, 0)
    for which, (tree, count) in enumerate(zip((before, after), operations, strict=True)):
        _add(root, tree, which, 1 / count if count > 0 else 0.0)
    if any(unobserved):
        root.below[_UNSEEN] = _Place(function_name(_UNSEEN), 1, list(unobserved))
    places = list(_walked(root))
    for place in reversed(places):
        place.total = [
            own + sum(one.total[which] for one in place.below.values()) for which, own in enumerate(place.own)
        ]
        place.width = max(place.own) + sum(one.width for one in place.below.values())
    # What is called is never wider than what calls it, so of the widest each has its caller.
    kept = set(nlargest(_MOST, places, key=lambda place: (place.width, -place.depth)))
    boxes = list(_laid_out(root, width, kept))
    whole = max(root.total) or 1.0
    shapes = "".join(_box(place, left, wide, whole) for place, left, wide in boxes)
    height = (1 + max(place.depth for place, _, _ in boxes)) * _ROW
    return (
        f'<svg class="flame difference" width="{width}" height="{height}" viewBox="0 0 {width} {height}" role="img" '
        f'aria-label="{markup(f"Difference flame graph of {legible(title, 200)}")}">{shapes}</svg>'
    )


def _add(root: _Place, tree: CallTree, which: int, times: float) -> None:
    places: list[_Place] = []
    for parent, frame in tree.nodes:
        above = places[parent] if parent >= 0 else root
        if above.depth >= _DEEPEST:
            places.append(above)
            continue
        key = tree.frames[frame]
        found = above.below.get(key)
        if found is None:
            found = above.below[key] = _Place(function_name(key), above.depth + 1)
        places.append(found)
    for cost in tree.costs:
        place = places[cost.node] if cost.node >= 0 else root
        place.own[which] += cost.seconds * times


def _walked(root: _Place) -> Iterator[_Place]:
    """Yield the places, callers before what they call."""
    waiting = [root]
    while waiting:
        place = waiting.pop()
        yield place
        waiting += place.below.values()


def _laid_out(root: _Place, width: int, kept: set[_Place]) -> Iterator[tuple[_Place, float, float]]:
    """Yield what is drawn, where it begins and how wide it is."""
    scale = width / root.width if root.width > 0 else 0.0
    waiting = [(root, 0.0)]
    while waiting:
        place, left = waiting.pop()
        wide = place.width * scale
        if place is not root and (wide < 1 or place not in kept):
            continue
        yield place, left, max(wide - 1, 0.5)
        for one in sorted(place.below.values(), key=lambda one: (-one.width, one.name)):
            waiting.append((one, left))
            left += one.width * scale


def _box(place: _Place, left: float, wide: float, whole: float) -> str:
    one, other = place.total
    sign = "+" if place.change >= 0 else "-"
    title = (
        f"{legible(place.name)}: {in_seconds(one)} before, {in_seconds(other)} after, "
        f"{sign}{in_seconds(abs(place.change))} an operation"
    )
    top = place.depth * _ROW
    letters = int((wide - 10) / _LETTER)
    text = ""
    if letters >= 3:
        name = legible(place.name)
        shown = name if len(name) <= letters else f"{name[: letters - 1]}\N{HORIZONTAL ELLIPSIS}"
        text = f'<text x="{left + 7:.2f}" y="{top + 14}">{markup(shown)}</text>'
    return (
        f'<g class="box {_kind(place.change / whole)}"><title>{html.escape(title)}</title>'
        f'<rect class="fill" x="{left:.2f}" y="{top}" width="{wide:.2f}" height="{_ROW - 1}"/>{text}</g>'
    )


def _kind(change: float) -> str:
    if abs(change) < 0.005:
        return "same"
    size = "strong" if abs(change) >= _STRONG else "clear" if abs(change) >= _CLEAR else "slight"
    return f"{'longer' if change > 0 else 'shorter'}-{size}"
