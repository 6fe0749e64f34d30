"""Bursts of 2 to 4 ms of CPU among blocking calls of 4 to 10 ms: what database and LLM code is made of."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Iterator

from benchmarks.guards.measuring import Measurement, watching
from benchmarks.guards.shares import innermost
from benchmarks.guards.work import spin
from profkit_storage import Profile

_ROUNDS = 300
"""About three seconds."""
_MANY_LOOKS = 200
"""A slow machine affords fewer: of 80 some 25 fall into bursts, whose division has a standard deviation of 3 points."""


def bursts() -> tuple[Measurement, ...]:
    """In a thread: the largest error of a share, in points of the operation's time."""
    profiles: list[Profile] = []
    truth: dict[str, float] = {}
    with watching(profiles, threshold=0.5) as profiler:
        profiler.profile(_run)(truth)
        profiler.flush()
    few = profiles[0].sampling.ticks < _MANY_LOOKS
    slack = 8.0 if few else 3.0
    return (_compared("bursts in three functions among blocking calls", profiles[0], truth, slack),)


def bursts_in_coroutine() -> tuple[Measurement, ...]:
    """In a coroutine, where the event loop's wait is the blocking call."""
    profiles: list[Profile] = []
    truth: dict[str, float] = {}
    with watching(profiles, threshold=0.5) as profiler:
        asyncio.run(profiler.profile(_run_awaiting)(truth))
        profiler.flush()
    return (_compared("bursts in three functions among awaits", profiles[0], truth),)


def read_rows(seconds: float) -> float:
    """Take 20 % of the time."""
    return spin(seconds)


def build_page(seconds: float) -> float:
    """Take 8 % of the time."""
    return spin(seconds)


def check_token(seconds: float) -> float:
    """Take 2 % of the time."""
    return spin(seconds)


def _run(truth: dict[str, float]) -> None:
    for pause in _burst_often(truth):
        time.sleep(pause)


async def _run_awaiting(truth: dict[str, float]) -> None:
    for pause in _burst_often(truth):
        await asyncio.sleep(pause)


def _burst_often(truth: dict[str, float]) -> Iterator[float]:
    """Burst, and yield how long to wait, over and over; note the seconds of each function by the clock."""
    choices = random.Random(11)
    turns = [read_rows] * (_ROUNDS * 20 // 30) + [build_page] * (_ROUNDS * 8 // 30)
    turns += [check_token] * (_ROUNDS - len(turns))
    choices.shuffle(turns)
    for turn in turns:
        truth[turn.__name__] = truth.get(turn.__name__, 0.0) + turn(choices.uniform(0.002, 0.004))
        yield choices.uniform(0.004, 0.010)


def _compared(name: str, profile: Profile, truth: dict[str, float], slack: float = 0.0) -> Measurement:
    seen = innermost(profile, truth)
    share = {one: (seen[one] / profile.wall * 100, truth[one] / profile.wall * 100) for one in sorted(truth)}
    error = max(abs(ours - clock) for ours, clock in share.values())
    inferred = sum(sample.wall for sample in profile.samples if sample.inferred) / profile.wall
    shares = ", ".join(f"{one} {ours:.1f} of {clock:.1f} %" for one, (ours, clock) in share.items())
    detail = f"{shares}; {inferred:.0%} inferred, {profile.sampling.ticks} ticks in {profile.wall:.1f} s"
    return Measurement(f"{name}, largest error", error, 5.0, "points", detail, slack)
