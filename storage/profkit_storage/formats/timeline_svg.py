"""The picture of a timeline: an SVG element of percentages, which fits any width without a script."""

from __future__ import annotations

import html
import math
from collections.abc import Iterator, Sequence
from itertools import count as counting

from profkit_storage.formats.boxes import CATEGORIES
from profkit_storage.formats.durations import in_seconds
from profkit_storage.formats.lanes import Lane
from profkit_storage.formats.names import legible, markup
from profkit_storage.formats.states import kind_of
from profkit_storage.formats.strip import Column
from profkit_storage.profile import Profile, State

_WIDTH = 10_000
"""Units of a row's width, whatever that is in pixels."""
_NARROW = 18
"""Units that anything is wide at least, so that it can be seen."""
_TITLED = 40
"""Parts of one row that have a title each; of more, the row has one."""
_ALL_TITLED = 400
"""As many in all rows together."""
_FINEST, _GAP = 2_400, 1 / 400
"""Parts of all rows together, and how close they are in one row, of all its width; closer ones are drawn as one."""
_HEAD, _HEADING, _ROW, _STRIP = 38, 22, 32, 50
"""Pixels: the axis, a heading, a row, the states with theirs."""
_DEEPEST = 8


def drawn_timeline(
    profile: Profile,
    columns: Sequence[Column],
    operations: Sequence[Lane],
    branches: Sequence[Lane],
    span: float,
) -> str:
    """Return the picture, `span` seconds wide: an axis, a row of the states in `columns`, and a row for each lane."""
    count = len(operations) + len(branches)
    parts: list[str] = []
    top = _HEAD
    if columns:
        parts += [_heading("states", top), _strip(columns, span, top + 20)]
        top += _STRIP
    for heading, lanes in (("operations inside it", operations), ("tasks and threads it started", branches)):
        if lanes:
            parts.append(_heading(heading, top))
            top += _HEADING
        for lane in lanes:
            parts += [*_row(lane, top), _lane(lane, span, top + 18, count)]
            top += _ROW
    if 0 < profile.threshold <= span:
        parts += _threshold(profile.threshold, span, top)
    label = f"Timeline of {legible(profile.operation)}, {in_seconds(span)}. The same is in the table below."
    return (
        f'<svg class="flame-time" width="100%" height="{top}" role="img" aria-label="{html.escape(label)}">'
        f"{''.join((*_axis(span, top), *parts))}</svg>"
    )


def _axis(span: float, height: int) -> Iterator[str]:
    """Yield at most six times with their lines, at round figures."""
    step = _step(span)
    unit, scale = ("s", 1.0) if span >= 1 else ("ms", 1e3)
    for number in counting():
        at = number * step
        if at > span:
            return
        left = 100 * at / span
        anchor = "start" if left < 4 else "end" if left > 96 else "middle"
        yield f'<line class="tick" x1="{left:.3f}%" x2="{left:.3f}%" y1="{_HEAD - 6}" y2="{height}"/>'
        yield (
            f'<text class="quiet" x="{left:.3f}%" y="{_HEAD - 10}" text-anchor="{anchor}">'
            f"{round(at * scale, 9):,g} {unit}</text>"
        )


def _step(span: float) -> float:
    """Return the smallest of 1, 2 and 5 times a power of ten that divides `span` into no more than five parts."""
    power = 10.0 ** math.floor(math.log10(span / 5))
    return next(times * power for times in (1, 2, 5, 10) if times * power * 5 >= span * (1 - 1e-9))


def _threshold(seconds: float, span: float, height: int) -> Iterator[str]:
    left = 100 * seconds / span
    anchor = "start" if left < 50 else "end"
    yield f'<line class="threshold" x1="{left:.3f}%" x2="{left:.3f}%" y1="{_HEAD - 6}" y2="{height}"/>'
    yield (
        f'<text class="threshold" x="{left:.3f}%" dx="{4 if left < 50 else -4}" y="11" text-anchor="{anchor}">'
        f"threshold {in_seconds(seconds)}</text>"
    )


