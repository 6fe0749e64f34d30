"""What checks find, and how a report of it reads."""

from __future__ import annotations

import enum
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, TypedDict

from profkit.masking import Masker, masker
from profkit.masking.keys import Kind


class Health(enum.StrEnum):
    """How something is. `degraded` still works, and is answered 200."""

    HEALTHY = "healthy"
    DEGRADED = "degraded"
    UNHEALTHY = "unhealthy"


class CheckAnswer(TypedDict):
    """What a check found."""

    status: Annotated[str, Health]
    latency_ms: float
    message: Annotated[str, "masked, at most 200 characters"]


class HealthAnswer(TypedDict):
    """The results of some checks, by name."""

    status: Annotated[str, Health, "the worst of them; of one that is not required, degraded at the worst"]
    timestamp: Annotated[str, "UTC, ISO 8601, to the millisecond"]
    version: Annotated[str, "of the application, if it was given"]
    uptime_seconds: Annotated[float, "since the checks were made"]
    checks: dict[str, CheckAnswer]


@dataclass(frozen=True, slots=True)
class CheckResult:
    """What a check found; `latency` is in seconds."""

    status: Health = Health.HEALTHY
    message: str = ""
    latency: float = 0.0


@dataclass(frozen=True, slots=True)
class HealthReport:
    """The results of some checks, by name. `uptime` is seconds since the checker was made."""

    status: Health
    timestamp: datetime
    version: str
    uptime: float
    checks: Mapping[str, CheckResult]

    def as_dict(self, masker: Masker = masker) -> HealthAnswer:
        """Return the report, masked and ready for JSON."""
        return {
            "status": self.status.value,
            "timestamp": self.timestamp.isoformat(timespec="milliseconds"),
            "version": masker.mask_text_under(self.version, Kind.HASH),  # it may be a commit
            "uptime_seconds": round(self.uptime, 1),
            "checks": {
                name: {
                    "status": one.status.value,
                    "latency_ms": round(one.latency * 1000, 1),
                    "message": masker.mask_text(one.message),
                }
                for name, one in zip(_shown(self.checks, masker), self.checks.values(), strict=True)
            },
        }


def _shown(names: Iterable[str], masker: Masker) -> list[str]:
    """Names as they may be shown, each another: two that look alike once masked have a number."""
    shown: dict[str, None] = {}
    for name in names:
        masked, number = masker.mask_text(name), 2
        free = masked
        while free in shown:
            free, number = f"{masked} ({number})", number + 1
        shown[free] = None
    return list(shown)
