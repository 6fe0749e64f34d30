"""tracemalloc's snapshots as lines of code, with no path of the server's in them."""

from __future__ import annotations

import contextlib
import functools
import os
import sys
import sysconfig
import tracemalloc
from pathlib import Path

_OURS = (
    tracemalloc.__file__,
    str(Path(__file__).parent / "memory.py"),
    __file__,
    str(Path(__file__).parents[1] / "sampling" / "*"),  # the sampler goes on during a trace
)


def top_lines(snapshot: tracemalloc.Snapshot, top: int) -> tuple[list[dict[str, object]], int]:
    """The `top` lines by size, `{"file", "line", "size_bytes", "blocks"}`, and how many were left out."""
    rows = _without_ours(snapshot).statistics("lineno")
    lines: list[dict[str, object]] = [
        {**_place(row.traceback), "size_bytes": row.size, "blocks": row.count} for row in rows[:top]
    ]
    return lines, max(0, len(rows) - top)


def changed_lines(
    after: tracemalloc.Snapshot, before: tracemalloc.Snapshot, top: int
) -> tuple[list[dict[str, object]], int]:
    """The `top` lines that changed most, as `top_lines` with `size_change_bytes` and `blocks_change`."""
    rows = [row for row in _without_ours(after).compare_to(_without_ours(before), "lineno") if row.size_diff]
    lines: list[dict[str, object]] = [
        {
            **_place(row.traceback),
            "size_bytes": row.size,
            "blocks": row.count,
            "size_change_bytes": row.size_diff,
            "blocks_change": row.count_diff,
        }
        for row in rows[:top]
    ]
    return lines, max(0, len(rows) - top)


@functools.lru_cache(maxsize=4096)
def short_path(filename: str) -> str:
    """`filename` below the directory it is imported from, the working directory or the interpreter's; else its name."""
    if filename.startswith("<"):
        return filename
    for root in _roots(tuple(sys.path)):
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


def _without_ours(snapshot: tracemalloc.Snapshot) -> tracemalloc.Snapshot:
    return snapshot.filter_traces(
        [tracemalloc.Filter(inclusive=False, filename_pattern=name) for name in _OURS]
    )


def _place(traceback: tracemalloc.Traceback) -> dict[str, object]:
    frame = traceback[-1]  # the most recent: where the block was allocated
    return {"file": short_path(frame.filename), "line": frame.lineno}
