r"""Profiles as pyinstrument sessions, and back.

A record of a pyinstrument session is (frame strings from root to leaf, seconds). A frame string is
`name \x00 file \x00 first line`, then `\x01c<class>` and `\x01l<line>`; written here, read in `imported.py`.
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from pyinstrument.session import Session

from profkit_storage.formats.imported import from_session
from profkit_storage.formats.names import safe
from profkit_storage.formats.paths import library_prefixes, source_roots
from profkit_storage.merging import MergedProfile
from profkit_storage.profile import Frame, Origin, Profile

__all__ = [
    "MAX_DEPTH",
    "THREAD",
    "from_session",
    "merged_session",
    "render",
    "render_merged",
    "to_session",
]

THREAD = "operation\x00<thread>\x000"
"""Element 0 of every record. The same for all profiles, so that sessions of different threads merge into one tree."""

MAX_DEPTH = 400
"""Frame strings in a record. pyinstrument's renderers recurse once a frame, and reading their JSON takes CPython 3.11
two levels a frame (of 1,000, less what the caller stands on): 496 was the deepest that everything survived."""

_STEP = 100
_INTERVAL = 0.001
"""Seconds between samples where it is not known; pyinstrument wants more than none."""
_LEAVES = frozenset({"[await]", "[out-of-context]"})
_Record = tuple[list[str], float]


def to_session(profile: Profile) -> Session:
    """Return a pyinstrument session with the stacks and seconds of `profile`, in order.

    Stacks deeper than `MAX_DEPTH` keep their root and their leaf side. Unobserved seconds have no stack, so they are
    in the session's duration only. States, branches, tags and child operations have no place in a session. `sys_path`
    and `sys_prefixes` (what pyinstrument shortens names and folds libraries by) come from the profile's own frames.
    """
    records = _records(profile)
    interval = profile.sampling.interval or _INTERVAL
    return Session(
        frame_records=records,
        start_time=profile.start_ns / 1e9,
        duration=profile.wall,
        min_interval=interval,
        max_interval=interval,
        sample_count=profile.sampling.ticks,
        start_call_stack=_stem(records),
        target_description=safe(f"{profile.service} {profile.id} {profile.operation}"),
        cpu_time=profile.cpu or 0.0,
        sys_path=source_roots(profile.frames),
        sys_prefixes=library_prefixes(profile.frames),
    )


def merged_session(merged: MergedProfile) -> Session:
    """Return a session with the stacks and seconds of a merge, each stack once, the one with most seconds first.

    Its duration is the sum of theirs. Made to be looked at as a tree: as a timeline it shows the tree once more.
    """
    spent: dict[int, float] = {}
    for part, seconds in merged.in_order():
        spent[part.node] = spent.get(part.node, 0.0) + seconds.wall
    cache: dict[int, list[str]] = {}
    records = [([*_stack(merged, node, cache)], wall) for node, wall in spent.items()]
    return Session(
        frame_records=records,
        start_time=merged.since / 1e9,
        duration=merged.wall,
        min_interval=merged.interval or _INTERVAL,
        max_interval=merged.interval or _INTERVAL,
        sample_count=merged.ticks,
        start_call_stack=_stem(records),
        target_description=safe(merged.title),
        cpu_time=merged.cpu,
        sys_path=source_roots(merged.frames),
        sys_prefixes=library_prefixes(merged.frames),
    )


def render(profile: Profile) -> str:
    """Return the text of a file that `pyinstrument --load` opens."""
    return json.dumps(to_session(profile).to_json())


def render_merged(merged: MergedProfile) -> str:
    """Return such a file of a merge."""
    return json.dumps(merged_session(merged).to_json())


def _stem(records: Sequence[_Record]) -> list[str]:
    """Return the stack pyinstrument may cut off when it renders: the thread, and the root that all records share."""
    roots = {stack[1].partition("\x01")[0] if len(stack) > 1 else "" for stack, _ in records}
    return [THREAD, roots.pop()] if len(roots) == 1 and "" not in roots else [THREAD]


def _records(profile: Profile) -> list[_Record]:
    cache: dict[int, list[str]] = {}
    return [([*_stack(profile, sample.node, cache)], sample.wall) for sample in profile.samples]


def _stack(profile: Profile | MergedProfile, leaf: int, cache: dict[int, list[str]]) -> list[str]:
    known = cache.get(leaf)
    if known is None:
        path = list(profile.stack(leaf))
        strings = [frame_string(frame, line, leaf=index == 0) for index, (frame, line) in enumerate(path)]
        known = cache[leaf] = [THREAD, *_shortened(strings[::-1])]
    return known


def _shortened(stack: list[str]) -> list[str]:
    """Cut the middle out of a stack that is too deep.

    The number cut is a multiple of `_STEP`: stacks of nearly the same depth then stay in one tree.
    """
    excess = len(stack) + 2 - MAX_DEPTH  # beside the stack: the thread, and the frame that tells of the cut
    if excess <= 1:
        return stack
    cut = -(-excess // _STEP) * _STEP
    return [stack[0], f"[{cut} frames left out]\x00\x000", *stack[1 + cut :]]


def frame_string(frame: Frame, line: int, *, leaf: bool) -> str:
    """Return pyinstrument's string for a frame; `leaf` tells whether it ends its stack.

    The qualified name goes into the class attribute but for its last part. Only a leaf can be a bare `[await]`:
    anywhere else pyinstrument takes no children below it.
    """
    name = safe(frame.qualname)
    if frame.origin is Origin.SYNTHETIC:
        return name if leaf and name in _LEAVES else f"{name}\x00\x000"
    at = f"\x01l{line:d}" if line > 0 else ""
    if frame.origin is Origin.NATIVE:
        return f"{name}\x00<built-in>\x000{at}"
    owner, dot, short = name.rpartition(".")
    return (
        f"{short}\x00{safe(frame.filename)}\x00{frame.first_line:d}" + (f"\x01c{owner}" if dot else "") + at
    )
