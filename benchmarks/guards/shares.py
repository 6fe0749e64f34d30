"""What a profile says: the seconds of the functions that are asked for, and those in a state."""

from __future__ import annotations

from collections.abc import Iterable

from profkit_storage import Profile, State


def innermost(profile: Profile, names: Iterable[str]) -> dict[str, float]:
    """Return the seconds of each name: of the samples in whose stack it is the innermost of `names`."""
    seconds = dict.fromkeys(names, 0.0)
    for sample in profile.samples:
        for frame, _ in profile.stack(sample.node):
            if frame.qualname in seconds:
                seconds[frame.qualname] += sample.wall
                break
    return seconds


def anywhere(profile: Profile, name: str) -> float:
    """Return the seconds of the samples that have a function anywhere in their stack."""
    return sum(
        sample.wall
        for sample in profile.samples
        if any(frame.qualname == name for frame, _ in profile.stack(sample.node))
    )


def in_state(profile: Profile, state: State) -> float:
    """Return the seconds of the samples in one state."""
    return sum(sample.wall for sample in profile.samples if sample.state is state)
