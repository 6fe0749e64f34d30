"""What an operation was doing at each time: its samples one after the other, or columns of them where they are many."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from profkit_storage.profile import Profile, State

COLUMNS = 240
"""Columns at most."""


class Column(NamedTuple):
    """A stretch of time, in seconds since the operation's start, and the share of it that each state has."""

    start: float
    end: float
    shares: dict[State, float]


def columns_of(profile: Profile) -> list[Column]:
    """Return the operation's time in columns, each of one state if there are few changes, else of equal widths.

    Samples are in time order, and add up to the wall seconds less those not observed; what was not observed may be
    anywhere, so it is spread evenly. Not for captures of a whole process, whose seconds are of many threads.
    """
    runs = list(_runs(profile))
    if len(runs) <= COLUMNS:
        return [Column(start, end, {state: 1.0}) for start, end, state in runs]
    width = runs[-1][1] / COLUMNS
    spent: list[dict[State, float]] = [{} for _ in range(COLUMNS)]
    for start, end, state in runs:
        at = min(int(start / width), COLUMNS - 1)
        while at < COLUMNS and (at == 0 or at * width < end):
            seconds = min(end, (at + 1) * width) - max(start, at * width)
            spent[at][state] = spent[at].get(state, 0.0) + max(0.0, seconds)
            at += 1
    return [
        Column(at * width, (at + 1) * width, {state: seconds / width for state, seconds in one.items()})
        for at, one in enumerate(spent)
    ]


def _runs(profile: Profile) -> Iterator[tuple[float, float, State]]:
    """Yield start, end and state of neighbouring samples in one state."""
    sampled = sum(sample.wall for sample in profile.samples)
    stretch = profile.wall / sampled if sampled > 0 else 0.0
    began = clock = 0.0
    state: State | None = None
    for sample in profile.samples:
        if sample.wall <= 0:
            continue
        if state is not None and sample.state is not state:
            yield began, clock, state
            began = clock
        state = sample.state
        clock += sample.wall * stretch
    if state is not None and clock > began:
        yield began, clock, state


def by_root(profile: Profile) -> list[tuple[str, dict[str, float]]]:
    """Return the seconds by state below each root, that with most not waited first: a thread or task each."""
    roots: list[int] = []
    for index, node in enumerate(profile.nodes):
        roots.append(roots[node.parent] if node.parent >= 0 else index)
    found: dict[tuple[str, int], dict[str, float]] = {}
    for sample in profile.samples:
        root = profile.frames[profile.nodes[roots[sample.node]].frame].qualname.strip("[]")
        spent = found.setdefault((root, sample.branch), {})
        spent[sample.state] = spent.get(sample.state, 0.0) + sample.wall

    def rank(item: tuple[tuple[str, int], dict[str, float]]) -> tuple[float, float]:
        whole = sum(item[1].values())
        return item[1].get(State.WAITING, 0.0) - whole, -whole

    return [(name, spent) for (name, _), spent in sorted(found.items(), key=rank)]
