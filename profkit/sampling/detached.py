"""Branches that an operation started and did not wait for: a heartbeat, a log line sent, a pool's reader.

While they were pending nobody knew that; each look gave them a part of the operation's time like the others. What went
on when the operation ended was not what it waited for, so its part goes to those that were at work at the same time, in
equal parts.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from itertools import pairwise
from typing import NamedTuple

from profkit.sampling.timeline import Span


class _Stretch(NamedTuple):
    """When a strand was at work at some places: spans of one look overlap, but it was at work once."""

    strand: list[Span]
    indexes: list[int]
    began: float
    ended: float

    @property
    def wall(self) -> float:
        """Its seconds."""
        return sum(self.strand[index].wall for index in self.indexes)

    def take(self, part: float) -> float:
        """Take a part of its time; return how many seconds that was."""
        wall = self.wall
        for index in self.indexes:
            span = self.strand[index]
            self.strand[index] = span._replace(wall=span.wall * (1 - part), cpu=span.cpu * (1 - part))
        return wall * part

    def give(self, seconds: float) -> None:
        """Give it time."""
        wall = self.wall
        for index in self.indexes:
            span = self.strand[index]
            part = span.wall / wall if wall > 0 else 1 / len(self.indexes)
            self.strand[index] = span._replace(wall=span.wall + seconds * part)


class _Rates(NamedTuple):
    """Seconds of each, summed up from the first moment on.

    What one that stays gains where it was at work, and what one that only claims it gains where nobody else was; what
    one that goes has to give away, and what it may keep.
    """

    gained: float = 0.0
    claimed: float = 0.0
    given: float = 0.0
    kept: float = 0.0

    def after(self, seconds: float, going: int, staying: int, claiming: int) -> _Rates:
        """Return the sums after `seconds` in which that many of each were at work."""
        if not going:
            return self
        part = seconds / (going + staying)
        if staying:
            return self._replace(gained=self.gained + part * going / staying, given=self.given + part)
        if claiming:
            return self._replace(claimed=self.claimed + part * going / claiming, given=self.given + part)
        return self._replace(kept=self.kept + part)


def give_back(detached: Iterable[Sequence[Span]], others: Iterable[list[Span]]) -> list[list[Span]]:
    """Give the time of `detached` strands to the spans of `others`, in place; return what of theirs is left.

    Each strand's spans are in time order. One of the others without any time is a claim: its strand waited for
    somebody, who knows for whom. Where there is not even a claim, a strand keeps its time: then it was what the
    operation waited for, until it waited no longer.
    """
    left = [list(spans) for spans in detached]
    going = [stretch for spans in left for stretch in _stretches(spans)]
    rest = [stretch for spans in others for stretch in _stretches(spans)]
    staying = [stretch for stretch in rest if stretch.wall > 0]
    claiming = [stretch for stretch in rest if stretch.wall <= 0]
    rates = _rates(going, staying, claiming)
    gains = [(one, rates[one.ended].gained - rates[one.began].gained) for one in staying]
    gains += [(one, rates[one.ended].claimed - rates[one.began].claimed) for one in claiming]
    taken = 0.0
    for one in going:
        given = rates[one.ended].given - rates[one.began].given
        kept = rates[one.ended].kept - rates[one.began].kept
        taken += one.take(given / (given + kept)) if given > 0 else 0.0
    total = sum(gain for _, gain in gains)
    for one, gain in gains:
        if gain > 0:
            one.give(taken * gain / total)
    return left


def _stretches(spans: list[Span]) -> list[_Stretch]:
    found: list[_Stretch] = []
    for index, span in enumerate(spans):
        began = max(span.began, found[-1].ended) if found else span.began
        if span.ended > began:
            found.append(_Stretch(spans, [index], began, span.ended))
        elif found:
            found[-1].indexes.append(index)
    return found


def _rates(*kinds: list[_Stretch]) -> dict[float, _Rates]:
    """Return the sums at each moment at which something began or ended; `kinds` as in `_Rates.after`."""
    changes: defaultdict[float, list[int]] = defaultdict(lambda: [0, 0, 0])
    for kind, stretches in enumerate(kinds):
        for stretch in stretches:
            changes[stretch.began][kind] += 1
            changes[stretch.ended][kind] -= 1
    moments = sorted(changes)
    counts = [0, 0, 0]
    rates = _Rates()
    found = dict.fromkeys(moments[:1], rates)
    for moment, following in pairwise(moments):
        counts = [count + change for count, change in zip(counts, changes[moment], strict=True)]
        found[following] = rates = rates.after(following - moment, *counts)
    return found
