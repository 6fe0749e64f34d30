"""Chains of references as an SVG image: boxes and arrows, plain attributes, nothing that needs a style or a script."""

from __future__ import annotations

from html import escape

from profkit.debug.memory.backrefs import BackrefsReport, Chain, Hop, held_by

_WIDTH, _HEIGHT = 320, 46
_GAP, _MARGIN = 40, 24
_TOP = 88
_LETTERS = 46
_LEAST = 2
_FONT = 'font-family="ui-monospace, Menlo, Consolas, monospace"'
_INK, _QUIET, _LINE, _PAPER, _PANEL, _ACCENT = (
    "#1d2329",
    "#5b656f",
    "#9aa4ad",
    "#fbfbfa",
    "#ffffff",
    "#0b62a8",
)


def svg_of(report: BackrefsReport) -> str:
    """Return the image: a column for each chain, the root on top."""
    chains = report["chains"]
    columns = max(_LEAST, len(chains))
    rows = max([len(chain["hops"]) + bool(chain["hops_left_out"]) for chain in chains], default=0)
    width = _MARGIN + columns * (_WIDTH + _MARGIN)
    height = _TOP + rows * (_HEIGHT + _GAP) + _MARGIN
    size = f'width="{width}" height="{height}"'
    title = f"What keeps {report['found']:,} objects of {report['type']} alive"
    note = (report["note"] or "").partition(". ")[0]
    summary = f"{report['looked_at']:,} objects looked at in {report['seconds']:g} s"
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" role="img" {size} viewBox="0 0 {width} {height}">',
        f"<title>{_clean(title)}</title>",
        f'<rect {size} fill="{_PAPER}"/>',
        _text(_MARGIN, 30, title, size=14, room=columns * _LETTERS),
        _text(_MARGIN, 50, note or summary, ink=_QUIET, room=columns * _LETTERS + 10),
    ]
    for number, chain in enumerate(chains):
        parts += _column(chain, _MARGIN + number * (_WIDTH + _MARGIN))
    return "\n".join([*parts, "</svg>\n"])


def _column(chain: Chain, left: int) -> list[str]:
    left_out = chain["hops_left_out"]
    plural = "" if chain["objects"] == 1 else "s"
    parts = [_text(left, _TOP - 14, f"{chain['objects']:,} object{plural} this way", ink=_ACCENT)]
    top = _TOP
    for number, hop in enumerate(chain["hops"]):
        if left_out and number == len(chain["hops"]) // 2:
            parts += [
                _arrow(left, top, None),
                _text(left + 20, top + 26, f"… {left_out:,} more …", ink=_QUIET),
            ]
            top += _HEIGHT + _GAP
        if number:
            parts.append(_arrow(left, top, held_by(chain, number)))
        parts.append(_box(left, top, hop, last=number == len(chain["hops"]) - 1))
        top += _HEIGHT + _GAP
    return parts


def _box(left: int, top: int, hop: Hop, *, last: bool) -> str:
    ink = _ACCENT if last else _LINE
    shape = f'<rect x="{left}" y="{top}" width="{_WIDTH}" height="{_HEIGHT}" rx="5" fill="{_PANEL}" stroke="{ink}"/>'
    name = hop["name"]
    full = hop["type"] if name is None else f"{hop['type']} {name}"
    texts = [_text(left + 10, top + (27 if name is None else 19), hop["type"])]
    if name is not None:
        texts.append(_text(left + 10, top + 36, name, ink=_QUIET))
    return f"<g><title>{_clean(full)}</title>{shape}{''.join(texts)}</g>"


def _arrow(left: int, top: int, by: str | None) -> str:
    middle, start, end = left + 20, top - _GAP, top - 2
    line = f'<line x1="{middle}" y1="{start}" x2="{middle}" y2="{end - 6}" stroke="{_LINE}"/>'
    head = f'<path d="M{middle - 4} {end - 7}h8l-4 7z" fill="{_LINE}"/>'
    label = "" if by is None else _text(middle + 10, start + 24, by, ink=_ACCENT)
    return line + head + label


def _text(left: int, top: int, text: str, *, ink: str = _INK, size: int = 11, room: int = _LETTERS) -> str:
    """Write text; of one too long the end is what tells it apart."""
    shown = text if len(text) <= room else "…" + text[1 - room :]
    return f'<text x="{left}" y="{top}" {_FONT} font-size="{size}" fill="{ink}">{_clean(shown)}</text>'


def _clean(text: str) -> str:
    """Return text as XML may have it."""
    return escape("".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text))
