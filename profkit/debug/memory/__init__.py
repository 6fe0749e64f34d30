"""How much memory this process uses, for what, and what keeps it alive."""

from profkit.debug.memory.report import MemoryReport, memory_report

__all__ = ["MemoryReport", "memory_report"]
