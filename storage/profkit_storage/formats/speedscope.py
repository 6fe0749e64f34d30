"""The file format of speedscope.app ("sampled" profiles): every stack and second, none folded or left out.

pyinstrument's own speedscope renderer drops what is under 1 % of the whole; this one does not. Of one profile, samples
are in order of time; of a merge there is no time, and stacks are in the order of its tree, each once.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import NamedTuple

from profkit_storage.formats.names import safe
from profkit_storage.merging import MergedProfile
from profkit_storage.profile import Frame, Node, Profile

SCHEMA = "https://www.speedscope.app/file-format-schema.json"
"""How speedscope knows its own files. Nothing is fetched from there."""

_Stack = tuple[int, ...]


class _Timeline(NamedTuple):
    """What speedscope calls a profile: stacks, and the seconds of each."""

    name: str
    samples: list[_Stack]
    weights: list[float]


def render(profile: Profile) -> str:
    """Return a speedscope file: a timeline for each root of the operation (a process has several) and each branch.

    While n of them are pending at once each has 1/n of the time, so a timeline's length is its part of the operation's.
    """
    name = f"{safe(profile.operation)} {profile.id}"
    stacks = _Stacks(profile.nodes)
    roots = {stacks.of(sample.node)[0] for sample in profile.samples if sample.branch < 0}
    timelines: dict[tuple[int, int], _Timeline] = {}
    for sample in profile.samples:
        stack = stacks.of(sample.node)
        key = (sample.branch, stack[0] if sample.branch < 0 else -1)
        timeline = timelines.get(key)
        if timeline is None:
            timeline = timelines[key] = _Timeline(
                _name(profile, *key, name if len(roots) < 2 else ""), [], []
            )
        timeline.samples.append(stack)
        timeline.weights.append(sample.wall)
    ordered = sorted(timelines.items(), key=lambda item: item[0][0])  # the operation first, then its branches
    return _document(name, profile.frames, [timeline for _, timeline in ordered])


def render_merged(merged: MergedProfile) -> str:
    """Return a speedscope file of a merge: a timeline for each operation and status."""
    stacks = _Stacks(merged.nodes)
    timelines: dict[int, _Timeline] = {}
    for part, spent in merged.in_order():
        number = merged.source_of[part.node]
        timeline = timelines.get(number)
        if timeline is None:
            source = merged.sources[number]
            timeline = timelines[number] = _Timeline(f"{safe(source.operation)} {source.status}", [], [])
        timeline.samples.append(stacks.of(part.node))
        timeline.weights.append(spent.wall)
    return _document(safe(merged.title), merged.frames, list(timelines.values()))


class _Stacks:
    """The indices of each stack's frames, root first; each made once."""

    def __init__(self, nodes: Sequence[Node]) -> None:
        self._nodes = nodes
        self._known: dict[int, _Stack] = {}

    def of(self, leaf: int) -> _Stack:
        known = self._known.get(leaf)
        if known is None:
            indices: list[int] = []
            node = leaf
            while node >= 0:
                indices.append(self._nodes[node].frame)
                node = self._nodes[node].parent
            known = self._known[leaf] = tuple(reversed(indices))
        return known


def _name(profile: Profile, branch: int, root: int, name: str) -> str:
    if branch >= 0:
        return safe(profile.branches[branch].name)
    return name or safe(profile.frames[root].qualname)


def _document(name: str, frames: Sequence[Frame], timelines: Sequence[_Timeline]) -> str:
    document = {
        "$schema": SCHEMA,
        "name": name,
        "exporter": "profkit",
        "activeProfileIndex": 0,
        "shared": {"frames": [_frame(frame) for frame in frames]},
        "profiles": [_timeline(timeline) for timeline in timelines or [_Timeline(name, [], [])]],
    }
    return json.dumps(document)


def _frame(frame: Frame) -> dict[str, object]:
    described: dict[str, object] = {"name": safe(frame.qualname)}
    if frame.filename:
        described.update(file=safe(frame.filename), line=frame.first_line)
    return described


def _timeline(timeline: _Timeline) -> dict[str, object]:
    return {
        "type": "sampled",
        "name": timeline.name,
        "unit": "seconds",
        "startValue": 0,
        "endValue": sum(timeline.weights),
        "samples": timeline.samples,
        "weights": timeline.weights,
    }
