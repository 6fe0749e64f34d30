"""What a profile says at a glance: where its seconds went, without its samples."""

from __future__ import annotations

import re
from collections import Counter
from datetime import UTC, datetime
from typing import Annotated, TypedDict, cast

from profkit.masking import Masker
from profkit.masking.keys import Kind
from profkit_storage import Frame, Origin, Profile, ProfileEntry, State, Status, Trigger

_TOP = 25
_MAX_CHILDREN = 100
_AWAIT = "[await]"
_HEX_ID = re.compile(r"[0-9a-f]{16}|[0-9a-f]{32}")
"""A span's id, and a trace's or a UUID."""


class ProfileRow(TypedDict):
    """A stored profile as its store lists it."""

    id: str
    operation: str
    category: str
    service: str
    start: Annotated[str, "UTC, ISO 8601, to the millisecond"]
    wall: Annotated[float, "seconds"]
    status: Annotated[str, Status]
    trigger: Annotated[str, Trigger, "why it was kept"]
    size: Annotated[int, "bytes"]


class HotFunction(TypedDict):
    """Where wall seconds were spent: a function by itself, or awaiting."""

    function: str
    module: str
    origin: Annotated[str, "its distribution, or what kind of code it is"]
    awaiting: bool
    called_from: Annotated[str, "the nearest of the application's functions that led there"]
    seconds: float
    share: Annotated[float, "of all seconds, also those that no sample stands for, 0 to 1"]


class ChildRow(TypedDict):
    """An operation inside the profile's."""

    name: str
    category: str
    start: Annotated[float, "seconds after the profile's"]
    seconds: float


class ProfileCounts(TypedDict):
    """How many of each a profile holds."""

    samples: int
    children: int
    branches: Annotated[int, "tasks and threads that it started"]


class ProfileSampling(TypedDict):
    """How a profile was made."""

    engine: str
    interval: Annotated[float, "seconds"]
    ticks: int
    sampler_cpu: Annotated[float, "CPU seconds of the sampler's own"]
    unobserved: Annotated[float, "seconds that no sample stands for"]


class ProfileSummary(TypedDict):
    """What a profile says at a glance. The seconds of a capture of the whole process are thread-seconds."""

    id: str
    operation: str
    category: str
    service: str
    version: Annotated[str, "of the service"]
    host: str
    pid: int
    python: str
    status: Annotated[str, Status]
    trigger: Annotated[str, Trigger, "why it was kept"]
    start: Annotated[str, "UTC, ISO 8601, to the millisecond"]
    wall: Annotated[float, "seconds"]
    cpu: Annotated[float | None, "seconds; null where there is no clock for it"]
    threshold: Annotated[float, "seconds from which on it was slow"]
    weight: Annotated[float, "how many slow operations it stands for"]
    request_id: str
    trace_id: str
    span_id: str
    tags: dict[str, object]
    states: Annotated[dict[str, float], "seconds by state: running, waiting, starved, held, gc"]
    hottest: Annotated[list[HotFunction], "the 25 with most seconds"]
    children: Annotated[list[ChildRow], "the first 100"]
    counts: ProfileCounts
    sampling: ProfileSampling


def describe_entry(entry: ProfileEntry, masker: Masker) -> ProfileRow:
    """Return what the store's listing says of a profile."""
    return {
        "id": entry.id,
        "operation": masker.mask_text(entry.operation),
        "category": masker.mask_text(entry.category),
        "service": masker.mask_text(entry.service),
        "start": iso(entry.start_ns),
        "wall": entry.wall,
        "status": entry.status.value,
        "trigger": entry.trigger.value,
        "size": entry.size,
    }


