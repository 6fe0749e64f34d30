"""What must hold of the store, measured: `python -m benchmarks.storage [ROW ...]` prints figures and their limits."""

from __future__ import annotations

from benchmarks.guards.measuring import Measurement, Row
from benchmarks.storage.compacting import compacted_bytes, compaction_memory, load_from_block
from benchmarks.storage.encoding import decoding, stored_bytes

__all__ = ["ROWS", "Measurement", "Row"]

ROWS: tuple[Row, ...] = (stored_bytes, decoding, compacted_bytes, load_from_block, compaction_memory)
"""About a quarter of an hour in all, nearly all of it the last one's."""
