"""The stack in which a bottleneck's seconds were spent, in the worst run there is of it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import groupby

from profkit_analyzers.attribution.blame import Blame, CallSite, function_name
from profkit_analyzers.attribution.rulings import Blamer
from profkit_analyzers.report import Bottleneck
from profkit_storage import Profile, ProfileStorage, StorageError
from profkit_storage.categories import CategoryTable

MOST_ROWS = 100
"""Rows that have their stack looked up: each is a profile to read once more."""


def with_stacks(
    rows: Iterable[Bottleneck], storage: ProfileStorage, table: CategoryTable
) -> tuple[Bottleneck, ...]:
    """Return the rows of a ranking, the first ones with the hottest stack of their worst run as evidence."""
    every = list(rows)
    first = sorted(every[:MOST_ROWS], key=lambda row: row.exemplar)
    found = dict(
        pair
        for id, group in groupby(first, key=lambda row: row.exemplar)
        for pair in _stacks(id, list(group), storage, table)
    )
    return tuple(
        replace(row, evidence=replace(row.evidence, hottest_stack=found[row.rank]))
        if row.rank in found
        else row
        for row in every
    )


def _stacks(
    id: str, rows: list[Bottleneck], storage: ProfileStorage, table: CategoryTable
) -> Iterator[tuple[int, tuple[str, ...]]]:
    try:
        profile = storage.load(id)
    except StorageError:
        return  # it went since it was read: the rest of the evidence stands
    seconds: dict[Blame, dict[int, float]] = defaultdict(lambda: defaultdict(float))
    for sample, ruling, share in Blamer(profile, table).rulings():
        seconds[ruling.blame][sample.node] += share
    for row in rows:
        spent = seconds.get(Blame(row.category, row.subcategory, row.owner, row.call_site))
        if spent:
            _, node = max((most, -node) for node, most in spent.items())
            yield row.rank, _names(profile, -node)


def _names(profile: Profile, node: int) -> tuple[str, ...]:
    """Return the functions of a stack and the lines they are at, from the root to the leaf."""
    names = [str(CallSite(function_name(frame), line)) for frame, line in profile.stack(node)]
    return tuple(reversed(names))
