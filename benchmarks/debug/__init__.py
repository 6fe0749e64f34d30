"""What must hold of the debug routes, measured through uvicorn: `python -m benchmarks.debug` prints it."""

from __future__ import annotations

from benchmarks.debug.answers import answers
from benchmarks.debug.bad_clients import bad_clients
from benchmarks.guards import Row

__all__ = ["ROWS"]

ROWS: tuple[Row, ...] = (answers, bad_clients)
