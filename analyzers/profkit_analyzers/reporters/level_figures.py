"""Service levels as people read them: never better than they are, since a figure is rounded to the worse side."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from datetime import datetime

from profkit_analyzers.reporters.figures import counted, duration, share
from profkit_analyzers.slo.levels import Goal, Level, Verdict
from profkit_analyzers.slo.service_levels import OperationLevels, ServiceLevels, Span, WindowLevels
from profkit_storage.histogram import MAX_ERROR

VERDICTS = {
    Verdict.MET: "met",
    Verdict.BROKEN: "broken",
    Verdict.OPEN: "too close to tell",
    Verdict.TOO_FEW: "not enough calls",
}
LEGEND = f"! broken, ? {VERDICTS[Verdict.OPEN]}, ( ) {VERDICTS[Verdict.TOO_FEW]}"
NOTHING = "none"
_EDGE = 0.1
_TINY = 1e-9
"""What a float may be short of a whole number by."""


def objective(level: Level) -> str:
    """Return what is asked for: `95 % under 2 s`."""
    target = f"{level.target * 100:g} %"
    if level.goal is Goal.LATENCY:
        return f"{target} under {_exact(level.seconds or 0.0)}"
    return f"{target} available" if level.goal is Goal.AVAILABILITY else f"errors at most {target}"


def measure(level: Level) -> str:
    """Return what a share of it says: `under 2 s`."""
    if level.goal is Goal.LATENCY:
        return f"under {_exact(level.seconds or 0.0)}"
    return "available" if level.goal is Goal.AVAILABILITY else "errors"


def reached(level: Level) -> str:
    """Return the share that was reached, with a ~ where the bucket of its seconds has calls."""
    if level.reached is None:
        return NOTHING
    return f"{_about(level)}{_percent(level.reached, up=level.goal is Goal.ERROR_RATE)}"


def marked(level: Level) -> str:
    """Return the share with a mark for its verdict, as `LEGEND` tells."""
    text = reached(level)
    marks = {Verdict.BROKEN: f"! {text}", Verdict.OPEN: f"? {text}", Verdict.TOO_FEW: f"({text})"}
    return marks.get(level.verdict, text)


def surely(level: Level) -> str:
    """Return from where to where it must lie, "" where it is known."""
    if level.bounds is None or not _about(level):
        return ""
    return f"{_percent(level.bounds[0]).removesuffix(' %')} to {_percent(level.bounds[1], up=True)}"


def missed(level: Level) -> str:
    """Return how many calls missed it."""
    return f"{_about(level)}{math.ceil(level.missed - _TINY):,}"


def budget_left(level: Level) -> str:
    """Return the share of the calls that may miss it that did not yet."""
    left = level.budget_left
    return NOTHING if left is None else f"{math.floor(left * 1000 + _TINY) / 10:,.1f} %"


def burn_rate(level: Level) -> str:
    """Return how many times as many missed it as may."""
    rate = level.burn_rate
    return NOTHING if rate is None else f"{math.ceil(rate * 100 - _TINY) / 100:,.2f}"


def p95(operation: OperationLevels) -> str:
    """Return what 95 % of the calls took at most."""
    return NOTHING if operation.population.p95 is None else duration(operation.population.p95)


def start(window: WindowLevels, span: Span) -> str:
    """Return when a window begins, as exactly as it has to be."""
    return minute(window.start) if span is Span.HOUR else f"{window.start:%Y-%m-%d}"


def minute(time: datetime) -> str:
    """Return a time to the minute."""
    return f"{time:%Y-%m-%d %H:%M}"


def broken(found: ServiceLevels) -> str:
    """Return how many objectives are broken."""
    count = sum(operation.verdicts(Verdict.BROKEN) for operation in found.operations)
    of = sum(len(operation.levels) for operation in found.operations)
    return f"broken: {count:,} of {counted(of, 'objective')}"


def notes(found: ServiceLevels, shown: Sequence[OperationLevels]) -> Iterator[str]:
    """Yield what has to be known to read the figures of `shown`."""
    windows = [level for one in shown for window in one.windows for level in window.levels]
    every = [*(level for one in shown for level in one.levels), *windows]
    close = sorted(
        {(*level.between, level.seconds or 0.0) for level in every if level.between and _about(level)}
    )
    for low, high, seconds in close:
        yield (
            f"~ durations are known to {share(MAX_ERROR)}: calls of {duration(low)} to {duration(high)} may be under "
            f"{_exact(seconds)} or not, and are taken to lie there evenly"
        )
    if any(level.verdict is Verdict.OPEN for level in every):
        yield f"{VERDICTS[Verdict.OPEN]}: those calls decide it"
    least = sorted(
        {(level.min_calls, objective(level)) for level in every if level.verdict is Verdict.TOO_FEW}
    )
    if least:
        needed = ", ".join(f"{calls:,} for {text}" for calls, text in least)
        yield f"{VERDICTS[Verdict.TOO_FEW]}: of fewer than {needed}, a single one could decide"
    yield from _edges(found, shown)


def _edges(found: ServiceLevels, shown: Sequence[OperationLevels]) -> Iterator[str]:
    late = sum(operation.late for operation in found.operations)
    if late:
        yield f"{counted(late, 'call')} of rollups that reach over the end of that time are counted in it"
    windows = sum(window.late > _EDGE * window.calls for one in shown for window in one.windows)
    if found.span is not Span.ALL and windows:
        of = counted(windows, found.span)
        yield f"of {of} over {share(_EDGE)} of the calls are of rollups that reach into the next"


def _about(level: Level) -> str:
    return "~" if level.missed_least != level.missed_most else ""


def _exact(seconds: float) -> str:
    return f"{seconds:g} s" if seconds >= 1 else f"{seconds * 1000:g} ms"


def _percent(value: float, *, up: bool = False) -> str:
    parts = math.ceil(value * 100_000 - _TINY) if up else math.floor(value * 100_000 + _TINY)
    return f"{parts / 1000:.3f} %"
