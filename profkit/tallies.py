"""What is counted of the operations of one name.

An operation that ends only appends its seconds to a list: the rest is done in `Tally.gather`, by whoever calls it.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from random import Random
from typing import TYPE_CHECKING, NamedTuple

from profkit_storage.checks import MAX_SECONDS
from profkit_storage.histogram import Histogram
from profkit_storage.rollup import Rollup

if TYPE_CHECKING:
    from profkit.rollups import Rollups

_WHOLE = 1_000
_PART = 500
"""Of more than `_WHOLE` durations at once, `_PART` go into the histogram, for all of them."""
_random = Random()  # noqa: S311 - no secret; not the one that the application may have seeded


class Counts(NamedTuple):
    """What a tally has counted since the start."""

    calls: int = 0
    seconds: float = 0.0
    errors: int = 0
    slow: int = 0
    kept: int = 0
    dropped: Mapping[str, int] = {}

    def plus(self, other: Counts) -> Counts:
        """Return both together."""
        dropped = Counter(self.dropped)
        dropped.update(other.dropped)
        return Counts(
            self.calls + other.calls,
            self.seconds + other.seconds,
            self.errors + other.errors,
            self.slow + other.slow,
            self.kept + other.kept,
            dropped,
        )


class Tally:
    """What is counted of the operations of one name, category and threshold.

    Any thread may append to `durations` (seconds) and add to `errors`, `slow` and `kept` by `+=`, without a lock: the
    interpreter changes threads at none of these. `durations` is one list for good, so its `append` may be kept.

    `threshold` is the one given for these operations, None for the profiler's; `slow_from` is the one in force. `limit`
    is the seconds from which the profiler is asked what to do with one that ends, at most `slow_from`.
    """

    __slots__ = (
        "_before", "_calls", "_dropped", "_histogram", "_seconds", "category", "drops", "durations", "errors", "kept",
        "limit", "name", "slow", "slow_from", "threshold",
    )  # fmt: skip

    def __init__(self, name: str, category: str, threshold: float | None, limit: float) -> None:
        self.name = name
        self.category = category
        self.threshold = threshold
        self.limit = self.slow_from = limit
        self.durations: list[float] = []
        self.drops: list[str] = []
        self.reset()

    def reset(self) -> None:
        """Start from zero: at first, and in a forked child."""
        self.durations.clear()
        self.drops.clear()
        self.errors = self.slow = self.kept = 0
        self._calls = 0
        self._seconds = 0.0
        self._dropped: Mapping[str, int] = {}
        self._histogram: Histogram | None = None
        self._before = Counts()

    def drop(self, reason: str) -> None:
        """Count a slow operation that was not kept."""
        self.drops.append(reason)

    def gather(self) -> None:
        """Count what has been appended. One thread at a time; others may go on appending."""
        if self.drops:
            reasons = self.drops[:]
            dropped = Counter(self._dropped)
            dropped.update(reasons)
            del self.drops[: len(reasons)]
            self._dropped = dropped
        durations = self.durations
        if not durations:
            return
        batch = durations[:]
        taken = len(batch)
        seconds = sum(batch)
        if not 0.0 <= seconds < math.inf:  # an operation that began in the parent of a forked process
            batch = [duration for duration in batch if 0.0 <= duration < math.inf]
            seconds = sum(batch)
        calls = len(batch)
        part = _part(batch)
        # No call in these three lines: not even a signal comes between.
        del durations[:taken]
        self._calls += calls
        self._seconds += seconds
        if calls:
            if self._histogram is None:
                self._histogram = Histogram()
            self._histogram.add_many(part, calls)

    def counts(self) -> Counts:
        """Return what was gathered since the start."""
        return Counts(self._calls, self._seconds, self.errors, self.slow, self.kept, self._dropped)

    def has_more(self) -> bool:
        """Tell whether anything was counted since the last rollup."""
        return bool(self.durations or self.drops) or self.counts() != self._before

    def rollup(self) -> Rollup | None:
        """Return what was gathered since the last time; None if that is nothing."""
        before, now = self._before, self.counts()
        if now == before:
            return None
        histogram, self._histogram, self._before = self._histogram, None, now
        return Rollup(
            operation=self.name,
            category=self.category,
            calls=now.calls - before.calls,
            errors=now.errors - before.errors,
            seconds=now.seconds - before.seconds,
            slow=now.slow - before.slow,
            kept=now.kept - before.kept,
            dropped=_more(now.dropped, before.dropped),
            threshold=min(self.slow_from, MAX_SECONDS),
            histogram=histogram or Histogram(),
        )


class Overflowing(Tally):
    """One there was no tally for: it knows its own name, and what it counts is added to a shared tally."""

    __slots__ = ("_rollups", "_shared")

    def __init__(self, name: str, category: str, threshold: float | None, rollups: Rollups) -> None:
        self.name = name
        self.category = category
        self.threshold = threshold
        self._rollups = rollups
        self._shared = shared = rollups.other(category)
        self.durations = shared.durations
        self.drops = shared.drops

    if not TYPE_CHECKING:  # to read and to write as the slots of the same names

        @property
        def slow_from(self) -> float:
            return self._rollups.slow_from(self)

        @property
        def limit(self) -> float:
            return min(self.slow_from, self._rollups.ask_from)

        # Read as zero, so that what `+= 1` writes is what there is to add.
        @property
        def errors(self) -> int:
            return 0

        @errors.setter
        def errors(self, count: int) -> None:
            self._shared.errors += count

        @property
        def slow(self) -> int:
            return 0

        @slow.setter
        def slow(self, count: int) -> None:
            self._shared.slow += count

        @property
        def kept(self) -> int:
            return 0

        @kept.setter
        def kept(self, count: int) -> None:
            self._shared.kept += count


def _more(now: Mapping[str, int], before: Mapping[str, int]) -> dict[str, int]:
    """Return by how much each count has grown, if it has."""
    if now is before:
        return {}
    return {
        reason: count - before.get(reason, 0)
        for reason, count in now.items()
        if count > before.get(reason, 0)
    }


def _part(batch: list[float]) -> list[float]:
    """Return a batch, or some of it drawn by chance: every n-th might be in step with the work."""
    return batch if len(batch) <= _WHOLE else _random.choices(batch, k=_PART)
