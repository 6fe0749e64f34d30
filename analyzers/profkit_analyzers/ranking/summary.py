"""What the slow operations cost, by blame: summaries that merge, in any grouping, to the same result.

For operation i of wall W_i, budget B and weight w_i: excess E_i = max(0, W_i - B); T_ik is the seconds of blame k in
it; C_ik, what may be saved without k, is the part of T_ik on the critical path (see `critical_path`).

    recoverable R_k = sum_i w_i * min(C_ik, E_i)        rescued_k = sum_i w_i * [C_ik >= E_i > 0]
    tail_k = Cov(T_k, W) / Var(W), over the runs of one operation; with what was not observed these sum to 1

Sums are whole numbers (nanoseconds, millionths of an operation), so no order of adding changes a digit.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

from profkit_analyzers.attribution.blame import Blame
from profkit_analyzers.attribution.rulings import attribute
from profkit_analyzers.bootstrap import GROUPS, group_of
from profkit_analyzers.findings import Findings
from profkit_analyzers.pictures.history import HistorySums
from profkit_analyzers.pictures.trees import TreeSums
from profkit_analyzers.ranking.bands import band_of
from profkit_analyzers.ranking.budgets import Budgets
from profkit_analyzers.ranking.quantiles import DurationSketch
from profkit_storage import Profile, State
from profkit_storage.categories import CategoryTable

NANO = 1_000_000_000
MICRO = 1_000_000
_EXAMPLES = 3
MAX_NAMES = 20
"""Hosts and versions that are told of one row; of more, the first by name."""


class Example(NamedTuple):
    """One operation's part in a cost, nanoseconds; the greatest is the worst example."""

    saved: int
    spent: int
    id: str


class Run(NamedTuple):
    """One slow operation, as each of its costs needs to know it: nanoseconds, and its weight in millionths."""

    id: str
    weight: int
    wall: int
    excess: int
    group: int
    band: int
    start_ns: int
    host: str
    version: str


