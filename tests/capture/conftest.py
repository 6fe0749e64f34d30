"""Fixtures for the capture engine: a profiler whose profiles land in a list, and work of known length."""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

import pytest

from profkit import PerformanceProfiler, Settings
from profkit_storage import Profile


class Captured:
    """A profiler and what it captured."""

    def __init__(self, **settings: Any) -> None:
        self.profiles: list[Profile] = []
        settings = {"threshold": 0.05, "interval": 0.002, "service": "tests"} | settings
        # Most tests are about truth, on machines so crowded that the limit would leave them few samples.
        settings = {"max_overhead": 1.0, "max_profiles_per_operation": 0, "max_profiles": 0} | settings
        self.profiler = PerformanceProfiler(Settings(on_profile=self.profiles.append, **settings))
        self.ticks: list[int] = []
        self._each_tick, self.profiler.sampler._each_tick = self.profiler.sampler._each_tick, self._tick

    def _tick(self) -> None:
        self.ticks.append(time.time_ns())
        self._each_tick()

    def longest_gap(self, profile: Profile) -> float:
        """Seconds for which the sampler did not come to look: what happened meanwhile it cannot tell."""
        ended = profile.start_ns + int(profile.wall * 1e9)
        ticks = (tick for tick in self.ticks if profile.start_ns < tick < ended)
        return max(after - before for before, after in pairwise([profile.start_ns, *ticks, ended])) / 1e9

    def all(self) -> list[Profile]:
        """Wait for the background and return what was captured, in order of beginning."""
        assert self.profiler.flush(5)
        assert not self.profiler.faults.counts()
        return sorted(self.profiles, key=lambda profile: profile.start_ns)

    def one(self) -> Profile:
        """Return the only profile there is."""
        (profile,) = self.all()
        return profile


@pytest.fixture
def make_captured() -> Iterator[Callable[..., Captured]]:
    made: list[Captured] = []

    def make(**settings: Any) -> Captured:
        made.append(Captured(**settings))
        return made[-1]

    yield make
    for captured in made:
        captured.profiler.shutdown()
        assert not captured.profiler.registry, "an operation was left in flight"


@pytest.fixture
def captured(make_captured: Callable[..., Captured]) -> Captured:
    return make_captured()


@pytest.fixture
def spin() -> Callable[[float], None]:
    def spin(seconds: float) -> None:
        until = time.perf_counter() + seconds
        while time.perf_counter() < until:
            sum(range(50))

    return spin


@pytest.fixture
def seconds_of() -> Callable[[Profile], dict[str, float]]:
    """Seconds in which each function's name is anywhere in the stack."""

    def seconds_of(profile: Profile) -> dict[str, float]:
        seconds: dict[str, float] = defaultdict(float)
        for sample in profile.samples:
            for name in {frame.qualname.rpartition(".")[2] for frame, _ in profile.stack(sample.node)}:
                seconds[name] += sample.wall
        return seconds

    return seconds_of


@pytest.fixture
def roots_of() -> Callable[[Profile], set[str]]:
    """The names of the functions that the stacks start at."""

    def roots_of(profile: Profile) -> set[str]:
        leaves = {sample.node for sample in profile.samples}
        return {list(profile.stack(leaf))[-1][0].qualname.rpartition(".")[2] for leaf in leaves}

    return roots_of


@pytest.fixture
def assert_conserved() -> Callable[[Profile], None]:
    """The samples' seconds plus the unobserved ones are the operation's, within 1 %."""

    def assert_conserved(profile: Profile) -> None:
        total = sum(sample.wall for sample in profile.samples) + profile.sampling.unobserved
        assert total == pytest.approx(profile.wall, rel=0.01)

    return assert_conserved
