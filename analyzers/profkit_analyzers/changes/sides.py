"""Sums of slow operations by side (a window, a version, an hour), of which two or more are compared.

They merge in any order and grouping to the same: all are whole numbers. What they take grows with sides, operations and
places in code, never with profiles.
"""

from __future__ import annotations

import enum
from array import array
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from heapq import nsmallest
from typing import NamedTuple

from profkit_analyzers.attribution.blame import Blame
from profkit_analyzers.attribution.callers import inclusive
from profkit_analyzers.attribution.rulings import attribute
from profkit_analyzers.bootstrap import GROUPS, group_of
from profkit_analyzers.pictures.trees import TreeSums
from profkit_analyzers.ranking.bands import band_of
from profkit_storage import Profile, State
from profkit_storage.categories import CategoryTable

MICRO = 1_000_000
ALL = ""
"""The one side there is, where profiles are not told apart."""
_MAX_LABELS = 1_000
_SECOND = 1_000_000_000


class Place(NamedTuple):
    """What seconds are summed under, the same in every version: a deploy moves lines, seldom a function.

    `function` is `module.qualname` of the application's, "" where none was seen.
    """

    category: str
    owner: str
    function: str

    @classmethod
    def of(cls, blame: Blame) -> Place:
        """Return the place of a blame: all its lines in a function are one."""
        return cls(blame.category, blame.owner, blame.call_site.name)


class Run(NamedTuple):
    """One operation as its sums need to know it: its weight in millionths, its group and band; 0 where not asked."""

    weight: int
    group: int
    band: int

    def micros(self, seconds: float) -> int:
        """Return seconds in microseconds, times the weight."""
        return self.weight * round(seconds * MICRO) // MICRO


@dataclass(slots=True)
class Sums:
    """One figure by band of the operation's duration (see `bands`) and by group (see `bootstrap`)."""

    bands: dict[int, array[int]] = field(default_factory=dict[int, "array[int]"])

    def add(self, run: Run, amount: int, groups: int) -> None:
        """Add what one operation contributes."""
        sums = self.bands.get(run.band)
        if sums is None:
            sums = self.bands[run.band] = array("q", bytes(8 * groups))
        sums[run.group] += amount

    def merge(self, other: Sums) -> None:
        """Add the other to this."""
        for band, sums in other.bands.items():
            mine = self.bands.get(band)
            self.bands[band] = array("q", sums if mine is None else map(int.__add__, mine, sums))

    @property
    def total(self) -> int:
        """The sum of all."""
        return sum(map(sum, self.bands.values()))


@dataclass(slots=True)
class OperationSums:
    """The slow runs of one operation on one side.

    `nested` of the `profiles` ran inside another's; all else is of the others. `counts` are millionths of operations,
    everything else is microseconds: `walls`, those of each place, those of each function of the application with all
    that it calls, and of each (caller, called). `worst` has (microseconds, id) of each place. `thresholds` are the
    least and the greatest that a run was captured under, in microseconds.
    """

    profiles: int = 0
    nested: int = 0
    counts: Sums = field(default_factory=Sums)
    walls: Sums = field(default_factory=Sums)
    unobserved: int = 0
    places: dict[Place, Sums] = field(default_factory=dict[Place, Sums])
    functions: dict[str, Sums] = field(default_factory=dict[str, Sums])
    calls: dict[tuple[str, str], int] = field(default_factory=dict[tuple[str, str], int])
    worst: dict[Place, tuple[int, str]] = field(default_factory=dict[Place, tuple[int, str]])
    thresholds: tuple[int, int] = (1 << 62, 0)

    def merge(self, other: OperationSums) -> None:
        """Add the other to this."""
        self.profiles += other.profiles
        self.nested += other.nested
        self.counts.merge(other.counts)
        self.walls.merge(other.walls)
        self.unobserved += other.unobserved
        for place, sums in other.places.items():
            self.places.setdefault(place, Sums()).merge(sums)
        for name, sums in other.functions.items():
            self.functions.setdefault(name, Sums()).merge(sums)
        for call, spent in other.calls.items():
            self.calls[call] = self.calls.get(call, 0) + spent
        for place, worst in other.worst.items():
            self.worst[place] = max(worst, self.worst.get(place, (-1, "")))
        self.thresholds = (
            min(self.thresholds[0], other.thresholds[0]),
            max(self.thresholds[1], other.thresholds[1]),
        )


@dataclass(slots=True)
class Side:
    """All slow operations of one side, by name; UTC nanoseconds when the first and the last started.

    `trees` are their stacks, where these are asked for; of those nested in others, none.
    """

    operations: dict[str, OperationSums] = field(default_factory=dict[str, OperationSums])
    first_ns: int = 1 << 63
    last_ns: int = -1
    trees: TreeSums = field(default_factory=TreeSums)

    def merge(self, other: Side) -> None:
        """Add the other to this."""
        for name, sums in other.operations.items():
            self.operations.setdefault(name, OperationSums()).merge(sums)
        self.first_ns = min(self.first_ns, other.first_ns)
        self.last_ns = max(self.last_ns, other.last_ns)
        self.trees.merge(other.trees)

    def nested(self) -> Side:
        """Return the same with all of it nested in something that is counted elsewhere."""
        inner = {name: OperationSums(sums.profiles, sums.profiles) for name, sums in self.operations.items()}
        return Side(inner, self.first_ns, self.last_ns)


