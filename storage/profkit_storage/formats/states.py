"""What an operation was doing, as one bar: its seconds by state, and who had the event loop meanwhile."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from profkit_storage.formats.boxes import UNOBSERVED
from profkit_storage.formats.durations import in_seconds
from profkit_storage.formats.flame_svg import SHADED, figure
from profkit_storage.formats.names import markup
from profkit_storage.formats.tables import table
from profkit_storage.functions import function_name
from profkit_storage.merging import MergedProfile
from profkit_storage.profile import State

ORDER = (*State, UNOBSERVED)
"""The states as they stand beside each other, everywhere."""

MEANINGS = {
    State.RUNNING: "on a CPU, or in a call that does not let go",
    State.WAITING: "for input, a lock, a timer",
    State.STARVED: "ready, but the event loop was busy",
    State.HELD: "its input was there, the event loop was not",
    State.GC: "Python collected garbage",
    UNOBSERVED: "no sample stands for it",
}
_HOLDERS = 8


def kind_of(state: str) -> str:
    """Return the class that a state's colour has."""
    return "state-unobserved" if state == UNOBSERVED else f"state-{state}"


def seconds_by_state(merged: MergedProfile) -> dict[str, float]:
    """Return the seconds in each of `ORDER`."""
    found: dict[str, float] = dict.fromkeys(ORDER, 0.0)
    for part, spent in merged.parts.items():
        found[part.state] += spent.wall
    found[UNOBSERVED] += merged.unobserved
    return found


def holders(merged: MergedProfile) -> list[tuple[str, float]]:
    """Return the functions that had the event loop while this was ready to go on, with the seconds, most first."""
    found: dict[str, float] = {}
    for part, spent in merged.parts.items():
        if part.holder >= 0:
            name = function_name(merged.frames[part.holder])
            found[name] = found.get(name, 0.0) + spent.wall
    return sorted(found.items(), key=lambda item: (-item[1], item[0]))


def states_section(merged: MergedProfile) -> str:
    """Return the bar, what is in it in words, and the holders, as a part of a page."""
    spent = seconds_by_state(merged)
    whole = sum(spent.values())
    items = "".join(_items(spent, whole))
    return (
        '<section class="flame-part" aria-labelledby="flame-states"><h2 id="flame-states">What it was doing</h2>'
        f'{bar(spent, whole, 22)}<ul class="flame-legend">{items}</ul>{"".join(_held(merged))}</section>'
    )


def bar(spent: Mapping[str, float], whole: float, height: int) -> str:
    """Return the states side by side as an SVG element, as wide as where it stands; `whole` seconds are all of it."""
    parts: list[str] = []
    left = 0.0
    for state in ORDER:
        width = 100 * spent.get(state, 0.0) / whole if whole > 0 else 0.0
        if width > 0:
            parts.append(_rect(state, left, width, f"{state}: {in_seconds(spent[state])}, {width:.1f} %"))
        left += width
    return f'<svg class="flame-bar" width="100%" height="{height}" aria-hidden="true">{"".join(parts)}</svg>'


def _rect(state: str, left: float, width: float, title: str) -> str:
    place = f'x="{left:.3f}%" width="{width:.3f}%" height="100%"'
    shade = f'<rect fill="url(#flame-{state})" {place}/>' if state in SHADED else ""
    return f'<g><title>{title}</title><rect class="{kind_of(state)}" {place}/>{shade}</g>'


def _items(spent: Mapping[str, float], whole: float) -> Iterator[str]:
    for state in ORDER:
        if state == UNOBSERVED and not spent[state]:
            continue
        share = f", {100 * spent[state] / whole:.1f} %" if whole > 0 and spent[state] else ""
        seconds = in_seconds(spent[state]) if spent[state] else "none"
        fill = _rect(state, 0, 100, state)
        yield (
            f'<li><svg class="swatch" aria-hidden="true">{fill}</svg>{state} <b>{seconds}{share}</b> '
            f"<span>{MEANINGS[state]}</span></li>"
        )


def _held(merged: MergedProfile) -> Iterator[str]:
    found = holders(merged)
    if not found:
        return
    rows = [(figure(seconds), markup(name)) for name, seconds in found[:_HOLDERS]]
    rest = found[_HOLDERS:]
    yield "<h3>What had the event loop while it was ready</h3>"
    yield table((("seconds", "figure"), ("function", "code")), rows)
    if rest:
        seconds = sum(seconds for _, seconds in rest)
        yield f'<p class="quiet">and {len(rest):,} more: {in_seconds(seconds)}</p>'
