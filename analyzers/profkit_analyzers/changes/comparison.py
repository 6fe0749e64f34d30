"""The result of a comparison of two sides. Its JSON form is told in docs/comparing.md."""

from __future__ import annotations

import enum
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import NamedTuple

from profkit_analyzers.bootstrap import Interval
from profkit_analyzers.changes.effects import Effect
from profkit_analyzers.pictures.pictures import TwoSides
from profkit_analyzers.skipping import Skipped

COMPARISON_SCHEMA = 1
_DIGITS = 6


class Verdict(enum.StrEnum):
    """What can be said of a row, many rows being looked at."""

    SLOWER = "slower"
    FASTER = "faster"
    NO_EVIDENCE = "no evidence"


class Pair(NamedTuple):
    """A figure of each side."""

    before: float
    after: float


@dataclass(frozen=True, slots=True)
class Shift:
    """Where a row's seconds went or came from: in `name` as a whole they are as many as before, or nearly.

    `within` is "function" (the row's own, with what it calls), "caller" (the function that calls it), "owner" (the same
    category and owner in the operation) or "operation".
    """

    within: str
    name: str
    seconds: Effect


@dataclass(frozen=True, slots=True, kw_only=True)
class BottleneckChange:
    """Seconds per slow operation of one place. `exemplars` are the worst run's id before and after, "" for none."""

    operation: str
    category: str
    owner: str
    function: str
    seconds: Effect
    verdict: Verdict
    shift: Shift | None
    exemplars: tuple[str, str]

    @property
    def is_regression(self) -> bool:
        """Whether it is slower, and not only by what others lost."""
        return self.verdict is Verdict.SLOWER and self.shift is None


@dataclass(frozen=True, slots=True, kw_only=True)
class OperationChange:
    """One operation: `profiles` that are compared, which stand for `slow` operations, of so many `calls` if known.

    `seconds` are per slow operation. `rate` is slow operations per call if `calls` are known, else per hour; None
    where neither is. `per_call` is seconds of slow operations per call. Where the share that is slow differs,
    `compared` is the share of the calls, the slowest on each side, that `seconds` and the bottlenecks are of. `few`
    tells that there are too few for a verdict, `thresholds_differ` that what counted as slow did.
    """

    operation: str
    profiles: Pair
    slow: Pair
    calls: Pair | None
    seconds: Effect
    unobserved: Pair
    rate: Effect | None
    per_call: Effect | None
    compared: float | None
    few: bool
    thresholds_differ: bool
    verdict: Verdict

    @property
    def is_slow_more_often(self) -> bool:
        """Whether more of its calls are slow, or, calls not being known, more in an hour."""
        return self.rate is not None and self.rate.interval.low > 0


@dataclass(frozen=True, slots=True)
class Share:
    """A part of a difference in seconds, and its 95 % interval."""

    seconds: float
    interval: Interval


@dataclass(frozen=True, slots=True)
class Decomposition:
    """Mean seconds of all operations before and after, and the two parts that their difference is the sum of.

    `mix` is that other operations are called, `speed` that they take longer. `per` is "call" where all calls are known,
    else "slow operation".
    """

    per: str
    before: float
    after: float
    mix: Share
    speed: Share


