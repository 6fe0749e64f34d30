"""Stores the rollups of all operations, a window at a time. A window that cannot be stored is added to the next."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import replace
from time import monotonic

from profkit.config import Settings
from profkit.faults import Faults
from profkit.masking import masker
from profkit.recorder.finished import host_name, shown_version
from profkit.rollups import MAX_TALLIES, Rollups
from profkit_storage import Histogram, ProfileStorage, Rollup, RollupSet

_MOST_ROWS = 2 * MAX_TALLIES
"""Of windows that wait together to be stored; more is lost."""


class RollupWriter:
    """Knows when rollups are `due` (seconds of `monotonic`, None while nothing was counted), and stores them.

    All methods are for the recorder's thread, but for `expect`, which is for the sampler's too.
    """

    def __init__(
        self,
        rollups: Rollups,
        settings: Settings,
        storage: ProfileStorage | None,
        faults: Faults,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._rollups = rollups
        self._settings = settings
        self._storage = storage
        self._faults = faults
        self._clock = clock
        self._pending: RollupSet | None = None
        self.due: float | None = None
        self.stored = 0

    @property
    def stores(self) -> bool:
        """Whether there is a store, and rollups are wanted."""
        return self._storage is not None and self._settings.rollup_interval > 0

    @property
    def failed(self) -> bool:
        """Whether some wait that could not be stored."""
        return self._pending is not None

    def expect(self) -> bool:
        """Note that something is being counted; True if a window begins with it."""
        if self.due is not None or not self.stores:
            return False
        if self._pending is None:
            self._rollups.begin_window()
        self.due = self._clock() + self._settings.rollup_interval
        return True

    def is_due(self) -> bool:
        """Tell whether the time to store them has come."""
        return self.due is not None and self._clock() >= self.due

    def seconds_left(self) -> float | None:
        """Return the seconds until they are due; None if nothing was counted."""
        return None if self.due is None else max(0.0, self.due - self._clock())

    def has_more(self) -> bool:
        """Tell whether there is anything to be stored."""
        return self.stores and (self._pending is not None or not self._rollups.is_empty())

    def store(self) -> None:
        """Store what was counted since the last time, with what could not be stored then."""
        self.due = None
        self._collect()
        pending, storage = self._pending, self._storage
        if pending is None or storage is None:
            return
        try:
            storage.put_rollup(pending)
        except BaseException as error:  # noqa: BLE001 - a store may raise anything
            self._faults.add("rollups_not_stored", masker.mask_error(error))
            self.due = self._clock() + self._settings.rollup_interval
            return
        self._pending = None
        self.stored += 1

    def give_up(self, reason: str) -> None:
        """Count as lost what has not been stored by now."""
        if not self.has_more():
            return
        self._rollups.collect()  # another store, that may come next, is not to have them
        self._pending = None
        self._faults.add("rollups_lost", reason)

    def _collect(self) -> None:
        window = self._rollups.collect()
        if not window.rollups:
            return
        settings = self._settings
        newer = window.stored(
            service=masker.name(settings.service),
            version=shown_version(settings),
            host=host_name(),
            mask=masker.mask_text,
        )
        if self._pending is None:
            self._pending = newer
            return
        # Under the id of the first: if the store has kept that after all, this replaces it.
        rows = merged((*self._pending.rollups, *newer.rollups))
        if len(rows) > _MOST_ROWS:
            self._faults.add("rollups_lost", f"more than {_MOST_ROWS} wait to be stored")
            rows = newer.rollups
        end_ns = max(self._pending.end_ns, newer.end_ns)
        self._pending = replace(self._pending, end_ns=end_ns, rollups=tuple(rows))


def merged(rollups: Iterable[Rollup]) -> tuple[Rollup, ...]:
    """Return the rollups of several windows as those of one."""
    found: dict[tuple[str, str, float], Rollup] = {}
    for one in rollups:
        key = one.operation, one.category, one.threshold
        found[key] = _sum(found[key], one) if key in found else one
    return tuple(found.values())


def _sum(first: Rollup, second: Rollup) -> Rollup:
    histogram = Histogram(dict(first.histogram.counts))
    histogram.merge(second.histogram)
    return first._replace(
        calls=first.calls + second.calls,
        errors=first.errors + second.errors,
        seconds=first.seconds + second.seconds,
        slow=first.slow + second.slow,
        kept=first.kept + second.kept,
        dropped=dict(Counter(first.dropped) + Counter(second.dropped)),
        histogram=histogram,
    )
