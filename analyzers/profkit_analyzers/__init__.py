"""Offline analysis of stored profiles: which bottleneck to mend first."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from profkit_analyzers.analyzer import ProfileAnalyzer
    from profkit_analyzers.attribution.blame import Blame, CallSite
    from profkit_analyzers.attribution.explanation import (
        ChildReason,
        Explanation,
        Role,
        SampleGroup,
        Step,
        explain,
    )
    from profkit_analyzers.attribution.rulings import Rule
    from profkit_analyzers.changes.comparer import ProfileComparer, Source
    from profkit_analyzers.changes.comparing import Exposure
    from profkit_analyzers.changes.comparison import BottleneckChange, Comparison, OperationChange, Verdict
    from profkit_analyzers.engines.cluster import DaskCluster
    from profkit_analyzers.engines.engine import InProcess, ProcessPool
    from profkit_analyzers.populations import Population, populations_by, populations_of
    from profkit_analyzers.ranking.budgets import Budgets, load_budgets
    from profkit_analyzers.report import Bottleneck, Evidence, OperationStats, Report
    from profkit_analyzers.skipping import Skipped
    from profkit_analyzers.slo.evaluation import service_levels_of
    from profkit_analyzers.slo.levels import Goal, Level
    from profkit_analyzers.slo.objectives import Objective, Objectives, default_objectives, load_objectives
    from profkit_analyzers.slo.service_levels import OperationLevels, ServiceLevels, Span, WindowLevels

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
    "Blame": "attribution.blame",
    "CallSite": "attribution.blame",
    "Budgets": "ranking.budgets",
    "load_budgets": "ranking.budgets",
    "ProfileComparer": "changes.comparer",
    "Source": "changes.comparer",
    "Exposure": "changes.comparing",
    "Comparison": "changes.comparison",
    "OperationChange": "changes.comparison",
    "BottleneckChange": "changes.comparison",
    "Verdict": "changes.comparison",
    "InProcess": "engines.engine",
    "ProcessPool": "engines.engine",
    "DaskCluster": "engines.cluster",
    "Skipped": "skipping",
    "Rule": "attribution.rulings",
    **dict.fromkeys(
        ("explain", "Explanation", "SampleGroup", "Step", "Role", "ChildReason"), "attribution.explanation"
    ),
    "Population": "populations",
    "populations_of": "populations",
    "populations_by": "populations",
    "ServiceLevels": "slo.service_levels",
    "OperationLevels": "slo.service_levels",
    "WindowLevels": "slo.service_levels",
    "Span": "slo.service_levels",
    "Level": "slo.levels",
    "Goal": "slo.levels",
    "service_levels_of": "slo.evaluation",
    "Objective": "slo.objectives",
    "Objectives": "slo.objectives",
    "default_objectives": "slo.objectives",
    "load_objectives": "slo.objectives",
}

if not TYPE_CHECKING:
    # Imported when they are asked for: the command goes through here before it can end quietly at an interrupt.
    def __getattr__(name: str) -> object:
        if name not in __all__:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        return getattr(import_module(f"{__name__}.{_MODULES.get(name, 'report')}"), name)
