"""One pass over the slow operations of a store, whatever is asked of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Generic

from profkit_analyzers.engines.dropped import S
from profkit_analyzers.engines.engine import Engine
from profkit_analyzers.engines.parts import Question, chunks, empty
from profkit_analyzers.skipping import Skipping
from profkit_storage import ProfileEntry, ProfileQuery, ProfileStorage, Trigger

Progress = Callable[[int, int], None]
"""Called with (profiles done, profiles in all) now and then."""


@dataclass(frozen=True, slots=True)
class Reading(Generic[S]):
    """The summary of what was read; `not_ranked` more match but are of no slow operation, `by_hand` are captures."""

    summary: S
    skipping: Skipping
    not_ranked: int
    by_hand: int


def is_whole(query: ProfileQuery | None) -> bool:
    """Tell whether a query takes operations of every name and category."""
    return query is None or (query.operation is None and query.category is None)


def read(
    storage: ProfileStorage,
    query: ProfileQuery | None,
    question: Question[S],
    engine: Engine,
    progress: Progress | None = None,
) -> Reading[S]:
    """Read every slow operation that matches. With `progress`, the store is listed once more, to know how many."""
    listing = _Listing(storage, query)
    total = listing.count() if progress else 0
    result = empty(question)
    for part in engine.parts(storage, chunks(listing.entries()), question):
        result.merge(part)
        if progress:
            progress(result.read, max(result.read, total))
    listing.skipping.merge(result.skipping)
    return Reading(result.settle(), listing.skipping, listing.not_ranked, listing.by_hand)


@dataclass(slots=True)
class _Listing:
    """The slow operations to read, and count of what is not among them."""

    storage: ProfileStorage
    query: ProfileQuery | None
    not_ranked: int = 0
    by_hand: int = 0
    skipping: Skipping = field(default_factory=Skipping)

    def count(self) -> int:
        found = self.storage.scan(self.query, on_problem=_ignore)
        return sum(1 for entry in found if entry.trigger is Trigger.SLOW)

    def entries(self) -> Iterator[ProfileEntry]:
        for entry in self.storage.scan(self.query, on_problem=self.skipping.skip):
            if entry.trigger is Trigger.SLOW:
                yield entry
            else:
                self.not_ranked += 1
                self.by_hand += entry.trigger is Trigger.MANUAL


def _ignore(key: str, reason: str) -> None:
    """Take no note: what is not a profile is told when the store is read."""
