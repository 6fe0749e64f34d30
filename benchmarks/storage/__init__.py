"""What must hold of the store, measured: `python -m benchmarks.storage [ROW ...]` prints figures and their limits."""

from __future__ import annotations

from benchmarks.guards.measuring import Measurement, Row
from benchmarks.storage.compacting import compacted_bytes, compaction_memory, load_from_block
from benchmarks.storage.encoding import decoding, stored_bytes
from benchmarks.storage.scanning import scan_of_an_hour
from benchmarks.storage.writing import puts_with_fsync

__all__ = ["ROWS", "Measurement", "Row"]

ROWS: tuple[Row, ...] = (
    stored_bytes,
    decoding,
    scan_of_an_hour,
    puts_with_fsync,
    compacted_bytes,
    load_from_block,
    compaction_memory,
)
"""About a quarter of an hour in all, nearly all of it the last one's."""
