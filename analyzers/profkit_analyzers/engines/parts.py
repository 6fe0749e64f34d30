"""What becomes of the profiles of a stretch of time, and of two such stretches that follow each other."""

from __future__ import annotations

import gc
import math
from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Generic, NamedTuple, Protocol

from profkit_analyzers.engines.dropped import S, Undecided
from profkit_analyzers.engines.nesting import JITTER_NS, OuterSpans, end_ns, placed
from profkit_analyzers.ranking.budgets import Budgets
from profkit_analyzers.ranking.summary import Summary
from profkit_analyzers.skipping import Skipping
from profkit_storage import Profile, ProfileEntry, ProfileStorage
from profkit_storage.categories import CategoryTable

CHUNK = 500
"""Profiles that are worked through at a time, at most: some tenths of a second, so that a progress bar moves."""
_HOUR_NS = 3_600 * 10**9
_DAY_NS = 24 * _HOUR_NS
_TOLERANCE = 0.01
_LEAST = 1e-6
"""By how much the sum of a profile's samples may differ from its wall time: a share, and seconds."""


class Chunk(NamedTuple):
    """Entries that follow each other in a scan, and when those beside them start (ns, UTC); None where none are."""

    entries: Sequence[ProfileEntry]
    since: int | None
    until: int | None


def chunks(entries: Iterable[ProfileEntry]) -> Iterator[Chunk]:
    """Yield the entries of a scan in chunks, in their order.

    Cuts depend on what is before them on the same UTC day, and little of that: new profiles, and old ones that go,
    leave most chunks as they were, so what is kept of them (see `cache`) holds.
    """
    current: list[ProfileEntry] = []
    since: int | None = None
    for entry in entries:
        if current and _ends(current, entry):
            yield Chunk(current, since, entry.start_ns)
            current, since = [], entry.start_ns
        current.append(entry)
    if current:
        yield Chunk(current, since, None)


def _ends(current: Sequence[ProfileEntry], following: ProfileEntry) -> bool:
    """Tell whether a chunk ends: it is full, another day begins, or another hour while it is half full."""
    first, last = current[0].start_ns, current[-1].start_ns
    return (
        len(current) >= CHUNK
        or first // _DAY_NS != following.start_ns // _DAY_NS
        or (len(current) >= CHUNK // 2 and last // _HOUR_NS != following.start_ns // _HOUR_NS)
    )


class Question(Protocol[S]):
    """What is asked of profiles: it makes summaries, and travels between processes."""

    @property
    def whole(self) -> bool:
        """Whether all operations are looked at: of chosen ones, what they ran inside may be in no row at all."""
        ...

    @property
    def new(self) -> Callable[[], S]:
        """What makes an empty summary; it travels with every part."""
        ...

    def add(self, summary: S, profile: Profile, *, nested: bool) -> None:
        """Add a profile to a summary; a `nested` one ran inside another that is added as well."""
        ...


@dataclass(frozen=True, slots=True)
class Criteria:
    """By what profiles are ranked: a `Question`. With `pictured`, what a page draws is gathered too."""

    table: CategoryTable
    budgets: Budgets
    whole: bool
    pictured: bool = False

    @property
    def new(self) -> Callable[[], Summary]:
        """What makes an empty summary."""
        return Summary

    def add(self, summary: Summary, profile: Profile, *, nested: bool) -> None:
        """Add a profile to a summary."""
        summary.add(profile, self.table, self.budgets, nested=nested, pictured=self.pictured)

    @property
    def identity(self) -> str:
        """What it has in common with those criteria only that make the same summaries, in any process."""
        budgets = dict(self.budgets.operations), dict(self.budgets.categories), self.budgets.default
        return repr((self.table.identity, budgets, self.whole, self.pictured))


@dataclass(slots=True)
class Part(Generic[S]):
    """What a stretch of time holds; `merge` adds the one behind it, and however they are cut, the whole is the same.

    `read` of its profiles were worked through or skipped. `spans` are the operations that may hold some of another
    part's, `undecided` what may be inside one of another's.
    """

    summary: S
    undecided: Undecided[S]
    spans: OuterSpans = field(default_factory=OuterSpans)
    skipping: Skipping = field(default_factory=Skipping)
    read: int = 0

    def merge(self, later: Part[S]) -> None:
        """Add the part that follows this one in time."""
        self.summary.merge(later.summary)
        self.spans.merge(later.spans)
        self.undecided.merge(later.undecided)
        self.undecided.bound(self.summary, self.spans)
        self.skipping.merge(later.skipping)
        self.read += later.read

    def settle(self) -> S:
        """Return the summary of all, once there is nothing more to merge."""
        self.undecided.settle(self.summary, self.spans)
        return self.summary


def empty(question: Question[S]) -> Part[S]:
    """Return a part in which nothing is counted yet."""
    return Part(question.new(), Undecided(question.new))


@contextmanager
def _without_collector() -> Generator[None]:
    """Keep Python's collector from looking at what is read: rows, and no cycles. It took half of all time."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()


@_without_collector()
def work(storage: ProfileStorage, chunk: Chunk, question: Question[S]) -> Part[S]:
    """Read the profiles of a chunk, and return what they are together."""
    part = empty(question)
    part.read = len(chunk.entries)
    for found in placed(_profiles(storage, chunk.entries, part.skipping)):
        profile = found.profile
        part.undecided.see(profile)
        if _reaches_beyond(profile, chunk):
            part.spans.add(profile)
        missing = found.missing if question.whole else frozenset[int]()
        if missing or (found.around and _is_at_an_edge(profile, chunk)):
            summary = part.undecided.summary_for(found._replace(missing=missing))
        else:
            summary = part.summary
        question.add(summary, profile, nested=found.nested)
    return part


def _reaches_beyond(profile: Profile, chunk: Chunk) -> bool:
    """Tell whether another part may have operations inside this one."""
    return (chunk.until is not None and end_ns(profile) > chunk.until - JITTER_NS) or (
        chunk.since is not None and profile.start_ns < chunk.since + 2 * JITTER_NS
    )


def _is_at_an_edge(profile: Profile, chunk: Chunk) -> bool:
    """Tell whether what a profile ran inside may be in another part: it started earlier, but for the clocks' jitter."""
    return chunk.since is not None or (
        chunk.until is not None and profile.start_ns > chunk.until - 2 * JITTER_NS
    )


def _profiles(
    storage: ProfileStorage, entries: Sequence[ProfileEntry], skipping: Skipping
) -> Iterator[Profile]:
    for entry, profile in storage.load_many(entries, on_problem=skipping.skip, shared=True):
        wrong = _wrong_sum(profile)
        if wrong:
            skipping.skip(entry.key, wrong)
        else:
            yield profile


def _wrong_sum(profile: Profile) -> str:
    """Return what is wrong with the profile's seconds, "" if nothing: in the ranking each has to count once."""
    found = math.fsum(sample.wall for sample in profile.samples) + profile.sampling.unobserved
    if abs(found - profile.wall) <= _TOLERANCE * profile.wall + _LEAST:
        return ""
    return f"its samples are {found:.3f} s in all, the operation took {profile.wall:.3f} s"
