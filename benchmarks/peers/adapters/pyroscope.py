"""pyroscope-io: its agent samples all threads, waiting ones too, with a tag around each operation."""

from __future__ import annotations

import gzip
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from importlib import import_module

from benchmarks.peers.adapters.base import Peer
from benchmarks.peers.pprof import Pprof, bytes_of, fields
from benchmarks.peers.stacks import Stack, shares

_TAG = "operation"


class Pyroscope(Peer):
    """`oncpu` and `gil_only` off, so that it sees time and not only CPU time; all else by default (100 Hz)."""

    def start(self) -> None:
        self._agent = import_module("pyroscope")
        self._agent.configure(
            application_name="peers", server_address=self.around.sink, oncpu=False, gil_only=False
        )

    def stop(self) -> None:
        self._agent.shutdown()

    def operation(self) -> AbstractContextManager[object]:
        tagged: AbstractContextManager[object] = self._agent.tag_wrapper({_TAG: "measured"})
        return tagged

    def shares(self, names: Sequence[str]) -> dict[str, float]:
        return shares(self._stacks(), names)

    def _stacks(self) -> Iterator[Stack]:
        for file in sorted(self.around.received.glob("*.Push")):
            for profile in _pushed(gzip.decompress(file.read_bytes())):
                for sample in profile.samples():
                    if _TAG in sample.labels:
                        yield sample.functions, sum(sample.values.values())


def _pushed(request: bytes) -> Iterator[Pprof]:
    """Yield the profiles of a push request: series (1), their samples (2), the profile itself (1)."""
    for series in _all(request, 1):
        for sample in _all(series, 2):
            for profile in _all(sample, 1):
                yield Pprof(gzip.decompress(profile) if profile.startswith(b"\x1f\x8b") else profile)


def _all(message: bytes, number: int) -> Iterator[bytes]:
    return (bytes_of(value) for field, value in fields(message) if field == number)