@dataclass(frozen=True, slots=True)
class SideStats:
    """One side: its name, `profiles` read of which `nested` are counted in others, and what the rest stands for."""

    name: str
    profiles: int
    nested: int
    operations: float
    seconds: float
    first_seen: datetime | None
    last_seen: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """What differs between two sides: operations and bottlenecks, the surest first.

    `small` more bottlenecks have too few seconds to matter. `other_versions` profiles are of neither version compared.
    `pictures` are None unless asked for.
    """

    before: SideStats
    after: SideStats
    decomposition: Decomposition | None
    operations: tuple[OperationChange, ...]
    bottlenecks: tuple[BottleneckChange, ...]
    small: int = 0
    other_versions: int = 0
    skipped: tuple[Skipped, ...] = ()
    skipped_count: int = 0
    pictures: TwoSides | None = None

    @property
    def regressed(self) -> bool:
        """Whether an operation or a bottleneck is slower, what only moved left out."""
        slower = any(change.verdict is Verdict.SLOWER for change in self.operations)
        return slower or any(change.is_regression for change in self.bottlenecks)

    def to_dict(self) -> dict[str, object]:
        """Return the comparison as plain values for JSON, schema 1."""
        return {
            "schema": COMPARISON_SCHEMA,
            "regressed": self.regressed,
            "before": _side(self.before),
            "after": _side(self.after),
            "decomposition": None if self.decomposition is None else _decomposition(self.decomposition),
            "operations": [_operation(change) for change in self.operations],
            "bottlenecks": [_bottleneck(change) for change in self.bottlenecks],
            "small": self.small,
            "other_versions": self.other_versions,
            "skipped": [asdict(item) for item in self.skipped],
            "skipped_count": self.skipped_count,
        }


def _side(side: SideStats) -> dict[str, object]:
    return {
        "name": side.name,
        "profiles": side.profiles,
        "nested": side.nested,
        "operations": _rounded(side.operations),
        "seconds": _rounded(side.seconds),
        "first_seen": None if side.first_seen is None else side.first_seen.isoformat(),
        "last_seen": None if side.last_seen is None else side.last_seen.isoformat(),
    }


def _decomposition(parts: Decomposition) -> dict[str, object]:
    return {
        "per": parts.per,
        "before": _rounded(parts.before),
        "after": _rounded(parts.after),
        "mix": {"seconds": _rounded(parts.mix.seconds), "interval": _interval(parts.mix.interval)},
        "speed": {"seconds": _rounded(parts.speed.seconds), "interval": _interval(parts.speed.interval)},
    }


def _operation(change: OperationChange) -> dict[str, object]:
    per = None if change.rate is None else "hour" if change.calls is None else "call"
    return {
        "operation": change.operation,
        "verdict": str(change.verdict),
        "few": change.few,
        "thresholds_differ": change.thresholds_differ,
        "profiles": list(change.profiles),
        "slow_operations": [_rounded(count) for count in change.slow],
        "calls": None if change.calls is None else [_rounded(count) for count in change.calls],
        "seconds_per_operation": effect_dict(change.seconds),
        "unobserved_per_operation": [_rounded(seconds) for seconds in change.unobserved],
        "slow_rate_per": per,
        "slow_rate": None if change.rate is None else effect_dict(change.rate),
        "slow_more_often": change.is_slow_more_often,
        "slow_seconds_per_call": None if change.per_call is None else effect_dict(change.per_call),
        "compared_share": None if change.compared is None else _rounded(change.compared),
    }


def _bottleneck(change: BottleneckChange) -> dict[str, object]:
    return {
        "operation": change.operation,
        "category": change.category,
        "owner": change.owner,
        "function": change.function,
        "verdict": str(change.verdict),
        "regression": change.is_regression,
        "seconds_per_operation": effect_dict(change.seconds),
        "shift": None
        if change.shift is None
        else {
            "within": change.shift.within,
            "name": change.shift.name,
            "seconds_per_operation": effect_dict(change.shift.seconds),
        },
        "exemplars": list(change.exemplars),
    }


def effect_dict(effect: Effect) -> dict[str, object]:
    """Return an effect as plain values."""
    return {
        "before": _rounded(effect.before),
        "after": _rounded(effect.after),
        "difference": _rounded(effect.difference),
        "difference_interval": _interval(effect.interval),
        "ratio": None if effect.ratio is None else _rounded(effect.ratio),
        "ratio_interval": None if effect.ratio_interval is None else _interval(effect.ratio_interval),
        "p": float(f"{effect.p:.3g}"),
    }


def _interval(interval: Interval) -> list[float]:
    return [_rounded(interval.low), _rounded(interval.high)]


def _rounded(number: float) -> float:
    return round(number, _DIGITS)
