"""Text for a terminal: nothing stored may drive it, and nothing is wider than it."""

from __future__ import annotations

import io
import re
import shutil
import sys
from collections.abc import Iterable
from typing import NamedTuple

from rich.cells import cell_len, set_cell_size
from rich.console import Console
from rich.text import Text

_ELLIPSIS = "..."
_COLOR = re.compile(r"(\x1b\[[0-9;]*m)")


class Screen(NamedTuple):
    """What is written to: `width` in columns, None where lines may have any length; `color` if it shows colours."""

    width: int | None = None
    color: bool = False

    @classmethod
    def of_stdout(cls) -> Screen:
        """Return the terminal that standard output is, or a pipe's plain, unbounded page."""
        if not sys.stdout.isatty():
            return cls()
        return cls(max(40, shutil.get_terminal_size().columns), color=True)


def printable(text: str, *, lines: bool = False, colors: bool = False) -> str:
    r"""Return `text` with what could drive a terminal or turn its direction as `\x1b`-like escapes.

    With `lines`, line ends stay; with `colors`, colour sequences do: only for text whose names were made safe before.
    """
    if colors:
        parts = _COLOR.split(text)
        return "".join(
            part if index % 2 else printable(part, lines=lines) for index, part in enumerate(parts)
        )
    if text.isprintable():
        return text
    kept = "\n" if lines else ""
    return "".join(
        letter if letter.isprintable() or letter in kept else ascii(letter)[1:-1] for letter in text
    )


def clipped(text: str, width: int, *, keep_end: bool = False) -> str:
    """Return `text` in at most `width` columns, an ellipsis for what was taken from its end (or its start)."""
    if cell_len(text) <= width:
        return text
    room = max(0, width - len(_ELLIPSIS))
    if not keep_end:
        return set_cell_size(text, room).rstrip() + _ELLIPSIS[:width]
    while cell_len(text) > room:
        text = text[1:]
    return _ELLIPSIS[:width] + text


def written(lines: Iterable[Text | str], screen: Screen) -> str:
    """Return the lines as they are written to `screen`."""
    buffer = io.StringIO()
    console = Console(
        file=buffer,
        force_terminal=screen.color,
        color_system="standard" if screen.color else None,
        width=screen.width or 10_000,
        legacy_windows=False,
        highlight=False,
        markup=False,
        emoji=False,
    )
    for line in lines:
        console.print(line, soft_wrap=True)
    return "\n".join(line.rstrip() for line in buffer.getvalue().split("\n"))
