"""opentelemetry-sdk: a span around each operation, in batches, with an exporter that drops them."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractContextManager
from importlib import import_module
from typing import Any

from benchmarks.peers.adapters.base import Peer


class Opentelemetry(Peer):
    """No profiler, but what many services have around their operations already."""

    def start(self) -> None:
        tracing: Any = import_module("opentelemetry.sdk.trace")
        exporting: Any = import_module("opentelemetry.sdk.trace.export")
        self._provider = tracing.TracerProvider()
        dropping = _Dropping(exporting.SpanExportResult.SUCCESS)
        self._provider.add_span_processor(exporting.BatchSpanProcessor(dropping))
        self._tracer = self._provider.get_tracer("peers")

    def stop(self) -> None:
        self._provider.shutdown()

    def operation(self) -> AbstractContextManager[object]:
        span: AbstractContextManager[object] = self._tracer.start_as_current_span("operation")
        return span


class _Dropping:
    """A SpanExporter: takes spans and forgets them."""

    def __init__(self, success: object) -> None:
        self._success = success

    def export(self, _spans: Sequence[object]) -> object:
        """Report success."""
        return self._success

    def shutdown(self) -> None:
        """Have nothing to close."""

    def force_flush(self, _timeout_millis: int = 30_000) -> bool:
        """Have nothing to send."""
        return True
