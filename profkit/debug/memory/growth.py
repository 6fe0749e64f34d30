"""Which types of objects there are more of after a while than before."""

from __future__ import annotations

import threading
import time
from typing import Literal, TypedDict

from profkit.debug.memory.bounds import check_count, check_seconds
from profkit.debug.memory.census import JOB_LIMIT, Census, recent_census, take_census
from profkit.debug.memory.collector import JOB_LIMIT as COLLECT_LIMIT
from profkit.debug.memory.collector import OLDEST, collect_now
from profkit.debug.memory.single import memory_job
from profkit.debug.memory.typenames import shown_name, type_name
from profkit.masking import Masker
from profkit.masking import masker as default_masker

MAX_TYPES = 500
_OURS = type_name(Census)


class TypeGrowth(TypedDict):
    """A type, and how many of its objects were tracked before and after."""

    type: str
    before: int
    after: int
    growth: int


class GrowthReport(TypedDict):
    """What was counted at both ends of a window of `seconds`, which ended when its time was over or the caller left.

    `grown` has the types of which there are more, most first; `grown_left_out` how many more such types there are,
    `shrunk_types` of how many there are fewer. `collected` says whether garbage was collected before each count; if
    not, some of the growth is objects that only wait for it. `stall_seconds` is the longest time for which counting
    or collecting stopped the process.
    """

    seconds: float
    ended: Literal["time", "caller left"]
    collected: bool
    objects_before: int
    objects_after: int
    grown: list[TypeGrowth]
    grown_left_out: int
    shrunk_types: int
    stall_seconds: float


def measure_growth(
    seconds: float,
    *,
    top: int = 25,
    collect: bool = False,
    stop: threading.Event | None = None,
    masker: Masker = default_masker,
) -> GrowthReport:
    """Count objects by type now and after `seconds` (1..60), or once `stop` is set. Blocks: for a worker thread.

    Raises `ConfigurationError` for seconds or top (1..500) that are not allowed, `Busy` while another memory job runs,
    `TooLarge` if counting would stop the process for more than 2 s, or collecting for more than 5.
    """
    check_seconds(seconds)
    check_count("top", top, MAX_TYPES)
    with memory_job.alone():
        before, stall = _look(collect=collect)
        began = time.monotonic()
        left = (stop or threading.Event()).wait(seconds)
        elapsed = time.monotonic() - began
        after, again = _look(collect=collect)
        recent_census.put(after)
    changes = {
        name: count - before.counts.get(name, 0) for name, count in after.counts.items() if name != _OURS
    }
    grown = sorted(
        ((name, more) for name, more in changes.items() if more > 0), key=lambda one: (-one[1], one[0])
    )
    fewer = sum(count > after.counts.get(name, 0) for name, count in before.counts.items())
    return {
        "seconds": round(elapsed, 3),
        "ended": "caller left" if left else "time",
        "collected": collect,
        "objects_before": before.objects,
        "objects_after": after.objects,
        "grown": [
            {
                "type": shown_name(name, masker),
                "before": before.counts.get(name, 0),
                "after": after.counts[name],
                "growth": more,
            }
            for name, more in grown[:top]
        ],
        "grown_left_out": max(0, len(grown) - top),
        "shrunk_types": fewer,
        "stall_seconds": round(max(stall, again), 6),
    }


def _look(*, collect: bool) -> tuple[Census, float]:
    stall = collect_now(OLDEST, COLLECT_LIMIT) if collect else 0.0
    census = take_census(JOB_LIMIT)
    return census, max(stall, census.stall)
