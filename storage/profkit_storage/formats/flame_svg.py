"""The bare picture of a flame graph, and what the script's drawing shares with it."""

from __future__ import annotations

import html
from collections.abc import Iterator, Sequence

from profkit_storage.formats.boxes import RUNTIME_STATES, UNOBSERVED, Box
from profkit_storage.formats.durations import in_seconds
from profkit_storage.formats.names import legible, markup
from profkit_storage.functions import function_name
from profkit_storage.profile import State

SHADED = State.WAITING, State.STARVED, State.HELD, State.GC
"""The states that have a pattern, `flame-STATE` by its id."""

_ROW = 20
_NARROW = 1.0
_LETTER = 7.3
"""Pixels: a row's height, the least width that is drawn, a letter's width at most."""

_PATTERNS = {
    State.WAITING: '<path d="M-1 9L9 -1M-1 1L1 -1M7 9L9 7"/>',
    State.STARVED: '<circle cx="2" cy="2" r="1.1"/><circle cx="6" cy="6" r="1.1"/>',
    State.HELD: '<path d="M-1 9L9 -1M-1 -1L9 9"/>',
    State.GC: '<path d="M0 2H8M0 6H8"/>',
}


def patterns() -> str:
    """Return an element that shows nothing and holds the patterns; a page with a picture needs it once."""
    shapes = "".join(
        f'<pattern id="flame-{state}" width="8" height="8" patternUnits="userSpaceOnUse">{shape}</pattern>'
        for state, shape in _PATTERNS.items()
    )
    return f'<svg class="flame-patterns" width="0" height="0" aria-hidden="true"><defs>{shapes}</defs></svg>'


def drawn(boxes: Sequence[Box], width: int) -> str:
    """Return the boxes (callers before what they call) as one SVG element, `width` pixels wide."""
    scale = width / boxes[0].seconds if boxes[0].seconds > 0 else 0.0
    lefts, depths = _places(boxes)
    shown = [index for index, box in enumerate(boxes) if box.seconds * scale >= _NARROW or index == 0]
    height = (max(depths[index] for index in shown) + 1) * _ROW
    parts: list[str] = []
    for index in shown:
        left, top = lefts[index] * scale, depths[index] * _ROW
        kind = boxes[index].category if index else "whole"
        parts += _drawn_box(boxes[index], kind, boxes[0].seconds, (left, top, scale))
    return (
        f'<svg class="flame" width="{width}" height="{height}" viewBox="0 0 {width} {height}" role="img" '
        f'aria-label="Flame graph of {markup(boxes[0].frame.qualname)}">{"".join(parts)}</svg>'
    )


def figure(seconds: float) -> tuple[str, float]:
    """Return seconds as a table's cell."""
    return in_seconds(seconds), seconds


def _places(boxes: Sequence[Box]) -> tuple[list[float], list[int]]:
    """Return where each box begins, in seconds from the left, and how deep it is."""
    lefts, depths, free = [0.0], [0], [0.0]
    for box in boxes[1:]:
        lefts.append(free[box.parent])
        depths.append(depths[box.parent] + 1)
        free.append(lefts[-1])
        free[box.parent] += box.seconds
    return lefts, depths


def _drawn_box(box: Box, kind: str, whole: float, place: tuple[float, float, float]) -> Iterator[str]:
    left, top, scale = place
    width = max(box.seconds * scale - 1, 0.5)
    share = box.seconds / whole if whole > 0 else 0.0
    marks = "".join(f"; operation {legible(mark.name)}" for mark in box.marks)
    title = f"{legible(function_name(box.frame))}: {in_seconds(box.seconds)}, {share * 100:.1f} %{marks}"
    yield f'<g class="box {kind}"><title>{html.escape(title)}</title>'
    yield f'<rect class="fill" x="{left:.2f}" y="{top}" width="{width:.2f}" height="{_ROW - 1}"/>'
    end = left + box.seconds * scale
    for state, seconds in reversed(_own(box)):
        end -= seconds * scale
        if seconds * scale >= _NARROW:
            at = f'x="{end:.2f}" y="{top}" width="{seconds * scale - 1:.2f}" height="{_ROW - 1}"'
            if state in RUNTIME_STATES:
                yield f'<rect class="fill runtime" {at}/>'
            if state in SHADED:
                yield f'<rect fill="url(#flame-{state})" {at}/>'
    if box.marks:
        yield f'<rect class="mark" x="{left:.2f}" y="{top}" width="{min(width, 4):.2f}" height="{_ROW - 1}"/>'
    letters = int((width - 10) / _LETTER)
    if letters >= 3:
        name = legible(box.frame.qualname)
        label = name if len(name) <= letters else f"{name[: letters - 1]}\N{HORIZONTAL ELLIPSIS}"
        yield f'<text x="{left + 7:.2f}" y="{top + 14}">{markup(label)}</text>'
    yield "</g>"


def _own(box: Box) -> list[tuple[str, float]]:
    order = (*State, UNOBSERVED)
    return [(state, box.own[state]) for state in order if box.own.get(state)]