class Sides:
    """Sums by the label of the side. With `detail` also what tells how sure they are, and what calls what.

    `others` counts profiles by a label that was not asked for; of very many labels, the first by name.
    """

    def __init__(self, *, detail: bool) -> None:
        self.detail = detail
        self.sides: dict[str, Side] = {}
        self.others: dict[str, int] = {}

    def add(
        self,
        profile: Profile,
        label: str,
        table: CategoryTable,
        *,
        nested: bool = False,
        pictured: bool = False,
    ) -> None:
        """Add one slow operation to a side; with `pictured`, its stacks too."""
        side = self.sides.setdefault(label, Side())
        side.first_ns = min(side.first_ns, profile.start_ns)
        side.last_ns = max(side.last_ns, profile.start_ns)
        sums = side.operations.setdefault(profile.operation, OperationSums())
        sums.profiles += 1
        sums.nested += nested
        if not nested:
            self._count(sums, profile, table, side.trees if pictured else None)

    def pass_over(self, label: str) -> None:
        """Count a profile whose side was not asked for."""
        self.others[label] = self.others.get(label, 0) + 1
        self._bound()

    def merge(self, other: Sides) -> None:
        """Add the other to this."""
        for label, side in other.sides.items():
            self.sides.setdefault(label, Side()).merge(side)
        for label, count in other.others.items():
            self.others[label] = self.others.get(label, 0) + count
        self._bound()

    def nested(self) -> Sides:
        """Return the same with all of it nested in something that is counted elsewhere."""
        found = Sides(detail=self.detail)
        found.sides = {label: side.nested() for label, side in self.sides.items()}
        found.others = dict(self.others)
        return found

    def _bound(self) -> None:
        if len(self.others) > _MAX_LABELS:
            self.others = {label: self.others[label] for label in nsmallest(_MAX_LABELS, self.others)}

    def _count(
        self, sums: OperationSums, profile: Profile, table: CategoryTable, trees: TreeSums | None
    ) -> None:
        groups = GROUPS if self.detail else 1
        run = Run(round(profile.weight * MICRO), 0, 0)
        if self.detail:
            run = run._replace(group=group_of(profile.id), band=band_of(profile.wall))
        sums.counts.add(run, run.weight, groups)
        sums.walls.add(run, run.micros(profile.wall), groups)
        threshold = round(profile.threshold * MICRO)
        sums.thresholds = min(sums.thresholds[0], threshold), max(sums.thresholds[1], threshold)
        stacks: dict[tuple[int, State, Blame], float] | None = None if trees is None else {}
        found = attribute(profile, table, stacks)
        if trees is not None and stacks is not None:
            trees.add(profile, stacks, run.weight)
        sums.unobserved += run.micros(found.unobserved)
        for place, seconds in _by_place(found.seconds).items():
            sums.places.setdefault(place, Sums()).add(run, run.micros(seconds), groups)
            worst = round(seconds * MICRO), profile.id
            sums.worst[place] = max(worst, sums.worst.get(place, (-1, "")))
        if self.detail:
            below = inclusive(profile)
            for name, seconds in below.seconds.items():
                sums.functions.setdefault(name, Sums()).add(run, run.micros(seconds), groups)
            for call, seconds in below.calls.items():
                sums.calls[call] = sums.calls.get(call, 0) + run.micros(seconds)


class Key(enum.StrEnum):
    """What tells the sides apart."""

    NOTHING = "nothing"
    VERSION = "version"
    HOUR = "hour"
    DAY = "day"


@dataclass(frozen=True, slots=True)
class BySide:
    """Sums by side: a `Question`. Of `versions` only those are sides, if they are given.

    With `pictured`, the stacks of each side are gathered too.
    """

    table: CategoryTable
    whole: bool
    key: Key = Key.NOTHING
    versions: tuple[str, ...] = ()
    pictured: bool = False

    @property
    def new(self) -> Callable[[], Sides]:
        """What makes an empty summary."""
        return partial(Sides, detail=self.key in (Key.NOTHING, Key.VERSION))

    def add(self, summary: Sides, profile: Profile, *, nested: bool) -> None:
        """Add a profile to its side."""
        label = self._label(profile)
        if self.key is Key.VERSION and label not in self.versions:
            summary.pass_over(label)
        else:
            summary.add(profile, label, self.table, nested=nested, pictured=self.pictured)

    def _label(self, profile: Profile) -> str:
        if self.key is Key.VERSION:
            return profile.version
        if self.key is Key.NOTHING:
            return ALL
        return label_of_time(datetime.fromtimestamp(profile.start_ns // _SECOND, UTC), self.key)


def label_of_time(moment: datetime, by: Key) -> str:
    """Return the label of the hour, or the day, that a moment (UTC) is in."""
    return moment.strftime("%Y-%m-%dT%H:00" if by is Key.HOUR else "%Y-%m-%d")


def _by_place(seconds: Mapping[Blame, float]) -> dict[Place, float]:
    found: dict[Place, float] = {}
    for blame, spent in seconds.items():
        place = Place.of(blame)
        found[place] = found.get(place, 0.0) + spent
    return found
