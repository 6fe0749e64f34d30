"""Ready checks: disk, memory, event loop, profile store."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime

import psutil

import profkit
from profkit.debug.health import Check, HealthChecker, Probe
from profkit.debug.results import CheckResult, Health
from profkit.profiler import PerformanceProfiler
from profkit_storage import ProfileQuery


class DependencyChecker:
    """Ready checks for what a process needs; each method returns one for `HealthChecker.add`."""

    @staticmethod
    def disk(path: str, *, free_bytes: int = 500_000_000, free_share: float = 0.0) -> Check:
        """Check that a file system has room: so many bytes, and so large a share of it."""

        def check() -> CheckResult:
            usage = psutil.disk_usage(path)
            enough = usage.free >= free_bytes and usage.free >= free_share * usage.total
            return _judged(enough, f"{usage.free / 1e9:.1f} of {usage.total / 1e9:.1f} GB free")

        return check

    @staticmethod
    def memory(*, available_share: float = 0.05) -> Check:
        """Check that so large a share of the host's memory is available."""

        def check() -> CheckResult:
            memory = psutil.virtual_memory()
            share = memory.available / memory.total
            return _judged(share >= available_share, f"{share:.0%} of {memory.total / 1e9:.1f} GB available")

        return check

    @staticmethod
    def event_loop(*, lag: float = 0.25) -> Check:
        """Check that the event loop which is asked comes round: that a timer is late by `lag` seconds at the most."""
        wait = 0.01

        async def check() -> CheckResult:
            began = time.perf_counter()
            await asyncio.sleep(wait)
            late = max(0.0, time.perf_counter() - began - wait)
            return _judged(late <= lag, f"a timer was {late * 1000:.0f} ms late")

        return check

    @staticmethod
    def profile_store(profiler: PerformanceProfiler | None = None) -> Check:
        """Check that the profile store answers; what waits in the spool is told."""

        def check() -> CheckResult:
            watching = profiler or profkit.default_profiler()
            storage = watching.storage
            if storage is None:
                return CheckResult(Health.DEGRADED, "no store is configured")
            next(iter(storage.scan(ProfileQuery(since=datetime.now(UTC)))), None)
            queued = watching.stats()["queued"]
            return CheckResult(Health.HEALTHY, f"{queued} profiles wait")

        return check


def default_checks(profiler: PerformanceProfiler | None, *, event_loop: bool = True) -> HealthChecker:
    """Return what can be checked of any process: its event loop if it answers in that, the host's memory, the store."""
    checks = HealthChecker()
    if event_loop:
        checks.add("event_loop", DependencyChecker.event_loop(), probes=[Probe.LIVENESS, Probe.READINESS])
    return checks.add("memory", DependencyChecker.memory(), required=False).add(
        "profile_store", DependencyChecker.profile_store(profiler), required=False
    )


def _judged(well: bool, message: str) -> CheckResult:  # noqa: FBT001
    return CheckResult(Health.HEALTHY if well else Health.UNHEALTHY, message)
