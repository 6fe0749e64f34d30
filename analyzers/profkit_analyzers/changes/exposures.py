"""How many calls slow operations are a part of, from the rollups beside their profiles."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime

from profkit_analyzers.changes.sides import MICRO, Key, Side, label_of_time
from profkit_analyzers.populations import Population, populations_by
from profkit_storage import ProfileQuery, ProfileStorage, Rollup, RollupSet
from profkit_storage.base import ProblemHandler

_NEAR = 0.1
_FEW = 2
"""By how much, as a share and in operations, slow ones may be more or fewer in the rollups than in the profiles: their
windows end a little beside the times looked at. Where they differ by more, one of them is not all there is."""


def calls_of(
    storage: ProfileStorage,
    query: ProfileQuery | None,
    side: Side,
    on_problem: ProblemHandler,
    version: str | None = None,
) -> Mapping[str, float]:
    """Return the calls of those operations of a side whose rollups and profiles tell of the same slow ones.

    Others would seem to be slow more often, or less. An operation that ran inside another slow one is left out too: its
    slow runs are counted there, its calls are not.
    """
    found = _populations(storage, query, on_problem, lambda window, row: (window.version, row.operation))
    calls: dict[str, int] = {}
    slow: dict[str, int] = {}
    for (seen, name), population in found.items():
        if version is None or seen == version:
            calls[name] = calls.get(name, 0) + population.calls
            slow[name] = slow.get(name, 0) + population.slow
    return {
        name: float(calls[name])
        for name, sums in side.operations.items()
        if calls.get(name) and not sums.nested and _is_near(slow[name], sums.counts.total / MICRO)
    }


def calls_by_time(
    storage: ProfileStorage, query: ProfileQuery | None, by: Key, on_problem: ProblemHandler
) -> Mapping[str, Mapping[str, float]]:
    """Return the calls of each operation by the hour or day in which the window of a rollup began."""

    def key(window: RollupSet, row: Rollup) -> tuple[str, str]:
        return label_of_time(datetime.fromtimestamp(window.start_ns // 10**9, UTC), by), row.operation

    calls: dict[str, dict[str, float]] = {}
    for (time, name), population in _populations(storage, query, on_problem, key).items():
        calls.setdefault(time, {})[name] = float(population.calls)
    return calls


def _is_near(told: float, seen: float) -> bool:
    return abs(told - seen) <= max(_FEW, _NEAR * seen)


def _populations(
    storage: ProfileStorage,
    query: ProfileQuery | None,
    on_problem: ProblemHandler,
    key: Callable[[RollupSet, Rollup], tuple[str, str]],
) -> Mapping[tuple[str, str], Population]:
    asked = query or ProfileQuery()
    if asked.category is not None:
        return {}  # slow ones are chosen by a category that may be of some of an operation's calls only
    return populations_by(key, storage, asked.since, asked.until, asked.service, on_problem=on_problem)
