"""Where the level of a series changed, and whether that is more than chance.

Binary segmentation (Scott and Knott, "A Cluster Analysis Method for Grouping Means", 1974): the series is cut where the
two sides' means differ most, by the weighted sum of squares between them, and then each side again, as long as the cut
is evidence. That is asked of permutations: the deviations, each times the root of its weight, are dealt to other times,
and it is counted how often chance finds as good a cut somewhere. What is clearly chance is given up early (Besag and
Clifford, "Sequential Monte Carlo p-values", 1991).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

SHORTEST = 3
"""Values on each side of a cut."""
_BLOCK = 500
_MOST = 20_000
_ENOUGH = 20
"""Permutations as good as the series, after which its p value is known well enough."""
_SEED = 20_260_314


class Cut(NamedTuple):
    """A change of level between `at` - 1 and `at`; `p` is how likely chance finds one as good somewhere."""

    at: int
    p: float


def cuts(values: NDArray[np.float64], weights: NDArray[np.float64], level: float) -> list[Cut]:
    """Return the changes of level of which chance finds each with a probability of at most `level`, in order.

    `values` (times,) vary the less, the greater their `weights` (times,), which must be positive.
    """
    found: list[Cut] = []
    pending = [(0, len(values))]
    while pending:
        first, end = pending.pop()
        cut = _best(values[first:end], weights[first:end], level)
        if cut is not None:
            at = first + cut.at
            found.append(Cut(at, cut.p))
            pending += [(first, at), (at, end)]
    return sorted(found)


def _best(values: NDArray[np.float64], weights: NDArray[np.float64], level: float) -> Cut | None:
    import numpy as np

    if len(values) < 2 * SHORTEST:
        return None
    mean = float(np.average(values, weights=weights))
    if np.ptp(values) <= 1e-9 * abs(mean):
        return None
    residuals = (values - mean) * np.sqrt(weights)
    between = _between(residuals[None, :], weights)[0]
    p = _probability(residuals, weights, float(between.max()), level)
    return Cut(int(between.argmax()) + SHORTEST, p) if p <= level else None


def _between(residuals: NDArray[np.float64], weights: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the sum of squares between both sides of each cut, over that of all: (series, cuts)."""
    import numpy as np

    roots = np.sqrt(weights)
    sums = np.cumsum(residuals * roots, axis=1)
    left = np.cumsum(weights)
    total = sums[:, -1:]
    right = left[-1] - left[:-1]
    explained = sums[:, :-1] ** 2 / left[:-1] + (total - sums[:, :-1]) ** 2 / right - total**2 / left[-1]
    square = (residuals**2).sum(axis=1, keepdims=True) - total**2 / left[-1]
    shares: NDArray[np.float64] = explained[:, SHORTEST - 1 : len(weights) - SHORTEST] / square
    return shares


def _probability(
    residuals: NDArray[np.float64], weights: NDArray[np.float64], seen: float, level: float
) -> float:
    import numpy as np

    random = np.random.default_rng(_SEED)
    # A level that is met needs enough permutations to show it.
    most = min(_MOST, max(_BLOCK, round(10 / level)))
    as_good = done = 0
    while done < most and as_good < _ENOUGH:
        dealt = random.permuted(np.tile(residuals, (_BLOCK, 1)), axis=1)
        as_good += int((_between(dealt, weights).max(axis=1) >= seen).sum())
        done += _BLOCK
    return (as_good + 1) / (done + 1)
