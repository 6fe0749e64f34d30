"""One objective held against counted calls: what was reached, how much of its error budget is left, and the verdict.

Of n calls of which a share `a` may miss the objective, and f missed it:

    burn rate = (f / n) / a        budget left = 1 - burn rate

(Beyer, Jones, Petoff and Murphy, "Site Reliability Engineering", 2016, chapter 3; for the burn rate "The Site
Reliability Workbook", 2018, chapter 5.) Counts are whole numbers, so that no order of adding changes a digit.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator
from dataclasses import dataclass

from profkit_analyzers.slo.objectives import MICRO, Objective
from profkit_storage import Rollup
from profkit_storage.histogram import bucket_of

_DIGITS = 6


class Goal(enum.StrEnum):
    """What an objective is about."""

    LATENCY = "latency"
    AVAILABILITY = "availability"
    ERROR_RATE = "error_rate"


class Verdict(enum.StrEnum):
    """Whether an objective was reached. `OPEN`: calls in the bucket of its seconds decide, and cannot be told apart."""

    MET = "met"
    BROKEN = "broken"
    OPEN = "open"
    TOO_FEW = "too_few"


@dataclass(slots=True)
class Counts:
    """Calls held against one objective, of any number of rollups; they merge in any order and grouping.

    `timed` is how many of them have a duration: at least `quick_least` and at most `quick_most` were quick enough.
    `late` were counted in windows that reach over the end of the time they are counted in.
    """

    calls: int = 0
    errors: int = 0
    timed: int = 0
    quick_least: int = 0
    quick_most: int = 0
    late: int = 0

    def add(self, row: Rollup, objective: Objective, *, late: bool) -> None:
        """Add one rollup."""
        quick = row.histogram.under(objective.latency_seconds)
        self.calls += row.calls
        self.errors += row.errors
        self.timed += row.histogram.total
        self.quick_least += quick.least
        self.quick_most += quick.most
        self.late += row.calls if late else 0

    def merge(self, other: Counts) -> None:
        """Add all that the other holds."""
        self.calls += other.calls
        self.errors += other.errors
        self.timed += other.timed
        self.quick_least += other.quick_least
        self.quick_most += other.quick_most
        self.late += other.late


@dataclass(frozen=True, slots=True, kw_only=True)
class Level:
    """One objective held against `calls`. `allowed` millionths of them may miss it; `missed` did, by the best estimate.

    It is at least `missed_least` and at most `missed_most`: calls that took from `between[0]` to below `between[1]`
    seconds share the histogram's bucket that the objective's `seconds` are in, and are taken to lie in it evenly.
    """

    goal: Goal
    allowed: int
    calls: int
    missed: float
    missed_least: int
    missed_most: int
    min_calls: int
    seconds: float | None = None
    between: tuple[float, float] | None = None

    @property
    def target(self) -> float:
        """The share of calls that has to reach it; of the error rate, the share that may miss it."""
        return (self.allowed if self.goal is Goal.ERROR_RATE else MICRO - self.allowed) / MICRO

    @property
    def reached(self) -> float | None:
        """The share that did, to be compared with the target; None without calls."""
        return self._share(self.missed)

    @property
    def bounds(self) -> tuple[float, float] | None:
        """From where to where the share must lie, whatever the bucket holds; None without calls."""
        if not self.calls:
            return None
        first, last = (self._share(missed) or 0.0 for missed in (self.missed_least, self.missed_most))
        return min(first, last), max(first, last)

    @property
    def burn_rate(self) -> float | None:
        """How many times as many calls missed it as may; above 1 it is broken. None without calls."""
        return self.missed * MICRO / (self.calls * self.allowed) if self.calls else None

    @property
    def budget_left(self) -> float | None:
        """The share of the calls that may miss it that did not yet; below 0 it is broken. None without calls."""
        return None if self.burn_rate is None else 1.0 - self.burn_rate

    @property
    def verdict(self) -> Verdict:
        """Whether it was reached.

        Of too few calls it is said only where more missed it already than may of as many as are needed: then it is
        broken, however well those to come would do.
        """
        may_miss = self.calls * self.allowed
        if self.calls < self.min_calls:
            needed = max(self.min_calls, fewest_calls(self.allowed))
            return Verdict.BROKEN if self.missed_least * MICRO > needed * self.allowed else Verdict.TOO_FEW
        if self.missed_most * MICRO <= may_miss:
            return Verdict.MET
        return Verdict.BROKEN if self.missed_least * MICRO > may_miss else Verdict.OPEN

    def to_dict(self) -> dict[str, object]:
        """Return it as plain values for JSON."""
        bounds = self.bounds
        return {
            "objective": str(self.goal),
            "target": self.target,
            "seconds": self.seconds,
            "between": None if self.between is None else [round(bound, 9) for bound in self.between],
            "calls": self.calls,
            "missed": round(self.missed, _DIGITS),
            "missed_least": self.missed_least,
            "missed_most": self.missed_most,
            "reached": _rounded(self.reached),
            "reached_least": None if bounds is None else _rounded(bounds[0]),
            "reached_most": None if bounds is None else _rounded(bounds[1]),
            "burn_rate": _rounded(self.burn_rate),
            "budget_left": _rounded(self.budget_left),
            "min_calls": self.min_calls,
            "verdict": str(self.verdict),
        }

    def _share(self, missed: float) -> float | None:
        if not self.calls:
            return None
        return (missed if self.goal is Goal.ERROR_RATE else self.calls - missed) / self.calls


def levels(counts: Counts, objective: Objective) -> tuple[Level, ...]:
    """Return each of an operation's objectives held against its calls."""
    return tuple(_levels(counts, objective))


def _levels(counts: Counts, objective: Objective) -> Iterator[Level]:
    if objective.latency_share is not None:
        yield _latency(counts, objective, MICRO - round(objective.latency_share * MICRO))
    # An error may be told in the window after its call: there it would pass what was called.
    failed = min(counts.errors, counts.calls)
    if objective.availability is not None:
        allowed = MICRO - round(objective.availability * MICRO)
        yield _of_errors(Goal.AVAILABILITY, allowed, counts.calls, failed, objective)
    if objective.error_rate is not None:
        allowed = round(objective.error_rate * MICRO)
        yield _of_errors(Goal.ERROR_RATE, allowed, counts.calls, failed, objective)


def _latency(counts: Counts, objective: Objective, allowed: int) -> Level:
    low, high = bucket_of(objective.latency_seconds)
    undecided = counts.quick_most - counts.quick_least
    quick = counts.quick_least + undecided * (objective.latency_seconds - low) / (high - low)
    return Level(
        goal=Goal.LATENCY,
        allowed=allowed,
        calls=counts.timed,
        missed=counts.timed - quick,
        missed_least=counts.timed - counts.quick_most,
        missed_most=counts.timed - counts.quick_least,
        min_calls=objective.min_calls or fewest_calls(allowed),
        seconds=objective.latency_seconds,
        between=(low, high),
    )


def _of_errors(goal: Goal, allowed: int, calls: int, failed: int, objective: Objective) -> Level:
    return Level(
        goal=goal,
        allowed=allowed,
        calls=calls,
        missed=failed,
        missed_least=failed,
        missed_most=failed,
        min_calls=objective.min_calls or fewest_calls(allowed),
    )


def fewest_calls(allowed: int) -> int:
    """Return the fewest calls of which one may miss it, where `allowed` millionths may: of fewer, one would decide."""
    return -(-MICRO // allowed)


def _rounded(number: float | None) -> float | None:
    return None if number is None else round(number, _DIGITS)
