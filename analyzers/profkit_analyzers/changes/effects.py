"""How much a figure differs between two sides, how sure that is, and when many such rows are looked at at once.

A figure is a ratio of two sums over operations, seconds to operations. Its draws are those of `bootstrap`, numerator
and denominator in the same groups, the two sides independent of each other. The interval is their 2.5th to 97.5th
percentile. The p value is that of Student's t for the difference over the draws' standard deviation, with the degrees
of freedom of the side with fewer groups; t is turned into a normal deviate as in Wallace, "Bounds on normal
approximations to Student's and the chi-square distributions" (1959).
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from profkit_analyzers.bootstrap import GROUPS, Interval, draws, intervals_of

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

FALSE_RATE = 0.05
"""What part of all verdicts may be wrong."""
FEWEST_GROUPS = 10
"""Groups with operations in them below which no verdict is given: fewer do not tell how much these differ."""
_NOTHING = 1e-9


class Estimate(NamedTuple):
    """Figures on one side: (figures,), their draws (figures, draws), and in how many groups operations are."""

    points: NDArray[np.float64]
    drawn: NDArray[np.float64]
    groups: int


@dataclass(frozen=True, slots=True)
class Effect:
    """A figure before and after, in its unit; `interval` is the 95 % interval of the difference.

    `ratio` is after over before, None where it was nothing before; `ratio_interval` also where it may have been.
    `p` is how likely so great a difference is where there is none, before many rows are allowed for.
    """

    before: float
    after: float
    interval: Interval
    ratio: float | None
    ratio_interval: Interval | None
    p: float

    @property
    def difference(self) -> float:
        """After less before."""
        return self.after - self.before

    @property
    def is_sure(self) -> bool:
        """Whether the interval leaves out that there is no difference."""
        return self.interval.low > 0 or self.interval.high < 0


def estimate(sums: NDArray[np.float64], counts: NDArray[np.float64], side: int) -> Estimate:
    """Return each of the `sums` (figures, groups) per one of the `counts` (groups,)."""
    import numpy as np

    total = float(counts.sum())
    points = sums.sum(axis=1) / total if total else np.zeros(len(sums))
    drawn, base = draws(sums, side), draws(counts[None, :], side)[0]
    ratios = np.divide(drawn, base, out=np.repeat(points[:, None], drawn.shape[1], axis=1), where=base > 0)
    return Estimate(points, ratios, int(np.count_nonzero(counts)))


def rate(counts: NDArray[np.float64], base: float, side: int, *, is_share: bool = False) -> Estimate:
    """Return the one figure of how many `counts` (groups,) there are per `base`, which is known exactly.

    As a share of the base it varies by sqrt(1 - share) of what a count does: binomial and not Poisson.
    """
    import numpy as np

    drawn = draws(counts[None, :], side) / base
    point = float(counts.sum() / base)
    if is_share:
        drawn = point + (drawn - point) * math.sqrt(max(0.0, 1 - point))
    return Estimate(np.asarray([point]), drawn, int(np.count_nonzero(counts)))


def effects(before: Estimate, after: Estimate) -> list[Effect]:
    """Return the effect of each figure."""
    import numpy as np

    differences = after.drawn - before.drawn
    deviations = differences.std(axis=1)
    freedom = max(1, min(group for group in (before.groups, after.groups, GROUPS) if group) - 1)
    possible = np.quantile(before.drawn, 0.025, axis=1) > 0
    safe = np.where(before.drawn > 0, before.drawn, np.inf)
    ratios = intervals_of(after.drawn / safe)
    found: list[Effect] = []
    for index, interval in enumerate(intervals_of(differences)):
        first, last = float(before.points[index]), float(after.points[index])
        found.append(
            Effect(
                first,
                last,
                interval,
                last / first if first > 0 else None,
                ratios[index] if possible[index] else None,
                _p(last - first, float(deviations[index]), freedom, scale=first + last),
            )
        )
    return found


def greatest_p(values: Iterable[float], rate: float = FALSE_RATE) -> float:
    """Return the p value up to which rows have a verdict, so that of all verdicts `rate` are wrong; -1 for none.

    Benjamini and Hochberg, "Controlling the false discovery rate" (1995): the greatest p(i) of n, in order, that is at
    most i / n of the rate. Where nothing has changed, the chance of any verdict at all is then that rate.
    """
    ordered = sorted(values)
    allowed = [p for place, p in enumerate(ordered, start=1) if p <= rate * place / len(ordered)]
    return allowed[-1] if allowed else -1.0


def below_half(part: NDArray[np.float64], whole: NDArray[np.float64]) -> bool:
    """Tell whether `whole` is sure to have moved by less than half of what `part` did, in its direction.

    Both are draws of a difference. Sure is 97.5 % of the draws.
    """
    import numpy as np

    sign = 1.0 if part.mean() > 0 else -1.0
    return float(np.quantile(sign * (part / 2 - whole), 0.025)) > 0


def _p(difference: float, deviation: float, freedom: int, *, scale: float) -> float:
    if abs(difference) <= _NOTHING * scale:
        return 1.0
    if deviation <= _NOTHING * scale:
        return 0.0
    t = difference / deviation
    z = math.sqrt(freedom * math.log1p(t * t / freedom)) * (8 * freedom + 1) / (8 * freedom + 3)
    return math.erfc(z / math.sqrt(2))
