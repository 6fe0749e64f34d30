"""One profile as it is stored, beside pyinstrument's JSON of the same samples."""

from __future__ import annotations

import dataclasses
import gzip
import json
import statistics
import time
from collections.abc import Callable

from pyinstrument.session import Session

from benchmarks.guards.measuring import PAIRS, Measurement
from benchmarks.storage.profiles import INTERVAL, NOON, Service
from profkit_storage import Profile, encode
from profkit_storage.codec import decode_columns
from profkit_storage.formats import pyinstrument

_PROFILES = 50


def stored_bytes() -> tuple[Measurement, ...]:
    """Bytes of a 2 s profile at depth 45, looked at every 10 ms, against pyinstrument's JSON, gzip -6."""
    profiles = _profiles()
    ours = [len(encode(profile)) for profile in profiles]
    theirs = [len(gzip.compress(_session_text(profile).encode(), 6)) for profile in profiles]
    ratio = statistics.median(one / other for one, other in zip(ours, theirs, strict=True))
    samples = statistics.median(len(profile.samples) for profile in profiles)
    detail = (
        f"{statistics.median(ours):,.0f} beside {statistics.median(theirs):,.0f} bytes, medians of {_PROFILES}; "
        f"{samples:.0f} samples of 190 looks"
    )
    return (
        Measurement(
            "stored 2 s profile at depth 45, 10 ms", ratio, 0.5, "of pyinstrument's JSON, gzip -6", detail
        ),
    )


def decoding() -> tuple[Measurement, ...]:
    """Bytes to checked columns, against pyinstrument's JSON of the same to a `Session`."""
    profiles = _profiles()
    stored = [encode(profile) for profile in profiles]
    texts = [_session_text(profile) for profile in profiles]
    pairs = [
        (
            _seconds(lambda: [decode_columns(data) for data in stored]),
            _seconds(lambda: [Session.from_json(json.loads(text)) for text in texts]),
        )
        for _ in range(PAIRS)
    ]
    times = statistics.median(theirs / ours for ours, theirs in pairs)
    ours, theirs = (statistics.median(side) / _PROFILES * 1e6 for side in zip(*pairs, strict=True))
    detail = (
        f"{ours:,.0f} us, checksum, zstd, JSON and checks, beside {theirs:,.0f} us for json.loads and from_json; "
        f"median of {PAIRS} pairs"
    )
    name = "decode to columns, against Session.from_json"
    return (
        Measurement(
            name,
            times,
            20.0,
            "times as fast",
            detail,
            at_least=True,
        ),
    )


def _session_text(profile: Profile) -> str:
    """Return pyinstrument's JSON with a record a look, as its own profiler has it; ours joins neighbours."""
    looks = [
        sample._replace(wall=sample.wall / count, cpu=sample.cpu / count)
        for sample in profile.samples
        for count in [max(1, round(sample.wall / INTERVAL))]
        for _ in range(count)
    ]
    return pyinstrument.render(dataclasses.replace(profile, samples=tuple(looks)))


def _profiles() -> list[Profile]:
    service = Service(depth=45)
    return [service.profile(NOON, 2.0) for _ in range(_PROFILES)]


def _seconds(work: Callable[[], object]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started
