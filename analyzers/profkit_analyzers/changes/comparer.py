"""`ProfileComparer`: from one store or two to what differs between two sides of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime

from profkit_analyzers.changes.comparing import LEAST, Exposure, Named, compare
from profkit_analyzers.changes.comparison import Comparison, Pair
from profkit_analyzers.changes.exposures import calls_by_time, calls_of
from profkit_analyzers.changes.sides import ALL, BySide, Key, Side, Sides
from profkit_analyzers.changes.trend import Calls, Trend, trend
from profkit_analyzers.engines.engine import Engine, InProcess
from profkit_analyzers.engines.reading import Progress, Reading, is_whole, read
from profkit_analyzers.pictures.pictures import TwoSides
from profkit_analyzers.skipping import Skipping
from profkit_storage import ConfigurationError, ProfileQuery, ProfileStorage
from profkit_storage.categories import CategoryTable, default_categories

_HOUR_NS = 3_600_000_000_000
_SHOWN = 10


@dataclass(frozen=True, slots=True)
class Source:
    """Where the profiles of one side are, and what to call them."""

    storage: ProfileStorage
    query: ProfileQuery | None = None
    name: str = ""


class ProfileComparer:
    """Tells what became slower or faster between two windows, versions or stores.

    `rules` and `engine` are as in `ProfileAnalyzer`. `exposure` tells how many calls the slow operations are of, and
    of how many hours; unless given, the calls are those of the rollups and the hours those of the windows. `least` is
    the change that a verdict needs, as a share of the operation's seconds.
    """

    def __init__(
        self,
        *,
        rules: CategoryTable | None = None,
        engine: Engine | None = None,
        exposure: Exposure | None = None,
        least: float = LEAST,
    ) -> None:
        if not 0 <= least <= 1:
            raise ConfigurationError(f"least {least!r}: must be a share from 0 to 1")
        self._table = rules or default_categories()
        self._engine = engine or InProcess()
        self._exposure = exposure
        self._least = least

    def sources(
        self, before: Source, after: Source, *, progress: Progress | None = None, pictures: bool = False
    ) -> Comparison:
        """Compare two stores, or two windows of one. With `pictures`, the result has what a page draws too.

        Raises:
            StorageError: a store cannot be read.
            WorkersDied: a process of the engine ended before its work did.
        """
        old, new = (
            self._read(source.storage, source.query, (), progress, pictured=pictures)
            for source in (before, after)
        )
        sides = [found.summary.sides.get(ALL, Side()) for found in (old, new)]
        hours = [_hours(source.query, side) for source, side in zip((before, after), sides, strict=True)]
        names = before.name or "before", after.name or "after"
        old.skipping.merge(new.skipping)
        exposure = self._exposure or Exposure(
            calls_of(before.storage, before.query, sides[0], old.skipping.skip),
            calls_of(after.storage, after.query, sides[1], old.skipping.skip),
        )
        compared = self._compared(names, sides, hours, old.skipping, exposure)
        return _pictured(compared, sides) if pictures else compared

    def versions(
        self,
        storage: ProfileStorage,
        before: str,
        after: str,
        query: ProfileQuery | None = None,
        *,
        progress: Progress | None = None,
        pictures: bool = False,
    ) -> Comparison:
        """Compare two deploy versions in one store, each between its first and its last slow operation.

        `pictures` are as in `sources`.

        Raises:
            ConfigurationError: a version is not in the store, or both are the same; says which are.
            StorageError, WorkersDied: as in `sources`.
        """
        if before == after:
            raise ConfigurationError(f"versions {before!r} and {after!r}: must differ")
        found = self._read(storage, query, (before, after), progress, pictured=pictures)
        summary = found.summary
        for version in (before, after):
            if version not in summary.sides:
                raise ConfigurationError(f"version {version!r}: {_known(summary)}")
        sides = [summary.sides[version] for version in (before, after)]
        exposure = self._exposure or Exposure(
            calls_of(storage, query, sides[0], found.skipping.skip, before),
            calls_of(storage, query, sides[1], found.skipping.skip, after),
        )
        hours = [_hours(None, side) for side in sides]
        compared = self._compared((before, after), sides, hours, found.skipping, exposure)
        compared = replace(compared, other_versions=sum(summary.others.values()))
        return _pictured(compared, sides) if pictures else compared

    def trend(
        self,
        storage: ProfileStorage,
        query: ProfileQuery | None = None,
        *,
        by: Key = Key.HOUR,
        top: int = 10,
        calls: Calls | None = None,
        progress: Progress | None = None,
    ) -> Trend:
        """Tell how the `top` operations and bottlenecks went by hour or day, and when they changed.

        Also what share of an operation's calls was slow: of `calls`, or of those in the rollups unless given.

        Raises:
            ConfigurationError: `by` is neither, `top` is not positive, or there are too many hours or days.
            StorageError, WorkersDied: as in `sources`.
        """
        if by not in (Key.HOUR, Key.DAY):
            raise ConfigurationError(f"by {by!r}: must be hour or day")
        if top < 1:
            raise ConfigurationError(f"top {top!r}: must be 1 or more")
        question = BySide(self._table, is_whole(query), by)
        found = read(storage, query, question, self._engine, progress)
        if calls is None:
            calls = calls_by_time(storage, query, by, found.skipping.skip)
        told = trend(found.summary.sides, by, top=top, calls=calls)
        return replace(told, skipped=tuple(found.skipping.named), skipped_count=found.skipping.count)

    def _read(
        self,
        storage: ProfileStorage,
        query: ProfileQuery | None,
        versions: tuple[str, ...],
        progress: Progress | None,
        *,
        pictured: bool,
    ) -> Reading[Sides]:
        key = Key.VERSION if versions else Key.NOTHING
        question = BySide(self._table, is_whole(query), key, versions, pictured)
        return read(storage, query, question, self._engine, progress)

    def _compared(
        self,
        names: tuple[str, str],
        sides: Sequence[Side],
        hours: Sequence[float],
        skipping: Skipping,
        exposure: Exposure,
    ) -> Comparison:
        if exposure.hours is None and all(hours):
            exposure = replace(exposure, hours=Pair(*hours))
        first, second = (Named(name, side) for name, side in zip(names, sides, strict=True))
        found = compare(first, second, exposure, least=self._least)
        return replace(found, skipped=tuple(skipping.named), skipped_count=skipping.count)


def _pictured(comparison: Comparison, sides: Sequence[Side]) -> Comparison:
    before, after = (side.trees.trees() for side in sides)
    return replace(comparison, pictures=TwoSides(before, after))


def _hours(query: ProfileQuery | None, side: Side) -> float:
    """Return the hours of a window; where it has no end, from or up to the side's own slow operations. 0 for none."""
    first, last = side.first_ns, side.last_ns
    if query is not None and query.since is not None:
        first = _nanoseconds(query.since)
    if query is not None and query.until is not None:
        last = min(_nanoseconds(query.until), _nanoseconds(datetime.now(UTC)))
    return max(0, last - first) / _HOUR_NS if side.last_ns >= 0 else 0.0


def _nanoseconds(moment: datetime) -> int:
    return round((moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp() * 1e9)


def _known(summary: Sides) -> str:
    found = sorted(label for label in summary.others.keys() | summary.sides.keys() if label)
    if not found:
        return "no profile here has a version"
    more = f" and {len(found) - _SHOWN} more" if len(found) > _SHOWN else ""
    return f"no slow operation of it here; there are {', '.join(found[:_SHOWN])}{more}"
