"""Compaction: closed hours of a service become blocks, whose originals go once the blocks are safe.

Of an hour: what is left of killed compactions goes; what is in no block is read, written as tables, read back,
compared, and only then has a manifest; originals that whole blocks have held for the grace period go. Killed at any
step and run again, nothing is lost and nothing is served twice. So it is if two run at once: a block's name says what
it was made from, and both write the same.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta
from importlib.util import find_spec

from profkit_storage.base import ProblemHandler, ProfileQuery, log_problem
from profkit_storage.blocks.catalog import missing_polars
from profkit_storage.blocks.kinds import KINDS, Kind
from profkit_storage.blocks.layout import BlockObjects, grouped, hour_start
from profkit_storage.blocks.working import Compacted, Service, ServiceWork
from profkit_storage.errors import ConfigurationError
from profkit_storage.keys import HOUR_MS
from profkit_storage.matching import KeyFilter
from profkit_storage.object_storage import ObjectStorage
from profkit_storage.objects import StoredObject

MARGIN = timedelta(minutes=15)
"""How long after its end an hour is left alone: operations that started in it may still run, or wait in a spool."""

GRACE = timedelta(minutes=10)
"""How long originals stay beside their block."""

MAX_PROFILES = 10_000


class Compaction:
    """Compacts the hours of `storage` that ended before `until`, and `MARGIN` ago.

    `until` None means all of those; a datetime without a zone is taken as UTC. Originals stay for `grace` beside their
    block. `max_profiles` is how many a block holds at most. What takes less than `smallest` bytes in an hour of a
    service is left as it is: a block of profiles takes some 30 kB whatever is in it, one of rollups 10 kB. What is
    damaged is passed to `on_problem` and left there.

    Raises:
        ConfigurationError: `grace` or `smallest` is negative, or `max_profiles` below 1.
        StorageError: Polars is not installed.
    """

    def __init__(
        self,
        storage: ObjectStorage,
        *,
        until: datetime | None = None,
        grace: timedelta = GRACE,
        max_profiles: int = MAX_PROFILES,
        smallest: int = 0,
        on_problem: ProblemHandler = log_problem,
    ) -> None:
        if grace < timedelta(0):
            raise ConfigurationError(f"grace {grace}: must not be negative")
        if max_profiles < 1:
            raise ConfigurationError(f"max_profiles {max_profiles}: must be 1 or more")
        if smallest < 0:
            raise ConfigurationError(f"smallest {smallest}: must not be negative")
        if find_spec("polars") is None:
            raise missing_polars()
        self._storage = storage
        self._objects = storage.objects
        now = datetime.now(UTC)
        aware = until.replace(tzinfo=UTC) if until is not None and until.tzinfo is None else until
        self._until = min(now - MARGIN, aware or now)
        self._grace = grace
        self._max_profiles = max_profiles
        self._smallest = smallest
        self._on_problem = on_problem

    def run(self, *, dry_run: bool = False) -> Iterator[Compacted]:
        """Compact hour after hour, and yield what was done with each that had anything to do.

        With `dry_run` nothing is written or removed: `profiles`, `rollups`, `blocks` and `before` tell what would be
        compacted.

        Raises:
            StorageError: the store cannot be read or written.
        """
        for kind in KINDS:
            for service in self._services(kind):
                work = ServiceWork(
                    self._objects,
                    kind,
                    service,
                    grace=self._grace,
                    max_objects=self._max_profiles,
                    smallest=self._smallest,
                    on_problem=self._on_problem,
                )
                done = work.plan() if dry_run else work.run()
                if not done.nothing:
                    yield done

    def _services(self, kind: Kind) -> Iterator[Service]:
        wanted = KeyFilter(ProfileQuery(until=self._until))
        end = self._until.timestamp() * 1000
        for hour, originals, blocks in self._storage.hours(kind.layout, wanted, self._on_problem):
            if hour_start(hour) + HOUR_MS <= end:
                yield from _by_service(kind, originals, grouped(blocks, self._on_problem))


def _by_service(
    kind: Kind, originals: Iterable[StoredObject], blocks: Iterable[BlockObjects]
) -> Iterator[Service]:
    services: dict[str, Service] = {}

    def of(key: str) -> Service:
        place = "/".join(key.split("/")[2:5])
        return services.setdefault(place, Service(place))

    for one in originals:
        if kind.id_of(one):
            of(one.key).originals.append(one)
    for block in blocks:
        if block.name.startswith(kind.letter):
            of(block.place).blocks.append(block)
    for place in sorted(services):
        yield services[place]
