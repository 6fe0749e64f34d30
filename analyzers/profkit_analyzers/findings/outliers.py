"""One host, or one version, whose slow operations take longer than the others', by a test and not by looks.

Of each operation, host and version the durations are counted in steps of 2 %. One of them is compared with all the
others of that operation together by the rank-sum test of Mann and Whitney (Annals of Mathematical Statistics 18, 1947),
with the normal approximation, corrected for ties; the level is divided by the number of comparisons (Bonferroni).
Each stored profile is one observation whatever its weight: its copies are not known to have been as slow.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from profkit_analyzers.findings.finding import Evidence, Finding, Unit
from profkit_analyzers.findings.tally import EXEMPLARS, MICRO, NANO, Bounded, Example
from profkit_storage import Profile

LEAST_PROFILES = 10
"""Of one host, and of the others together: with fewer the test's approximation does not hold."""
LEAST_RATIO = 1.2
"""Of the medians. Less may be true and is no reason to look at a host."""
LEVEL = 0.01
"""How often, at the most, chance alone would make one finding in an operation."""
MAX_GROUPS = 200
"""Hosts, and versions, of one operation that are compared: of more, some that no order of reading decides."""
MAX_OPERATIONS = 2_000
_STEP = math.log(1.02)
_SHORTEST = 1e-6
_ADVICE = {
    "slow_host": "Compare that host with the others: load, neighbours, hardware, network, limits, its data.",
    "slow_version": "Compare the two with profkit diff; take the release back if its date fits.",
}


@dataclass(slots=True)
class _Group:
    """Of one host or version: operations in millionths, durations counted by steps, the worst profiles."""

    operations: int = 0
    counts: dict[int, int] = field(default_factory=dict[int, int])
    worst: tuple[Example, ...] = ()

    def merge(self, other: _Group) -> None:
        self.operations += other.operations
        for step, count in other.counts.items():
            self.counts[step] = self.counts.get(step, 0) + count
        self.worst = tuple(sorted({*self.worst, *other.worst}, reverse=True)[:EXEMPLARS])


_Groups = Bounded[str, _Group]


class Outliers:
    """The durations of slow operations by host and by version."""

    def __init__(self) -> None:
        self._found: Bounded[tuple[str, str], _Groups] = Bounded(2 * MAX_OPERATIONS)

    def see(self, profile: Profile) -> None:
        """Count one profile."""
        wall = round(profile.wall * NANO)
        step = math.ceil(math.log(max(profile.wall, _SHORTEST)) / _STEP)
        for pattern, name in (("slow_host", profile.host), ("slow_version", profile.version)):
            if name:
                one = _Group(round(profile.weight * MICRO), {step: 1}, (Example(wall, profile.id),))
                self._add((pattern, profile.operation), name, one)

    def merge(self, other: Outliers) -> None:
        """Add what the other has seen to this."""
        for key, groups in other._found.items():
            for name, group in groups.items():
                self._add(key, name, group)

    def _add(self, key: tuple[str, str], name: str, group: _Group) -> None:
        if not self._found.admits(key):
            return
        groups = self._found.setdefault(key, Bounded(MAX_GROUPS))
        if groups.admits(name):
            groups.setdefault(name, _Group()).merge(group)

    def results(self) -> Iterator[Finding]:
        """Yield those that are slower than the rest."""
        for (pattern, operation), bounded in self._found.settled().items():
            groups = bounded.settled()
            if len(groups) < 2:
                continue
            rest = _Group()
            for group in groups.values():
                rest.merge(group)
            for name, group in sorted(groups.items()):
                others = _without(rest.counts, group.counts)
                found = _compared(group, others, len(groups))
                if found is not None:
                    yield _finding(pattern, operation, name, group, found)


@dataclass(frozen=True, slots=True)
class _Difference:
    """Medians in seconds, how many profiles there are, and how likely chance alone makes it as large."""

    median: float
    others: float
    profiles: int
    rest: int
    chance: float


def _compared(group: _Group, others: Mapping[int, int], groups: int) -> _Difference | None:
    ours, theirs = sum(group.counts.values()), sum(others.values())
    if min(ours, theirs) < LEAST_PROFILES:
        return None
    median, rest = _median(group.counts), _median(others)
    if median < LEAST_RATIO * rest:
        return None
    chance = _chance(group.counts, others) * groups
    return _Difference(median, rest, ours, theirs, chance) if chance <= LEVEL else None


def _without(all_of_them: Mapping[int, int], these: Mapping[int, int]) -> dict[int, int]:
    return {step: left for step, count in all_of_them.items() if (left := count - these.get(step, 0))}


def _median(counts: Mapping[int, int]) -> float:
    half = sum(counts.values()) / 2
    for step in sorted(counts):
        half -= counts[step]
        if half <= 0:
            return math.exp((step - 0.5) * _STEP)
    return 0.0


def _chance(ours: Mapping[int, int], theirs: Mapping[int, int]) -> float:
    """Return how likely ours rank as high or higher by chance, if they are no slower: the one-sided p of the test.

    With m and n observations, U counts the pairs in which ours is longer, a tie for a half. U is about normal, of mean
    mn/2 and variance mn/12 (N + 1 - sum(t^3 - t) / (N (N - 1))), N = m + n, t the sizes of the groups of ties.
    """
    m, n = sum(ours.values()), sum(theirs.values())
    below, u, ties = 0, 0.0, 0
    for step in sorted({*ours, *theirs}):
        mine, others = ours.get(step, 0), theirs.get(step, 0)
        u += mine * (below + others / 2)
        below += others
        ties += (mine + others) ** 3 - (mine + others)
    every = m + n
    variance = m * n / 12 * (every + 1 - ties / (every * (every - 1)))
    if variance <= 0:
        return 1.0
    # Half a step, for a count that is taken as continuous.
    return 0.5 * math.erfc((u - m * n / 2 - 0.5) / math.sqrt(2 * variance))


def _finding(pattern: str, operation: str, name: str, group: _Group, found: _Difference) -> Finding:
    operations = group.operations / MICRO
    return Finding(
        pattern=pattern,
        operation=operation,
        place=name,
        seconds=(found.median - found.others) * operations,
        operations=operations,
        advice=_ADVICE[pattern],
        evidence=(
            Evidence("median here", found.median, Unit.SECONDS),
            Evidence("median of the others", found.others, Unit.SECONDS),
            Evidence("as long", found.median / found.others, Unit.TIMES),
            Evidence("profiles here", found.profiles, Unit.COUNT),
            Evidence("profiles of the others", found.rest, Unit.COUNT),
            Evidence("probability by chance, at the most", found.chance, Unit.SHARE),
        ),
        exemplars=tuple(example.id for example in group.worst),
    )
