"""How much of a change is another mix of operations, and how much is their speed.

With s the share of all operations that are of one name, and w their mean seconds, the mean over all is M = sum(s * w).
Then exactly

    M1 - M0 = sum((s1 - s0) * (w0 + w1) / 2)  +  sum((w1 - w0) * (s0 + s1) / 2)
              mix                                speed

(Kitagawa, "Components of a Difference Between Two Rates", 1955.) An operation that one side lacks has no speed there:
its mean is taken to be the other side's, and all of it is mix.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from profkit_analyzers.bootstrap import draws, intervals_of
from profkit_analyzers.changes.comparison import Decomposition, Share

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


class Amounts(NamedTuple):
    """Operations and seconds of each name on one side, by group: (names, groups). `calls` (names,) if all are known."""

    counts: NDArray[np.float64]
    seconds: NDArray[np.float64]
    calls: NDArray[np.float64] | None


def decompose(before: Amounts, after: Amounts) -> Decomposition | None:
    """Return the parts of the difference in mean seconds per call, or per slow operation; None if a side is empty."""
    import numpy as np

    points = _parts(*_summed(before), *_summed(after))
    if points is None:
        return None
    drawn = _parts(*_drawn(before, 0), *_drawn(after, 1))
    old, new, mix, speed = (float(part[0]) for part in points)
    spread = intervals_of(np.asarray(points[2:4] if drawn is None else drawn[2:4]))
    per = "slow operation" if before.calls is None or after.calls is None else "call"
    return Decomposition(per, old, new, Share(mix, spread[0]), Share(speed, spread[1]))


def _summed(side: Amounts) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    counts = side.counts.sum(axis=1) if side.calls is None else side.calls
    return counts[:, None], side.seconds.sum(axis=1)[:, None]


def _drawn(side: Amounts, number: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    import numpy as np

    seconds = draws(side.seconds, number)
    if side.calls is None:
        return draws(side.counts, number), seconds
    return np.repeat(side.calls[:, None], seconds.shape[1], axis=1), seconds


def _parts(
    n0: NDArray[np.float64], t0: NDArray[np.float64], n1: NDArray[np.float64], t1: NDArray[np.float64]
) -> tuple[NDArray[np.float64], ...] | None:
    """Return the means before and after, mix and speed, all (draws,), of counts and seconds (names, draws)."""
    import numpy as np

    if not (n0.sum(axis=0).all() and n1.sum(axis=0).all()):
        return None
    s0, s1 = n0 / n0.sum(axis=0), n1 / n1.sum(axis=0)
    w0 = np.divide(t0, n0, out=np.full_like(t0, np.nan), where=n0 > 0)
    w1 = np.divide(t1, n1, out=np.full_like(t1, np.nan), where=n1 > 0)
    w0, w1 = np.where(n0 > 0, w0, w1), np.where(n1 > 0, w1, w0)
    w0, w1 = np.nan_to_num(w0), np.nan_to_num(w1)
    mix = ((s1 - s0) * (w0 + w1) / 2).sum(axis=0)
    speed = ((w1 - w0) * (s0 + s1) / 2).sum(axis=0)
    return (s0 * w0).sum(axis=0), (s1 * w1).sum(axis=0), mix, speed