def summary(profile: Profile, masker: Masker) -> ProfileSummary:
    """Return identity, states and hottest functions. Bounded whatever the profile holds."""
    mask, sampling = masker.mask_text, profile.sampling
    return {
        "id": profile.id,
        "operation": mask(profile.operation),
        "category": mask(profile.category),
        "service": mask(profile.service),
        "version": masker.mask_text_under(profile.version, Kind.HASH),  # it may be a commit
        "host": mask(profile.host),
        "pid": profile.pid,
        "python": mask(profile.python),
        "status": profile.status.value,
        "trigger": profile.trigger.value,
        "start": iso(profile.start_ns),
        "wall": profile.wall,
        "cpu": profile.cpu,
        "threshold": profile.threshold,
        "weight": profile.weight,
        "request_id": mask_id(profile.request_id, masker),
        "trace_id": mask_id(profile.trace_id, masker),
        "span_id": mask_id(profile.span_id, masker),
        "tags": cast("dict[str, object]", masker.mask(dict(profile.tags))),
        "states": _states(profile),
        "hottest": _hottest(profile, masker),
        "children": [
            {
                "name": mask(child.name),
                "category": mask(child.category),
                "start": round(child.start, 4),
                "seconds": round(child.end - child.start, 4),
            }
            for child in profile.children[:_MAX_CHILDREN]
        ],
        "counts": {
            "samples": len(profile.samples),
            "children": len(profile.children) + sampling.dropped_children,
            "branches": len(profile.branches),
        },
        "sampling": {
            "engine": mask(sampling.engine),
            "interval": sampling.interval,
            "ticks": sampling.ticks,
            "sampler_cpu": round(sampling.sampler_cpu, 4),
            "unobserved": round(sampling.unobserved, 4),
        },
    }


def mask_id(text: str, masker: Masker) -> str:
    """Return an id, masked unless it is one by its form: a caller may send anything as the id of his request."""
    return text if _HEX_ID.fullmatch(text) else masker.mask_text(text)


def iso(nanoseconds: int) -> str:
    """Return a UTC time to the millisecond, from nanoseconds since the epoch."""
    return datetime.fromtimestamp(nanoseconds // 1_000_000 / 1000, UTC).isoformat(timespec="milliseconds")


def _states(profile: Profile) -> dict[str, float]:
    seconds: Counter[State] = Counter()
    for sample in profile.samples:
        seconds[sample.state] += sample.wall  # type: ignore[assignment]  # a Counter of floats
    return {state.value: round(spent, 4) for state, spent in seconds.most_common()}


def _hottest(profile: Profile, masker: Masker) -> list[HotFunction]:
    """The functions in which most wall seconds were spent by themselves, awaiting or not, and what led there."""
    places: dict[int, tuple[int, bool, int]] = {}
    wall: dict[tuple[int, bool, int], float] = {}
    for sample in profile.samples:
        place = places.get(sample.node)
        if place is None:
            place = places[sample.node] = _place(profile, sample.node)
        wall[place] = wall.get(place, 0.0) + sample.wall
    total = sum(wall.values()) + profile.sampling.unobserved or 1.0
    ranked = sorted(wall.items(), key=lambda item: -item[1])[:_TOP]
    return [
        {
            "function": masker.mask_text(profile.frames[leaf].qualname),
            "module": masker.mask_text(profile.frames[leaf].module),
            "origin": _origin(profile.frames[leaf], masker),
            "awaiting": awaiting,
            "called_from": masker.mask_text(profile.frames[owner].qualname) if owner >= 0 else "",
            "seconds": round(spent, 4),
            "share": round(spent / total, 4),
        }
        for (leaf, awaiting, owner), spent in ranked
    ]


def _place(profile: Profile, node: int) -> tuple[int, bool, int]:
    """Return the frame in which a sample was, whether it awaited something, and the owner; -1 for no owner."""
    parent, leaf, _ = profile.nodes[node]
    frame = profile.frames[leaf]
    if parent >= 0 and frame.origin is Origin.SYNTHETIC and frame.qualname == _AWAIT:
        above = profile.nodes[parent].frame
        if (
            profile.frames[above].origin is not Origin.SYNTHETIC
        ):  # the innermost that awaits says more than "[await]"
            return above, True, _owner(profile, parent)
    return leaf, False, _owner(profile, node)


def _owner(profile: Profile, node: int) -> int:
    """Return the nearest of the application's frames, from the leaf up; without one what called the leaf, or -1."""
    caller, leaf = -1, node
    while node >= 0:
        parent, frame, _ = profile.nodes[node]
        origin = profile.frames[frame].origin
        if origin is Origin.APPLICATION:
            return frame
        if caller < 0 and node != leaf and origin is not Origin.SYNTHETIC:
            caller = frame
        node = parent
    return caller


def _origin(frame: Frame, masker: Masker) -> str:
    return masker.mask_text(frame.distribution) or frame.origin.value
