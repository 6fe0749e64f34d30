"""What `stats()` returns."""

from __future__ import annotations

from typing import Annotated, TypedDict


class SpoolCounts(TypedDict):
    """Profiles that wait on this machine's disk for their store, and what became of the others."""

    waiting: int
    bytes: int
    delivered: int
    dropped: Annotated[dict[str, int], "by reason"]


class SamplerCounts(TypedDict):
    """What the thread that watches has done so far."""

    ticks: int
    interval: Annotated[float, "seconds between two ticks as its cost allows them"]
    cpu_seconds: float
    asleep: Annotated[bool, "nothing is in flight"]


class Stats(TypedDict):
    """Counts since the start: operations, what became of them, and every loss with its reason.

    Of the `slow` ones those that are `kept` have a profile, and `dropped` tells why others have none; the rest is
    `queued`.
    """

    active: bool
    operations: int
    in_flight: int
    errors: int
    slow: int
    kept: int
    dropped: Annotated[dict[str, int], "slow operations without a profile, by reason"]
    over_limit: Annotated[dict[str, int], "others that would have been kept, by trigger"]
    recorded: Annotated[int, "profiles, whatever their trigger"]
    rollups_stored: int
    queued: int
    queued_bytes: int
    spool: SpoolCounts | None
    faults: Annotated[dict[str, int], "inner errors, by kind"]
    sampler: SamplerCounts
