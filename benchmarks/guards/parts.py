"""Two seconds of four known parts: where the profile says they were, beside what the clock says."""

from __future__ import annotations

import time

import orjson

from benchmarks.guards.measuring import Measurement, wall_seconds, watching
from benchmarks.guards.shares import innermost
from benchmarks.guards.work import spin
from profkit_storage import Profile


def known_parts() -> tuple[Measurement, ...]:
    """CPU, CPU, a sleep and a C serializer: the largest error of a part, in per cent of the operation's time."""
    profiles: list[Profile] = []
    truth: dict[str, float] = {}
    with watching(profiles, threshold=0.5) as profiler:
        profiler.profile(_run_parts)(truth)
        profiler.flush()
    (profile,) = profiles
    seen = innermost(profile, truth)
    errors = [abs(seen[name] - truth[name]) / profile.wall * 100 for name in truth]
    parts = ", ".join(f"{name} {seen[name]:.3f} s of {truth[name]:.3f} s" for name in truth)
    detail = f"{parts}; {profile.sampling.ticks} ticks"
    name = "four known parts of 2 s, largest error"
    return (Measurement(name, max(errors), 2.0, "% of the operation", detail, slack=1.0),)


def _run_parts(truth: dict[str, float]) -> None:
    for part in (first_spin, second_spin, pause, serialize):
        truth[part.__name__] = wall_seconds(part)


def first_spin() -> None:
    """Half a second in Python."""
    spin(0.5)


def second_spin() -> None:
    """Seven tenths of a second in Python."""
    spin(0.7)


def pause() -> None:
    """Four tenths of a second asleep."""
    time.sleep(0.4)


def serialize() -> None:
    """Four tenths of a second in a C serializer that holds the GIL for about 20 ms at a time."""
    data = [{"id": number, "name": f"row {number}", "price": number / 7} for number in range(100_000)]
    until = time.perf_counter() + 0.4
    while time.perf_counter() < until:
        orjson.dumps(data)
