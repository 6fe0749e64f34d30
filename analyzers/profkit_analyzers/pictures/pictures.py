"""What a page draws, beside what a report says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from profkit_analyzers.pictures.history import History
from profkit_analyzers.pictures.trees import CallTree
from profkit_storage import Profile


@dataclass(frozen=True, slots=True)
class Pictures:
    """What a page draws: when the seconds were spent, the call tree of each operation, a few of the worst runs.

    `exemplars` are profiles, those of the first bottlenecks first.
    """

    history: History
    trees: Mapping[str, CallTree]
    exemplars: tuple[Profile, ...] = ()


@dataclass(frozen=True, slots=True)
class TwoSides:
    """What the page of a comparison draws: the call tree of each operation, before and after."""

    before: Mapping[str, CallTree]
    after: Mapping[str, CallTree]
