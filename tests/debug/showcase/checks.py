"""Health checks of every outcome."""

from __future__ import annotations

import asyncio

from profkit.debug import CheckResult, DependencyChecker, Health, HealthChecker
from tests.debug.showcase.hostile import HEBREW, SCRIPT
from tests.debug.showcase.scene import SECRETS, Scene


def checks(scene: Scene) -> HealthChecker:
    """Return them: healthy, degraded, failing, one that raises, one that hangs."""
    health = HealthChecker(version="2026.11.1+<b data-hostile>", keep=2.0)
    health.add(
        "event loop", DependencyChecker.event_loop(lag=5.0), probes=["liveness", "readiness", "startup"]
    )
    health.add("memory", DependencyChecker.memory(available_share=0.0))
    health.add("queue", lambda: CheckResult(Health.DEGRADED, "4,102 messages wait, 1,000 are usual"))
    health.add("payments", lambda: False)
    health.add("orders db", _unreachable, required=False)
    health.add("slow", _hang, timeout=0.2, required=False)
    health.add(SCRIPT[:100], lambda: CheckResult(Health.DEGRADED, SCRIPT), required=False)
    health.add(HEBREW, lambda: HEBREW)
    if scene.name_length:
        health.add(scene.name[:100], lambda: CheckResult(Health.UNHEALTHY, scene.name), probes=["readiness"])
    return health


async def _hang() -> None:
    await asyncio.sleep(36_000)


def _unreachable() -> None:
    raise ConnectionError(f"postgresql://orders:{SECRETS[0]}@db-1.internal: connection refused {SCRIPT}")
