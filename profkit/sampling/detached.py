"""Branches that an operation started and did not wait for: a heartbeat, a log line sent, a pool's reader.

While they were pending nobody knew that; each look gave them a part of the operation's time like the others. What went
on when the operation ended was not what it waited for, so its part goes to those that were at work at the same time.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Sequence

from profkit.sampling.timeline import Span


def give_back(detached: Iterable[Sequence[Span]], others: list[list[Span]]) -> list[list[Span]]:
    """Give the time of `detached` strands to the spans of `others`, in place; return what of theirs is left.

    Each strand's spans are in time order and do not overlap. Where no other was at work, a strand keeps its time: then
    it was what the operation waited for, until it waited no longer.
    """
    begins = [[span.began for span in spans] for spans in others]
    return [[span for span in spans if not _is_given(span, others, begins)] for spans in detached]


def _is_given(span: Span, others: list[list[Span]], begins: list[list[float]]) -> bool:
    """Give the time of one span away; False if there is nobody to give it to."""
    beside: list[tuple[int, int, float]] = []
    for strand, spans in enumerate(others):
        index = max(0, bisect_right(begins[strand], span.began) - 1)
        while index < len(spans) and spans[index].began < span.ended:
            weight = _wall_within(spans[index], span.began, span.ended)
            if weight > 0:
                beside.append((strand, index, weight))
            index += 1
    total = sum(weight for _, _, weight in beside)
    if total <= 0:
        return False
    for strand, index, weight in beside:
        other = others[strand][index]
        others[strand][index] = other._replace(wall=other.wall + span.wall * weight / total)
    return True


def _wall_within(span: Span, began: float, ended: float) -> float:
    """Return the part of a span's wall seconds that lies between two times."""
    length = span.ended - span.began
    overlap = min(span.ended, ended) - max(span.began, began)
    return span.wall * overlap / length if length > 0 and overlap > 0 else 0.0
