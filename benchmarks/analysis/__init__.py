"""What must hold of `profkit analyze`, measured: `python -m benchmarks.analysis [ROW ...]`."""

from __future__ import annotations

from benchmarks.analysis.growing import growth_and_memory, report_page, two_processes
from benchmarks.analysis.peers import against_peers
from benchmarks.guards.measuring import Row

__all__ = ["ROWS"]

ROWS: tuple[Row, ...] = (against_peers, growth_and_memory, two_processes, report_page)
"""About an hour in all, a third of it to make 100,000 profiles; those are kept for the next time."""
