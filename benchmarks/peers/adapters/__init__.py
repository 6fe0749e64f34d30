"""The peers by name. Each module is imported only in the process that runs its peer."""

from __future__ import annotations

from importlib import import_module
from typing import NamedTuple

from benchmarks.peers.adapters.base import Peer

BARE = "bare"
"""No profiler at all: what all others are measured against, and itself, which tells how noisy the machine is."""


class Listed(NamedTuple):
    """Where a peer's adapter is, its heading in the table, and the distribution that is measured.

    `rests` tells whether it does nothing between operations, so that what is bare can be measured beside it.
    """

    module: str
    adapter: str
    heading: str
    distribution: str
    rests: bool = False


PEERS = {
    BARE: Listed("base", "Bare", "bare again", ""),
    "profkit": Listed("profkit", "Profkit", "profkit", "profkit", rests=True),
    "pyinstrument": Listed("pyinstrument", "Pyinstrument", "pyinstrument, 1 ms", "pyinstrument", rests=True),
    "fastapi-profiler": Listed(
        "fastapi_profiler", "FastapiProfiler", "fastapi-profiler", "fastapi-profiler", rests=True
    ),
    "sentry": Listed("sentry", "SentryTransactions", "sentry, transaction", "sentry-sdk", rests=True),
    "sentry-continuous": Listed("sentry", "SentryContinuous", "sentry, continuous", "sentry-sdk"),
    "pyroscope": Listed("pyroscope", "Pyroscope", "pyroscope", "pyroscope-io"),
    "ddtrace": Listed("ddtrace", "Ddtrace", "ddtrace", "ddtrace"),
    "yappi": Listed("yappi", "Yappi", "yappi, wall", "yappi"),
    "opentelemetry": Listed(
        "opentelemetry", "Opentelemetry", "opentelemetry, one span", "opentelemetry-sdk", rests=True
    ),
}


def adapter(name: str) -> type[Peer]:
    """Return the class of a peer's adapter."""
    listed = PEERS[name]
    found: type[Peer] = getattr(import_module(f"{__name__}.{listed.module}"), listed.adapter)
    return found
