"""Offline analysis of stored profiles: which bottleneck to mend first."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from profkit_analyzers.analyzer import ProfileAnalyzer
    from profkit_analyzers.blame import Blame, CallSite
    from profkit_analyzers.report import Bottleneck, OperationStats, Report, Skipped

__all__ = [
    "ProfileAnalyzer",
    "Report",
    "Bottleneck",
    "OperationStats",
    "Skipped",
    "Blame",
    "CallSite",
]

_MODULES = {"ProfileAnalyzer": "analyzer", "Blame": "blame", "CallSite": "blame"}

if not TYPE_CHECKING:
    # Imported when they are asked for: the command goes through here before it can end quietly at an interrupt.
    def __getattr__(name: str) -> object:
        if name not in __all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(import_module(f"{__name__}.{_MODULES.get(name, 'report')}"), name)
