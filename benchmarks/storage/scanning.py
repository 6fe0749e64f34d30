"""What it takes to find the profiles of an hour among those of a week."""

from __future__ import annotations

import dataclasses
import statistics
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from benchmarks.guards import measuring
from benchmarks.guards.measuring import Measurement, spread
from benchmarks.storage.profiles import NOON, Service
from profkit_storage import LocalStorage, ProfileQuery, encode
from profkit_storage.keys import profile_key
from profkit_storage.ulid import new_ulid

_PROFILES = 100_000
_DAYS = 7
_HOUR_NS = 3_600_000_000_000


def scan_of_an_hour() -> tuple[Measurement, ...]:
    """One hour of 100,000 profiles of 7 days, against all of them; each by a store newly opened."""
    with tempfile.TemporaryDirectory() as directory:
        _fill(Path(directory))
        since = datetime.fromtimestamp(NOON / 1e9, UTC) + timedelta(days=3)
        hour = ProfileQuery(since=since, until=since + timedelta(hours=1))
        found: list[tuple[float, int]] = []
        every: list[tuple[float, int]] = []
        for _ in range(measuring.PAIRS):
            found.append(_scan(directory, hour))
            every.append(_scan(directory, ProfileQuery()))
    counts = {count for _, count in found} | {count for _, count in every}
    ratios = [one / whole for (one, _), (whole, _) in zip(found, every, strict=True)]
    detail = (
        f"{statistics.median(one for one, _ in found) * 1e3:.1f} ms for {min(counts)} of them, "
        f"{statistics.median(whole for whole, _ in every) * 1e3:,.0f} ms for {max(counts):,}; {spread(ratios)}"
    )
    name = f"scan of one hour among {_PROFILES:,} local profiles of {_DAYS} days"
    return (Measurement(name, statistics.median(ratios), 1 / 50, "of a full scan", detail),)


def _scan(directory: str, query: ProfileQuery) -> tuple[float, int]:
    store = LocalStorage(directory, create=False)
    started = time.perf_counter()
    count = sum(1 for _ in store.scan(query))
    return time.perf_counter() - started, count


def _fill(root: Path) -> None:
    """Make the files that so many profiles are; all hold one of a few, since a scan opens none of them."""
    profiles = list(Service().profiles(50))
    bodies = [encode(profile) for profile in profiles]
    for number in range(_PROFILES):
        start_ns = NOON + number * _DAYS * 24 * _HOUR_NS // _PROFILES
        which = number % len(profiles)
        path = root / profile_key(
            dataclasses.replace(profiles[which], id=new_ulid(start_ns), start_ns=start_ns)
        )
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(bodies[which])
