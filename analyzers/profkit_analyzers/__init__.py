"""Offline analysis of stored profiles: which bottleneck to mend first."""

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