@dataclass(slots=True)
class Cost:
    """What one blame cost the runs of one operation.

    `spent`, `critical` and `recoverable` are nanoseconds, `operations` and `rescued` millionths. `groups` are the
    recoverable microseconds of each group of operations (see `bootstrap`), `bands` the nanoseconds spent in runs of
    each band (see `bands`), `product` the sum of T * W in square microseconds, times weight. `worst` are a few runs,
    the worst first; `first_ns` and `last_ns` when the first and the last of all started.
    """

    spent: int = 0
    critical: int = 0
    recoverable: int = 0
    operations: int = 0
    rescued: int = 0
    product: int = 0
    first_ns: int = 1 << 63
    last_ns: int = -1
    worst: list[Example] = field(default_factory=list[Example])
    hosts: set[str] = field(default_factory=set[str])
    versions: set[str] = field(default_factory=set[str])
    bands: dict[int, int] = field(default_factory=dict[int, int])
    groups: array[int] = field(default_factory=lambda: array("q", bytes(8 * GROUPS)))

    def add(self, run: Run, spent: int, critical: int) -> None:
        """Add what one run spent here, nanoseconds, and how much of it on its critical path."""
        # Some 25 times a profile: unpacked at once it takes 0.8 of the time.
        id, weight, wall, excess, group, band, start_ns, host, version = run
        saved = min(excess, critical)
        weighted = _times(weight, spent)
        recovered = _times(weight, saved)
        self.spent += weighted
        self.critical += weighted if critical == spent else _times(weight, critical)
        self.recoverable += recovered
        self.operations += weight
        if critical >= excess > 0:
            self.rescued += weight
        self.product += weight * (spent // 1000) * (wall // 1000)
        self.first_ns = min(self.first_ns, start_ns)
        self.last_ns = max(self.last_ns, start_ns)
        self.groups[group] += recovered // 1000
        self.bands[band] = self.bands.get(band, 0) + weighted
        worst = self.worst
        if len(worst) < _EXAMPLES or saved >= worst[-1].saved:
            self.worst = sorted([*worst, Example(saved, spent, id)], reverse=True)[:_EXAMPLES]
        if host not in self.hosts:
            _note(self.hosts, (host,))
        if version not in self.versions:
            _note(self.versions, (version,))

    def merge(self, other: Cost) -> None:
        """Add the other to this."""
        self.spent += other.spent
        self.critical += other.critical
        self.recoverable += other.recoverable
        self.operations += other.operations
        self.rescued += other.rescued
        self.product += other.product
        self.first_ns = min(self.first_ns, other.first_ns)
        self.last_ns = max(self.last_ns, other.last_ns)
        self.worst = sorted(self.worst + other.worst, reverse=True)[:_EXAMPLES]
        _note(self.hosts, other.hosts)
        _note(self.versions, other.versions)
        _sum_into(self.bands, other.bands)
        self.groups = array("q", map(int.__add__, self.groups, other.groups))


@dataclass(slots=True)
class OperationSummary:
    """All profiles of one operation; `slowest` is (nanoseconds, id).

    `nested` of the `profiles` ran inside another operation's. All from `counted` on is of the others only: their
    nanoseconds and operations, those `unobserved`, the sums of W and W * W (microseconds, times weight), operations and
    nanoseconds by band (see `bands`), and `costs` by blame.
    """

    profiles: int = 0
    nested: int = 0
    operations: int = 0
    spent: int = 0
    slowest: tuple[int, str] = (-1, "")
    durations: DurationSketch = field(default_factory=DurationSketch)
    counted: int = 0
    counted_operations: int = 0
    unobserved: int = 0
    walls: int = 0
    squares: int = 0
    bands: dict[int, int] = field(default_factory=dict[int, int])
    spent_by_band: dict[int, int] = field(default_factory=dict[int, int])
    costs: dict[Blame, Cost] = field(default_factory=dict[Blame, Cost])

    def count(self, run: Run) -> None:
        """Count a run that is not nested, but for its costs."""
        wall = run.wall // 1000
        weighted = _times(run.weight, run.wall)
        self.counted += weighted
        self.counted_operations += run.weight
        self.walls += run.weight * wall
        self.squares += run.weight * wall * wall
        self.bands[run.band] = self.bands.get(run.band, 0) + run.weight
        self.spent_by_band[run.band] = self.spent_by_band.get(run.band, 0) + weighted

    def merge(self, other: OperationSummary) -> None:
        """Add the other to this."""
        self.profiles += other.profiles
        self.nested += other.nested
        self.operations += other.operations
        self.spent += other.spent
        self.slowest = max(self.slowest, other.slowest)
        self.durations.merge(other.durations)
        self.counted += other.counted
        self.counted_operations += other.counted_operations
        self.unobserved += other.unobserved
        self.walls += other.walls
        self.squares += other.squares
        _sum_into(self.bands, other.bands)
        _sum_into(self.spent_by_band, other.spent_by_band)
        for blame, cost in other.costs.items():
            self.costs.setdefault(blame, Cost()).merge(cost)

    def nested_only(self) -> OperationSummary:
        """Return the same as if all of it had been nested."""
        return OperationSummary(
            profiles=self.profiles,
            nested=self.profiles,
            operations=self.operations,
            spent=self.spent,
            slowest=self.slowest,
            durations=self.durations,
        )

    def tail(self, product: int, spent: int) -> float:
        """Return Cov(T, W) / Var(W) of what was `spent` (nanoseconds, weighted) with that `product`.

        It is 0 if all took equally long.
        Both terms are multiplied by n * n, so that they stay whole numbers until the end.
        """
        count = self.counted_operations
        variance = self.squares * count - self.walls * self.walls
        covariance = product * count - spent * MICRO // 1000 * self.walls
        return covariance / variance if variance > 0 else 0.0


class Summary:
    """What is kept of any number of profiles: its size grows with operations and places in code, not with profiles."""

    def __init__(self) -> None:
        self.operations: dict[str, OperationSummary] = {}
        self.history = HistorySums()
        self.trees = TreeSums()
        self.findings = Findings()

    def add(
        self,
        profile: Profile,
        table: CategoryTable,
        budgets: Budgets | None = None,
        *,
        nested: bool = False,
        pictured: bool = False,
    ) -> None:
        """Add one slow operation. `budgets` of None are the thresholds that each was captured under.

        A `nested` one ran inside another that is added as well: its seconds are blamed there. With `pictured`,
        `history` and `trees` have it too.
        """
        entry = self.operations.setdefault(profile.operation, OperationSummary())
        run = _run(profile, budgets or Budgets())
        entry.profiles += 1
        entry.nested += nested
        entry.operations += run.weight
        entry.spent += _times(run.weight, run.wall)
        entry.slowest = max(entry.slowest, (run.wall, profile.id))
        entry.durations.add(profile.wall, run.weight)
        if nested:
            return
        entry.count(run)
        stacks: dict[tuple[int, State, Blame], float] | None = {} if pictured else None
        found = attribute(profile, table, stacks)
        unobserved = _times(run.weight, round(found.unobserved * NANO))
        entry.unobserved += unobserved
        for blame, seconds in found.seconds.items():
            cost = entry.costs.get(blame)
            if cost is None:
                cost = entry.costs[blame] = Cost()
            cost.add(run, round(seconds * NANO), round(found.critical[blame] * NANO))
        self.findings.see(profile, table)
        if stacks is not None:
            self.history.add(run.start_ns, run.band, run.weight, _by_category(run, found.seconds), unobserved)
            self.trees.add(profile, stacks, run.weight)

    def nested(self) -> Summary:
        """Return the same with all of it nested in something that is counted elsewhere."""
        found = Summary()
        found.operations = {name: operation.nested_only() for name, operation in self.operations.items()}
        return found

    def merge(self, other: Summary) -> None:
        """Add what the other has seen to this."""
        for name, operation in other.operations.items():
            self.operations.setdefault(name, OperationSummary()).merge(operation)
        self.history.merge(other.history)
        self.trees.merge(other.trees)
        self.findings.merge(other.findings)


def _by_category(run: Run, seconds: Mapping[Blame, float]) -> dict[str, int]:
    found: dict[str, int] = {}
    for blame, spent in seconds.items():
        found[blame.category] = found.get(blame.category, 0) + _times(run.weight, round(spent * NANO))
    return found


def _run(profile: Profile, budgets: Budgets) -> Run:
    wall = round(profile.wall * NANO)
    budget = budgets.seconds(profile.operation, profile.category, profile.threshold)
    return Run(
        profile.id,
        round(profile.weight * MICRO),
        wall,
        max(0, wall - round(budget * NANO)),
        group_of(profile.id),
        band_of(profile.wall),
        profile.start_ns,
        profile.host,
        profile.version,
    )


def _times(weight: int, nanoseconds: int) -> int:
    return weight * nanoseconds // MICRO


def _note(names: set[str], more: Iterable[str]) -> None:
    """Add names; of very many the first by name stay, whatever the order they come in."""
    names.update(more)
    if len(names) > MAX_NAMES + 1:
        names.intersection_update(sorted(names)[: MAX_NAMES + 1])


def _sum_into(sums: dict[int, int], others: dict[int, int]) -> None:
    for key, value in others.items():
        sums[key] = sums.get(key, 0) + value
