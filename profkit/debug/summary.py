"""What a profile says at a glance: where its seconds went, without its samples."""

from __future__ import annotations

import re
from collections import Counter
from datetime import UTC, datetime

from profkit.masking import Masker
from profkit.masking.keys import Kind
from profkit_storage import Frame, Origin, Profile, ProfileEntry, State

_TOP = 25
_MAX_CHILDREN = 100
_AWAIT = "[await]"
_HEX_ID = re.compile(r"[0-9a-f]{16}|[0-9a-f]{32}")
"""A span's id, and a trace's or a UUID."""


def describe_entry(entry: ProfileEntry, masker: Masker) -> dict[str, object]:
    """Return what the store's listing says of a profile; seconds and bytes."""
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


def summary(profile: Profile, masker: Masker) -> dict[str, object]:
    """Return identity, states and hottest functions; seconds. Bounded whatever the profile holds."""
    plain = ("id", "wall", "cpu", "threshold", "weight", "pid")
    text = ("operation", "category", "service", "host", "python")
    ids = ("request_id", "trace_id", "span_id")
    sampling = profile.sampling
    return {
        **{name: getattr(profile, name) for name in plain},
        **{name: masker.mask_text(getattr(profile, name)) for name in text},
        **{name: mask_id(getattr(profile, name), masker) for name in ids},
        "version": masker.mask_text_under(profile.version, Kind.HASH),  # it may be a commit
        "status": profile.status.value,
        "trigger": profile.trigger.value,
        "start": iso(profile.start_ns),
        "tags": masker.mask(dict(profile.tags)),
        "states": _states(profile),
        "hottest": _hottest(profile, masker),
        "children": [
            {
                "name": masker.mask_text(child.name),
                "category": masker.mask_text(child.category),
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
            "engine": masker.mask_text(sampling.engine),
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


def _hottest(profile: Profile, masker: Masker) -> list[dict[str, object]]:
    """The functions in which most wall seconds were spent by themselves, awaiting or not, and what led there."""
    places: dict[int, tuple[int, bool, int]] = {}
    wall: dict[tuple[int, bool, int], float] = {}
    for sample in profile.samples:
        place = places.get(sample.node)
        if place is None:
            place = places[sample.node] = _place(profile, sample.node)
        wall[place] = wall.get(place, 0.0) + sample.wall
    total = sum(wall.values()) or 1.0
    ranked = sorted(wall.items(), key=lambda item: -item[1])[:_TOP]
    return [
        {
            **_function(profile.frames[leaf], masker),
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


def _function(frame: Frame, masker: Masker) -> dict[str, object]:
    return {
        "function": masker.mask_text(frame.qualname),
        "module": masker.mask_text(frame.module),
        "origin": masker.mask_text(frame.distribution) or frame.origin.value,
    }
