"""profkit: its decorator, with its defaults, keeping what is slow in memory."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from starlette.types import ASGIApp

from benchmarks.peers.adapters.base import Peer
from benchmarks.peers.stacks import shares
from profkit import PerformanceProfiler, Settings
from profkit.asgi import ProfilingMiddleware
from profkit_storage import Profile

R = TypeVar("R")


class Profkit(Peer):
    """Operations are slow only where their profiles are looked at, as those of most services are not."""

    def start(self) -> None:
        self._profiles: list[Profile] = []
        threshold = 0.0 if self.around.keeps else 60.0
        self._profiler = PerformanceProfiler(Settings(threshold=threshold, on_profile=self._profiles.append))

    def stop(self) -> None:
        self._profiler.shutdown()

    def wrap(self, function: Callable[[], R]) -> Callable[[], R]:
        return self._profiler.profile(function)

    def wrap_async(self, function: Callable[[], Awaitable[R]]) -> Callable[[], Awaitable[R]]:
        return self._profiler.profile(function)

    def middleware(self, app: ASGIApp) -> ASGIApp:
        return ProfilingMiddleware(app, self._profiler)

    def shares(self, names: Sequence[str]) -> dict[str, float]:
        (profile,) = self._profiles
        stacks = [
            ([frame.qualname for frame, _ in profile.stack(sample.node)], sample.wall)
            for sample in profile.samples
        ]
        return shares([*stacks, ([], profile.sampling.unobserved)], names)
