"""ddtrace: its profiler with a span around each operation."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from importlib import import_module
from typing import Any

import zstandard
from starlette.types import ASGIApp

from benchmarks.peers.adapters.base import Peer
from benchmarks.peers.pprof import Pprof
from benchmarks.peers.stacks import Stack, shares

_ZSTD = b"\x28\xb5\x2f\xfd"


class Ddtrace(Peer):
    """The profiler's defaults: stacks, memory, locks and exceptions. Nothing is patched but what it patches itself."""

    def start(self) -> None:
        os.environ |= {
            "DD_TRACE_AGENT_URL": self.around.sink,
            "DD_INSTRUMENTATION_TELEMETRY_ENABLED": "false",
            "DD_REMOTE_CONFIGURATION_ENABLED": "false",
            "DD_CRASHTRACKING_ENABLED": "false",
            "DD_SERVICE": "peers",
        }
        if self.around.keeps:
            os.environ["DD_PROFILING_OUTPUT_PPROF"] = str(self.around.scratch / "ddtrace")
        self._tracer: Any = import_module("ddtrace").tracer
        self._profiler: Any = import_module("ddtrace.profiling").Profiler()
        self._profiler.start()

    def stop(self) -> None:
        self._profiler.stop()
        self._tracer.shutdown()

    def operation(self) -> AbstractContextManager[object]:
        span: AbstractContextManager[object] = self._tracer.trace("operation")
        return span

    def middleware(self, app: ASGIApp) -> ASGIApp:
        made: ASGIApp = import_module("ddtrace.contrib.asgi").TraceMiddleware(app, tracer=self._tracer)
        return made

    def shares(self, names: Sequence[str]) -> dict[str, float]:
        return shares(self._stacks(), names)

    def _stacks(self) -> Iterator[Stack]:
        for file in sorted(self.around.scratch.glob("ddtrace.*.pprof")):
            encoded = file.read_bytes()
            if encoded.startswith(_ZSTD):
                encoded = zstandard.ZstdDecompressor().decompressobj().decompress(encoded)
            for sample in Pprof(encoded).samples():
                if "span id" in sample.labels:  # there is one span
                    yield sample.functions, sample.values["wall-time"]
