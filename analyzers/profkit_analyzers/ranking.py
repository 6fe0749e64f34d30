"""What the slow operations cost, by blame: summaries that merge, in any grouping, to the same result.

For operation i of wall W_i, budget B and weight w_i: excess E_i = max(0, W_i - B); T_ik is the seconds of blame k in
it; C_ik, what would be saved without k, is T_ik (branches that ran side by side are not looked at yet: every sample
already counts its share of the wall clock only).

    recoverable R_k = sum_i w_i * min(C_ik, E_i)        rescued_k = sum_i w_i * [C_ik >= E_i > 0]

Sums are whole numbers (nanoseconds, millionths of an operation), so no order of adding changes a digit.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import NamedTuple

from profkit_analyzers.attribution import attribute
from profkit_analyzers.blame import Blame
from profkit_analyzers.quantiles import DurationSketch
from profkit_storage import Profile
from profkit_storage.categories import CategoryTable

NANO = 1_000_000_000
MICRO = 1_000_000


class Example(NamedTuple):
    """One operation's part in a cost, nanoseconds; the greatest is the worst example."""

    saved: int
    spent: int
    id: str


_NO_EXAMPLE = Example(-1, -1, "")


@dataclass(slots=True)
class Cost:
    """What one blame cost: `spent` and `recoverable` in nanoseconds, `operations` and `rescued` in millionths."""

    spent: int = 0
    recoverable: int = 0
    operations: int = 0
    rescued: int = 0
    worst: Example = _NO_EXAMPLE

    def merge(self, other: Cost) -> None:
        """Add the other to this."""
        self.spent += other.spent
        self.recoverable += other.recoverable
        self.operations += other.operations
        self.rescued += other.rescued
        self.worst = max(self.worst, other.worst)


@dataclass(slots=True)
class OperationSummary:
    """All profiles of one operation; `slowest` is (nanoseconds, id).

    `nested` of the `profiles` ran inside another operation's; `counted` nanoseconds of `spent` are those of the others,
    as are `unobserved` ones and `costs` by blame.
    """

    profiles: int = 0
    nested: int = 0
    operations: int = 0
    spent: int = 0
    counted: int = 0
    unobserved: int = 0
    slowest: tuple[int, str] = (-1, "")
    durations: DurationSketch = field(default_factory=DurationSketch)
    costs: dict[Blame, Cost] = field(default_factory=dict[Blame, Cost])

    def merge(self, other: OperationSummary) -> None:
        """Add the other to this."""
        self.profiles += other.profiles
        self.nested += other.nested
        self.operations += other.operations
        self.spent += other.spent
        self.counted += other.counted
        self.unobserved += other.unobserved
        self.slowest = max(self.slowest, other.slowest)
        self.durations.merge(other.durations)
        for blame, cost in other.costs.items():
            self.costs.setdefault(blame, Cost()).merge(cost)


class Summary:
    """What is kept of any number of profiles: its size grows with operations and places in code, not with profiles."""

    def __init__(self) -> None:
        self.operations: dict[str, OperationSummary] = {}

    def add(
        self, profile: Profile, table: CategoryTable, budget: float | None = None, *, nested: bool = False
    ) -> None:
        """Add one slow operation. `budget` is seconds; None takes the threshold it was captured under.

        A `nested` one ran inside another that is added as well: its seconds are blamed there.
        """
        entry = self.operations.setdefault(profile.operation, OperationSummary())
        weight = round(profile.weight * MICRO)
        wall = round(profile.wall * NANO)
        entry.profiles += 1
        entry.nested += nested
        entry.operations += weight
        entry.spent += _times(weight, wall)
        entry.slowest = max(entry.slowest, (wall, profile.id))
        entry.durations.add(profile.wall, weight)
        if not nested:
            entry.counted += _times(weight, wall)
            _add_costs(entry, profile, table, budget)

    def nested(self) -> Summary:
        """Return the same with all of it nested in something that is counted elsewhere."""
        found = Summary()
        for name, operation in self.operations.items():
            found.operations[name] = replace(
                operation, nested=operation.profiles, counted=0, unobserved=0, costs={}
            )
        return found

    def merge(self, other: Summary) -> None:
        """Add what the other has seen to this."""
        for name, operation in other.operations.items():
            self.operations.setdefault(name, OperationSummary()).merge(operation)


def _add_costs(entry: OperationSummary, profile: Profile, table: CategoryTable, budget: float | None) -> None:
    weight = round(profile.weight * MICRO)
    allowed = profile.threshold if budget is None else budget
    excess = max(0, round(profile.wall * NANO) - round(allowed * NANO))
    found = attribute(profile, table)
    entry.unobserved += _times(weight, round(found.unobserved * NANO))
    for blame, seconds in found.seconds.items():
        spent = round(seconds * NANO)
        saved = min(spent, excess)
        cost = Cost(
            spent=_times(weight, spent),
            recoverable=_times(weight, saved),
            operations=weight,
            rescued=weight if spent >= excess > 0 else 0,
            worst=Example(saved, spent, profile.id),
        )
        entry.costs.setdefault(blame, Cost()).merge(cost)


def _times(weight: int, nanoseconds: int) -> int:
    return weight * nanoseconds // MICRO
