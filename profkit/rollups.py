"""Counts and duration histograms of all operations, kept or not.

An operation that ends only appends its seconds to a list: everything else is done by whoever calls `Rollups.drain`.
"""

from __future__ import annotations

import math
import os
import time
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import NamedTuple, TypeVar

from profkit.sampling import real
from profkit.tallies import Counts, Overflowing, Tally
from profkit_storage.rollup import Rollup, RollupSet
from profkit_storage.ulid import new_ulid

K = TypeVar("K")

MAX_TALLIES = 10_000
"""Names, categories and thresholds that are told apart; what is named at run time must not fill the memory."""
MAX_OTHERS = 100
"""Categories that what comes after them is told apart by."""
OTHER = "(other)"
"""The name of what comes after them, and of its category after `MAX_OTHERS`."""

_AT_ONCE = 500
"""Tallies that one `drain` looks at, in 10 us if nothing is new."""


class Totals(NamedTuple):
    """What all operations come to since the start; `dropped` counts slow ones that were not kept, by reason."""

    calls: int
    seconds: float
    errors: int
    slow: int
    kept: int
    dropped: dict[str, int]


class Window(NamedTuple):
    """What was counted from `start_ns` to `end_ns` (UTC, nanoseconds since the epoch)."""

    start_ns: int
    end_ns: int
    rollups: tuple[Rollup, ...]

    def stored(self, *, service: str, version: str, host: str, mask: Callable[[str], str]) -> RollupSet:
        """Return it as it is stored, for this process, with every name passed through `mask`."""
        return RollupSet(
            id=new_ulid(self.start_ns),
            service=service,
            version=version,
            host=host,
            pid=os.getpid(),
            start_ns=self.start_ns,
            end_ns=self.end_ns,
            rollups=tuple(
                rollup._replace(operation=mask(rollup.operation), category=mask(rollup.category))
                for rollup in self.rollups
            ),
        )


