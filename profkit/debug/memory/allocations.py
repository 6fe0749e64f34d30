"""tracemalloc's blocks by line and by traceback, with no path of the server's in them."""

from __future__ import annotations

import contextlib
import functools
import os
import sys
import sysconfig
import time
import tracemalloc
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple, TypedDict, TypeVar, cast

from profkit.masking import Masker

K = TypeVar("K")
Row = TypeVar("Row", "Place", "AllocatedLine", "ChangedLine")
Frames = tuple[tuple[str, int], ...]
Trace = tuple[int, int, Frames, int]
"""As the interpreter gives it: domain, bytes, file and line of each frame with the innermost first, depth."""

_HERE = Path(__file__).parent
_OURS = {
    tracemalloc.__file__,
    *(
        str(_HERE / f"{name}.py")
        for name in ("allocations", "holds", "report", "single", "snapshots", "tracing")
    ),
}
_SAMPLER = str(_HERE.parents[1] / "sampling") + os.sep  # it goes on during a trace
_MOST_FRAMES = 25
_SLICE = 10_000
_PAUSE = 0.0002


class Place(TypedDict):
    """A line of a file; the file as short as it is imported."""

    file: str
    line: int


class AllocatedLine(Place):
    """A line, and the blocks alive that were allocated there."""

    size_bytes: int
    blocks: int


class ChangedLine(AllocatedLine):
    """The same at the end of a window, and by how much that is more than at its start."""

    size_change_bytes: int
    blocks_change: int


class ChangedTraceback(TypedDict):
    """Where blocks were allocated, the caller first and the line that allocates last, and how many."""

    frames: list[Place]
    size_bytes: int
    blocks: int
    size_change_bytes: int
    blocks_change: int


class _Sum(NamedTuple):
    size: int
    blocks: int


_NONE = _Sum(0, 0)


class Tally:
    """Blocks of one snapshot, by traceback. Uses the traces up: freed in one go, they would hold up other threads."""

    def __init__(self, traces: list[Trace]) -> None:
        known: dict[int, Frames] = {}  # the interpreter makes one tuple for all blocks of a traceback
        sizes: dict[int, int] = {}
        blocks: dict[int, int] = {}
        while traces:
            for _, size, frames, _ in traces[-_SLICE:]:
                key = id(frames)
                if key not in known:
                    known[key], sizes[key], blocks[key] = frames, 0, 0
                sizes[key] += size
                blocks[key] += 1
            del traces[-_SLICE:]
            time.sleep(_PAUSE)
        self._sums = _summed(
            {key: _Sum(sizes[key], blocks[key]) for key, frames in known.items() if not _is_ours(frames)},
            known.__getitem__,
        )

    def lines(self, top: int) -> tuple[list[AllocatedLine], int]:
        """Return the `top` lines by size, and how many more there are."""
        found = sorted(self._by_line().items(), key=lambda row: (-row[1].size, row[0]))
        rows: list[AllocatedLine] = [
            {**_place(line), "size_bytes": total.size, "blocks": total.blocks} for line, total in found[:top]
        ]
        return rows, max(0, len(found) - top)

    def changed_lines(self, before: Tally | None, top: int) -> tuple[list[ChangedLine], int]:
        """Return the `top` lines that changed most, and how many more did."""
        found = _changed(self._by_line(), before._by_line() if before else {})  # noqa: SLF001 - another of its kind
        rows: list[ChangedLine] = [
            {
                **_place(line),
                "size_bytes": total.size,
                "blocks": total.blocks,
                "size_change_bytes": change.size,
                "blocks_change": change.blocks,
            }
            for line, total, change in found[:top]
        ]
        return rows, max(0, len(found) - top)

    def changed_tracebacks(self, before: Tally | None, top: int) -> tuple[list[ChangedTraceback], int]:
        """Return the `top` tracebacks that changed most, and how many more did."""
        found = _changed(self._sums, before._sums if before else {})  # noqa: SLF001 - another of its kind
        rows: list[ChangedTraceback] = [
            {
                "frames": [_place(line) for line in reversed(frames[:_MOST_FRAMES])],
                "size_bytes": total.size,
                "blocks": total.blocks,
                "size_change_bytes": change.size,
                "blocks_change": change.blocks,
            }
            for frames, total, change in found[:top]
        ]
        return rows, max(0, len(found) - top)

    def _by_line(self) -> dict[tuple[str, int], _Sum]:
        return _summed(self._sums, lambda frames: frames[0])


T = TypeVar("T")


def _summed(sums: Mapping[T, _Sum], key_of: Callable[[T], K]) -> dict[K, _Sum]:
    found: dict[K, _Sum] = {}
    for one, (size, blocks) in sums.items():
        key = key_of(one)
        so_far = found.get(key, _NONE)
        found[key] = _Sum(so_far.size + size, so_far.blocks + blocks)
    return found


def _changed(after: Mapping[K, _Sum], before: Mapping[K, _Sum]) -> list[tuple[K, _Sum, _Sum]]:
    """Return what is not as it was, with what it is now and the difference; what changed most first."""
    rows: list[tuple[K, _Sum, _Sum]] = []
    for key in after.keys() | before.keys():
        now, then = after.get(key, _NONE), before.get(key, _NONE)
        if now.size != then.size:
            rows.append((key, now, _Sum(now.size - then.size, now.blocks - then.blocks)))
    return sorted(rows, key=lambda row: (-abs(row[2].size), -row[1].size, str(row[0])))


def _is_ours(frames: Frames) -> bool:
    return any(filename in _OURS for filename, _ in frames) or frames[0][0].startswith(_SAMPLER)


def masked(rows: list[Row], masker: Masker) -> list[Row]:
    """Return lines with the names of their files masked: generated code may have any name."""
    shown = [row.copy() for row in rows]
    for row in shown:
        row["file"] = masker.mask_text(row["file"])
    return shown


def _place(line: tuple[str, int]) -> Place:
    return {"file": short_path(line[0]), "line": line[1]}


@functools.lru_cache(maxsize=4096)
def short_path(filename: str) -> str:
    """`filename` below the directory it is imported from, the working directory or the interpreter's; else its name."""
    if filename.startswith("<"):
        return filename
    # What is no text is passed over by the import system too.
    for root in _roots(tuple(path for path in sys.path if isinstance(cast("object", path), str))):
        if filename.startswith(root):
            return filename[len(root) :]
    return Path(filename).name if Path(filename).is_absolute() else filename


@functools.lru_cache(maxsize=4)
def _roots(search_path: tuple[str, ...]) -> tuple[str, ...]:
    """Directories to leave out of a path, the longest first."""
    known = [*sysconfig.get_paths().values(), *search_path, sys.prefix, sys.base_prefix]
    with contextlib.suppress(OSError):  # the working directory may be gone
        known.append(str(Path.cwd()))
    absolute = {path.rstrip(os.sep) + os.sep for path in known if Path(path).is_absolute()}
    return tuple(sorted(absolute - {os.sep}, key=len, reverse=True))