def _heading(text: str, top: int) -> str:
    return f'<text class="quiet" x="0" y="{top + 14}">{text}</text>'


def _row(lane: Lane, top: int) -> Iterator[str]:
    indent = 12 * min(lane.depth, _DEEPEST)
    name = markup(lane.name)
    title = f"{name} ({markup(lane.category)})" if lane.category else name
    yield (
        f'<svg x="0" y="{top}" width="64%" height="18"><title>{title}</title>'
        f'<text x="{indent}" y="13">{name}</text></svg>'
    )
    yield f'<text class="quiet" x="100%" y="{top + 13}" text-anchor="end">{_figures(lane)}</text>'


def _figures(lane: Lane) -> str:
    times = f"{len(lane.spans):,} times, " if len(lane.spans) > 1 else ""
    return f"{times}{in_seconds(lane.seconds)}"


def _lane(lane: Lane, span: float, top: int, lanes: int) -> str:
    """Return a lane's bars: each with its title where they are few, also of all `lanes` together."""
    kind = lane.category if lane.category in CATEGORIES else "other"
    begun = sorted(lane.spans)
    if len(begun) <= min(_TITLED, _ALL_TITLED // lanes):
        bars = [(_block(start, end, span), in_seconds(end - start), start, end) for start, end in begun]
    else:
        gap = span * max(_GAP, lanes / _FINEST)
        shape = "".join(_block(start, end, span) for start, end in _joined(begun, gap))
        bars = [(shape, _figures(lane), lane.start, lane.end)]
    return _stretched(
        top,
        9,
        "".join(
            f'<path class="lane {kind}" d="{shape}">'
            f"<title>{figures}, from {in_seconds(start)} to {in_seconds(end)}</title></path>"
            for shape, figures, start, end in bars
        ),
    )


def _joined(spans: Sequence[tuple[float, float]], gap: float) -> Iterator[tuple[float, float]]:
    """Yield the spans, those with less than `gap` seconds between them as one."""
    start, end = spans[0]
    for following, its_end in spans[1:]:
        if following - end < gap:
            end = max(end, its_end)
            continue
        yield start, end
        start, end = following, its_end
    yield start, end


def _block(start: float, end: float, span: float, low: float = 0.0, high: float = 1.0) -> str:
    """Return the outline of a stretch of time; `low` and `high` are the share of the row's height it has."""
    left = min(round(_WIDTH * max(0.0, start) / span), _WIDTH - _NARROW)
    width = max(round(_WIDTH * end / span) - left, _NARROW)
    top, bottom = round(100 * low), round(100 * high)
    return f"M{left} {top}h{width}v{bottom - top}h-{width}z"


def _strip(columns: Sequence[Column], span: float, top: int) -> str:
    if len(columns) <= _TITLED:
        paths = "".join(
            f'<path class="{kind_of(state)}" d="{_block(start, end, span)}">'
            f"<title>{state}, from {in_seconds(start)} to {in_seconds(end)}</title></path>"
            for start, end, shares in columns
            for state in shares
        )
        return _stretched(top, 18, paths)
    shapes = dict.fromkeys(State, "")
    for start, end, shares in columns:
        low = 0.0
        for state in State:
            share = shares.get(state, 0.0)
            if share > 0.005:
                shapes[state] += _block(start, end, span, low, min(1.0, low + share))
                low += share
    return _stretched(
        top,
        18,
        "".join(
            f'<path class="{kind_of(state)}" d="{shape}"><title>{state}</title></path>'
            for state, shape in shapes.items()
            if shape
        ),
    )


def _stretched(top: int, height: int, content: str) -> str:
    return (
        f'<svg x="0" y="{top}" width="100%" height="{height}" viewBox="0 0 {_WIDTH} 100" '
        f'preserveAspectRatio="none">{content}</svg>'
    )
