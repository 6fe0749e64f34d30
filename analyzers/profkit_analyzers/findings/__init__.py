"""Findings: known patterns of slowness, each with its evidence and what to do. They are told in docs/findings.md."""

from __future__ import annotations

from profkit_analyzers.findings.finding import Evidence, Finding, Unit
from profkit_analyzers.findings.summary import Findings

__all__ = ["Findings", "Finding", "Evidence", "Unit"]