class Rollups:
    """The tallies of one process. Every method may be called from any thread, and from a finalizer in their midst."""

    def __init__(self) -> None:
        self._tallies: dict[tuple[str, str, float | None], Tally] = {}
        self._others: dict[str, Tally] = {}
        self._all: list[Tally] = []  # grows at its end only
        self._limits: tuple[float, Mapping[str, float]] = (1.0, {})
        self.ask_from = math.inf
        """Seconds from which the profiler is asked about an operation even if it is not slow."""
        self.reset()

    def reset(self) -> None:
        """Start from zero, with the tallies there are: at first, and in a forked child, which has one thread."""
        self._lock = real.rlock()
        self._busy = False
        self._next = 0
        self._start_ns = time.time_ns()
        self.counting = False
        """Whether anything has been gathered since the last `collect`."""
        self.overflowed = 0
        """How often `tally` had no room for one more and gave one that counts with others."""
        for tally in self._all:
            tally.reset()

    def tally(self, name: str, category: str, threshold: float | None) -> Tally:
        """Return the tally of these operations, always the same one as long as there is room."""
        try:
            return self._tallies[name, category, threshold]
        except KeyError:
            return self._new(name, category, threshold)

    def other(self, category: str) -> Tally:
        """Return the tally of all operations of a category that there is no room for."""
        if category not in self._others and len(self._others) >= MAX_OTHERS:
            category = OTHER
        found = self._others.get(category)
        return found or self._add(self._others, category, Tally(OTHER, category, None, self.limit(category)))

    def limit(self, category: str, threshold: float | None = None) -> float:
        """Return the seconds from which an operation is slow that is not known by its name."""
        default, by_name = self._limits
        return by_name.get(category, default) if threshold is None else threshold

    def slow_from(self, tally: Tally) -> float:
        """Return the seconds from which its operations are slow: by name, or their own, or by category, or the default.

        What is set for a name goes before what the code says: it is how one operation is told apart without a change
        of the code.
        """
        named = self._limits[1].get(tally.name)
        return self.limit(tally.category, tally.threshold) if named is None else named

    def set_limits(
        self, default: float, by_name: Mapping[str, float] | None = None, ask_from: float = math.inf
    ) -> None:
        """Set the seconds from which operations are slow; `by_name` knows operations and categories.

        Of operations that take `ask_from` seconds the profiler is asked in any case.
        """
        self._limits = (default, dict(by_name or {}))
        self.ask_from = ask_from
        for tally in self._all:
            self._set_limit(tally)

    def _set_limit(self, tally: Tally) -> None:
        tally.slow_from = slow_from = self.slow_from(tally)
        tally.limit = min(slow_from, self.ask_from)

    def drain(self) -> None:
        """Count what has ended; gives way to another thread that does. For the sampler, at its ticks.

        Of more than 500 tallies it looks at 500, and at the next ones when it is called again. Takes 15 to 27 ns for
        each operation that has ended, half of it to free a float, and up to 0.1 ms a tally for its histogram.
        """
        lock = self._lock
        if not lock.acquire(blocking=False):
            return
        try:
            first = self._next if self._next < len(self._all) else 0
            self._next = first + _AT_ONCE
            self._gather(self._all[first : self._next])
        finally:
            lock.release()

    def collect(self, now_ns: int | None = None) -> Window:
        """Return what was counted since the last time, and begin another window. `now_ns`: UTC, by default now."""
        now_ns = time.time_ns() if now_ns is None else now_ns
        with self._lock:
            if self._busy:
                return Window(now_ns, now_ns, ())
            self._gather(self._all)
            self.counting = False
            self._busy = True
            try:
                rollups = [rollup for tally in self._all if (rollup := tally.rollup())]
            finally:
                self._busy = False
            # A clock that stepped back must not end a window before its beginning.
            window = Window(self._start_ns, max(self._start_ns, now_ns), tuple(rollups))
            self._start_ns = now_ns
        return window

    def begin_window(self, now_ns: int | None = None) -> None:
        """Begin the window that is collected next now (`now_ns`: UTC), as nothing was counted in it before."""
        with self._lock:
            self._start_ns = time.time_ns() if now_ns is None else now_ns

    def is_empty(self) -> bool:
        """Tell whether `collect` would find nothing."""
        with self._lock:
            return not any(tally.has_more() for tally in self._all)

    def totals(self) -> Totals:
        """Return what all operations come to since the start, with those that have ended just now."""
        with self._lock:
            self._gather(self._all)
            counts = [tally.counts() for tally in self._all]
        dropped = Counter[str]()
        for count in counts:
            if count.dropped:
                dropped.update(count.dropped)
        return Totals(
            calls=sum(count.calls for count in counts),
            seconds=sum(count.seconds for count in counts),
            errors=sum(count.errors for count in counts),
            slow=sum(count.slow for count in counts),
            kept=sum(count.kept for count in counts),
            dropped=dict(dropped),
        )

    def counts(self) -> dict[tuple[str, str], Counts]:
        """Return what was counted since the start by (name, category), with those that have ended just now."""
        with self._lock:
            self._gather(self._all)
            found: dict[tuple[str, str], Counts] = {}
            for tally in self._all:
                key = tally.name, tally.category
                found[key] = found[key].plus(tally.counts()) if key in found else tally.counts()
        return found

    def _gather(self, tallies: Iterable[Tally]) -> None:
        """Gather, unless this thread was about to: a finalizer that comes in its midst must not take it all twice."""
        if self._busy:
            return
        self._busy = True
        try:
            for tally in tallies:
                if tally.durations or tally.drops:
                    self.counting = True
                    tally.gather()
        finally:
            self._busy = False

    def _new(self, name: str, category: str, threshold: float | None) -> Tally:
        if len(self._tallies) < MAX_TALLIES:
            tally = Tally(name, category, threshold, self.limit(category, threshold))
            return self._add(self._tallies, (name, category, threshold), tally)
        self.overflowed += 1
        return Overflowing(name, category, threshold, self)

    def _add(self, tallies: dict[K, Tally], key: K, tally: Tally) -> Tally:
        """Add a tally, in one step, unless another thread was faster."""
        found = tallies.setdefault(key, tally)
        if found is tally:
            self._all.append(tally)
            self._set_limit(tally)  # `set_limits` may not have seen it
        return found
