"""Offline analysis of stored profiles: which bottleneck to mend first."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from profkit_analyzers.analyzer import ProfileAnalyzer
    from profkit_analyzers.attribution import Rule
    from profkit_analyzers.blame import Blame, CallSite
    from profkit_analyzers.budgets import Budgets, load_budgets
    from profkit_analyzers.cluster import DaskCluster
    from profkit_analyzers.comparer import ProfileComparer, Source
    from profkit_analyzers.comparing import Exposure
    from profkit_analyzers.comparison import BottleneckChange, Comparison, OperationChange, Verdict
    from profkit_analyzers.engine import InProcess, ProcessPool
    from profkit_analyzers.explanation import ChildReason, Explanation, Role, SampleGroup, Step, explain
    from profkit_analyzers.levels import Goal, Level
    from profkit_analyzers.objectives import Objective, Objectives, default_objectives, load_objectives
    from profkit_analyzers.populations import Population, populations_by, populations_of
    from profkit_analyzers.report import Bottleneck, Evidence, OperationStats, Report
    from profkit_analyzers.service_levels import OperationLevels, ServiceLevels, Span, WindowLevels
    from profkit_analyzers.skipping import Skipped
    from profkit_analyzers.slo import service_levels_of

__all__ = [
    "ProfileAnalyzer",
    "Report",
    "Bottleneck",
    "Evidence",
    "OperationStats",
    "Skipped",
    "Blame",
    "CallSite",
    "Budgets",
    "load_budgets",
    "ProfileComparer",
    "Source",
    "Exposure",
    "Comparison",
    "OperationChange",
    "BottleneckChange",
    "Verdict",
    "InProcess",
    "ProcessPool",
    "DaskCluster",
    "explain",
    "Explanation",
    "SampleGroup",
    "Step",
    "Role",
    "ChildReason",
    "Rule",
    "Population",
    "populations_of",
    "populations_by",
    "ServiceLevels",
    "OperationLevels",
    "WindowLevels",
    "Level",
    "Goal",
    "Span",
    "service_levels_of",
    "Objective",
    "Objectives",
    "default_objectives",
    "load_objectives",
]

_MODULES = {
    "ProfileAnalyzer": "analyzer",
    "Blame": "blame",
    "CallSite": "blame",
    "Budgets": "budgets",
    "load_budgets": "budgets",
    "ProfileComparer": "comparer",
    "Source": "comparer",
    "Exposure": "comparing",
    "Comparison": "comparison",
    "OperationChange": "comparison",
    "BottleneckChange": "comparison",
    "Verdict": "comparison",
    "InProcess": "engine",
    "ProcessPool": "engine",
    "DaskCluster": "cluster",
    "Skipped": "skipping",
    "Rule": "attribution",
    **dict.fromkeys(("explain", "Explanation", "SampleGroup", "Step", "Role", "ChildReason"), "explanation"),
    "Population": "populations",
    "populations_of": "populations",
    "populations_by": "populations",
    "ServiceLevels": "service_levels",
    "OperationLevels": "service_levels",
    "WindowLevels": "service_levels",
    "Span": "service_levels",
    "Level": "levels",
    "Goal": "levels",
    "service_levels_of": "slo",
    "Objective": "objectives",
    "Objectives": "objectives",
    "default_objectives": "objectives",
    "load_objectives": "objectives",
}

if not TYPE_CHECKING:
    # Imported when they are asked for: the command goes through here before it can end quietly at an interrupt.
    def __getattr__(name: str) -> object:
        if name not in __all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(import_module(f"{__name__}.{_MODULES.get(name, 'report')}"), name)
