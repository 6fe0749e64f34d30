"""Real libraries in real use, captured; and clocks inside the code that say what each second was spent on.

A clock's labels are the categories expected. The classifier never sees them: they are strings in this folder alone.
"""

from __future__ import annotations

import asyncio
import gc
import sys
import threading
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from profkit import PerformanceProfiler, Settings
from profkit_analyzers import Explanation, explain
from profkit_storage import Profile
from profkit_storage.categories import default_categories
from tests.conftest import free_port, running

_HERE = Path(__file__).parent
_SHARE = 0.08
_SECONDS = 0.02
"""By how much a category may differ from its clock: a share of the operation's wall time, and seconds."""
_LATE = 0.015
_BLIND = 0.03
_TRIES = 4
"""A look comes within so many seconds; where the machine let more than such a share pass, the case is run again."""
_SHORT = 0.001
"""Seconds; shorter collections are no matter of the runtime's, for the capture either."""


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """As the tests of the capture: what is held against a clock on a busy machine has a second try."""
    for item in items:
        if _HERE in item.path.parents:
            item.add_marker(pytest.mark.flaky(reruns=1, only_rerun=["AssertionError"]))


class Clock:
    """Seconds by label, those of an inner label taken off the outer one's; what has no label is "application"."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = defaultdict(float)
        self._labels: list[str] = []
        self._since = 0.0
        self._thread = threading.get_ident()

    def _switch(self) -> None:
        now = time.perf_counter()
        if self._labels:
            self.seconds[self._labels[-1]] += now - self._since
        self._since = now

    @contextmanager
    def __call__(self, label: str) -> Iterator[None]:
        self._enter(label)
        try:
            yield
        finally:
            self._leave()

    def _enter(self, label: str) -> None:
        self._switch()
        self._labels.append(label)

    def _leave(self) -> None:
        self._switch()
        self._labels.pop()

    def of_collections(self, phase: str, _info: dict[str, int]) -> None:
        """Take the garbage collector's time for the runtime's, as the capture does."""
        if threading.get_ident() != self._thread:
            return
        if phase == "start":
            self._enter("runtime")
            return
        took = time.perf_counter() - self._since
        self._leave()
        if took < _SHORT:
            self.seconds["runtime"] -= took
            self.seconds[self._labels[-1]] += took

    @contextmanager
    def whole(self) -> Iterator[None]:
        gc.callbacks.append(self.of_collections)
        try:
            with self("application"):
                yield
        finally:
            gc.callbacks.remove(self.of_collections)


class Watch:
    """A profiler, and how long its sampler did not come to look: what happened meanwhile nobody can tell."""

    def __init__(self) -> None:
        self.profiles: list[Profile] = []
        self.profiler = PerformanceProfiler(
            Settings(
                on_profile=self.profiles.append,
                threshold=0.05,
                interval=0.002,
                service="cases",
                max_overhead=1.0,
            )
        )
        self._ticks: list[int] = []
        sampler = self.profiler.sampler
        self._each_tick, sampler._each_tick = sampler._each_tick, self._tick

    def _tick(self) -> None:
        self._ticks.append(time.time_ns())
        self._each_tick()

    def taken(self) -> tuple[Profile, float]:
        """Return the profile, and the seconds of its gaps beyond what a look is late at any time."""
        assert self.profiler.flush(5)
        self.profiler.shutdown()
        assert not self.profiler.faults.counts()
        [profile] = self.profiles
        ended = profile.start_ns + int(profile.wall * 1e9)
        ticks = [tick for tick in self._ticks if profile.start_ns < tick < ended]
        gaps = [(after - before) / 1e9 for before, after in pairwise([profile.start_ns, *ticks, ended])]
        return profile, sum(max(0.0, gap - _LATE) for gap in gaps)


class Case:
    """One captured operation, its clock, and the seconds in which the sampler did not look."""

    def __init__(self, profile: Profile, blind: float, *, clock: Clock) -> None:
        self.profile = profile
        self.clock = clock
        self.blind = blind
        self.explanation: Explanation = explain(profile, default_categories())

    def seconds(self, **wanted: str) -> float:
        """Return the seconds blamed on what has these fields: `category="db", owner="psycopg"`."""
        return sum(
            seconds
            for blame, seconds in self.explanation.seconds().items()
            if all(getattr(blame, name) == value for name, value in wanted.items())
        )

    def categories(self) -> dict[str, float]:
        found: dict[str, float] = defaultdict(float)
        for blame, seconds in self.explanation.seconds().items():
            found[blame.category] += seconds
        return found

    def holds(self) -> None:
        """Every second is in the category that its clock says, and at a place in these tests."""
        found, clocks = self.categories(), self.clock.seconds
        told = "\n".join(
            f"{name}: found {found.get(name, 0):.3f} s, by the clock {clocks.get(name, 0):.3f} s"
            for name in sorted({*found, *clocks})
        )
        wall = self.profile.wall
        told = f"of {wall:.3f} s, {self.blind:.3f} s without a look\n{told}"
        assert sum(found.values()) + self.explanation.unobserved == pytest.approx(wall, rel=0.01)
        assert sum(clocks.values()) == pytest.approx(wall, rel=0.01, abs=0.01)
        for name in {*found, *clocks}:
            assert (
                abs(found.get(name, 0.0) - clocks.get(name, 0.0)) < _SHARE * wall + _SECONDS + self.blind
            ), told
        for blame in self.explanation.seconds():
            assert "tests.analyzers.real." in blame.call_site.name or blame.category == "runtime", blame


@pytest.fixture
def captured() -> Callable[..., Case]:
    """`captured(work, category="")`: `work(clock)`, a function or a coroutine function, run as one operation."""

    def once(work: Callable[[Clock], Awaitable[None] | None], category: str) -> Case:
        watch, clock = Watch(), Clock()

        def plain() -> None:
            with watch.profiler.operation("case", category=category), clock.whole():
                work(clock)

        async def asynchronous() -> None:
            async with watch.profiler.operation("case", category=category):
                with clock.whole():
                    awaitable: Any = work(clock)
                    await awaitable

        gc.collect()
        gc.freeze()  # what other tests have left is not to be gone through again and again
        try:
            if asyncio.iscoroutinefunction(work):
                asyncio.run(asynchronous())
            else:
                plain()
        finally:
            gc.unfreeze()
        return Case(*watch.taken(), clock=clock)

    def run(work: Callable[[Clock], Awaitable[None] | None], category: str = "") -> Case:
        tries: list[Case] = []
        while not tries or (tries[-1].blind > _BLIND * tries[-1].profile.wall and len(tries) < _TRIES):
            tries.append(once(work, category))
        return min(tries, key=lambda case: case.blind / case.profile.wall)

    return run


@pytest.fixture(scope="session")
def crunch() -> Callable[[float], None]:
    """Plain code of so many seconds."""

    def crunch(seconds: float) -> None:
        until = time.perf_counter() + seconds
        while time.perf_counter() < until:
            sum(number * number for number in range(200))

    return crunch


@pytest.fixture(scope="session")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of service.py under a uvicorn of its own."""
    import signal

    port = free_port()
    command = [sys.executable, "-m", "uvicorn", "service:app", "--port", str(port), "--log-level", "warning"]
    log = tmp_path_factory.mktemp("service") / "log"
    with running([*command, "--app-dir", str(_HERE)], port, log, signal.SIGTERM):
        yield f"http://127.0.0.1:{port}"
