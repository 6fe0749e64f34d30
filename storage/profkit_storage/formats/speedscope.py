"""The file format of speedscope.app ("sampled" profiles): every stack and second, none folded or left out.

pyinstrument's own speedscope renderer drops what is under 1 % of the whole; this one does not.
"""

from __future__ import annotations

import json

from profkit_storage.formats.names import safe
from profkit_storage.profile import Frame, Profile

SCHEMA = "https://www.speedscope.app/file-format-schema.json"
"""How speedscope knows its own files. Nothing is fetched from there."""

_Stack = tuple[int, ...]


def render(profile: Profile) -> str:
    """Return a speedscope file with one timeline for each root: an operation has one, a process one a thread."""
    timelines: dict[int, tuple[list[_Stack], list[float]]] = {}
    stacks: dict[int, _Stack] = {}
    for sample in profile.samples:
        stack = stacks.get(sample.node)
        if stack is None:
            stack = stacks[sample.node] = _stack(profile, sample.node)
        samples, weights = timelines.setdefault(stack[0], ([], []))
        samples.append(stack)
        weights.append(sample.wall)
    name = f"{safe(profile.operation)} {profile.id}"
    single = len(timelines) < 2
    document = {
        "$schema": SCHEMA,
        "name": name,
        "exporter": "profkit",
        "activeProfileIndex": 0,
        "shared": {"frames": [_frame(frame) for frame in profile.frames]},
        "profiles": [
            _timeline(name if single else safe(profile.frames[root].qualname), *timeline)
            for root, timeline in timelines.items()
        ]
        or [_timeline(name, [], [])],
    }
    return json.dumps(document)


def _stack(profile: Profile, node: int) -> _Stack:
    """Return the indices of the stack's frames, root first."""
    indices: list[int] = []
    while node >= 0:
        indices.append(profile.nodes[node].frame)
        node = profile.nodes[node].parent
    return tuple(reversed(indices))


def _frame(frame: Frame) -> dict[str, object]:
    described: dict[str, object] = {"name": safe(frame.qualname)}
    if frame.filename:
        described.update(file=safe(frame.filename), line=frame.first_line)
    return described


def _timeline(name: str, samples: list[_Stack], weights: list[float]) -> dict[str, object]:
    return {
        "type": "sampled",
        "name": name,
        "unit": "seconds",
        "startValue": 0,
        "endValue": sum(weights),
        "samples": samples,
        "weights": weights,
    }
