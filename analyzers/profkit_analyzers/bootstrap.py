"""How sure a sum over operations is: a bootstrap over operations, in memory that does not grow with them.

Operations are put into groups by their ids, and a sum is kept for each group. To draw operations with replacement, each
group is counted as often as a Poisson number of mean 1 says: the Poisson bootstrap (Hanley and MacGibbon, "Creating
non-parametric bootstrap samples using Poisson frequencies", 2006) over random groups (Wolter, "Introduction to Variance
Estimation", chapter 2). The sums of the groups merge in any order, and so the interval does not depend on how the
profiles were divided; samples of one operation, which are alike, never count as evidence of their own.

Each draw is scaled to as many groups as there are. Unscaled, a sum would vary by 1 / sqrt(GROUPS) of itself however
many operations it is of: what varies is how the groups differ, not how many of them were drawn.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

GROUPS = 64
"""Groups of operations: the width of an interval is then known to 9 % (1 / sqrt(2 * 63))."""

DRAWS = 1_000
_SEED = 20_260_314
_OUTSIDE = 0.025
"""Of the draws at each end of a 95 % interval."""


class Interval(NamedTuple):
    """The 95 % interval of a figure, in its unit."""

    low: float
    high: float


def group_of(id: str) -> int:
    """Return the group of the operation with this profile id: the same wherever and whenever it is asked."""
    return zlib.crc32(id.encode()) % GROUPS


def intervals(sums: Sequence[Sequence[int]]) -> list[Interval]:
    """Return the interval of each sum, given as what each of the `GROUPS` contributes. All are of the same draws."""
    if not sums:
        return []
    return intervals_of(draws(sums))


def draws(sums: Sequence[Sequence[float]] | NDArray[np.float64], side: int = 0) -> NDArray[np.float64]:
    """Return `DRAWS` draws of each sum: (sums, draws). Those of one `side` go together; another's are independent."""
    import numpy as np

    frequencies = _frequencies(side)
    # Whole numbers add up to the same in every order, so the scale comes after.
    drawn = np.asarray(sums, dtype=np.float64) @ frequencies
    scaled: NDArray[np.float64] = drawn * (GROUPS / frequencies.sum(axis=0))
    return scaled


def intervals_of(drawn: NDArray[np.float64]) -> list[Interval]:
    """Return the interval of each row of draws."""
    import numpy as np

    low, high = np.quantile(drawn, (_OUTSIDE, 1 - _OUTSIDE), axis=1)
    return [Interval(float(first), float(last)) for first, last in zip(low, high, strict=True)]


@lru_cache(maxsize=2)
def _frequencies(side: int) -> NDArray[np.float64]:
    """Return how often each group counts in each draw: (groups, draws)."""
    import numpy as np

    frequencies: NDArray[np.float64] = (
        np.random.default_rng(_SEED + side).poisson(1.0, (GROUPS, DRAWS)).astype(np.float64)
    )
    return frequencies
