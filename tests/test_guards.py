"""Figures that must hold. Run alone (`make guards`): beside other tests they would measure those too."""

from __future__ import annotations

import pytest

from benchmarks.guards import GUARDS, Measurement, Row


def test_excess_is_counted_in_the_direction_of_the_limit() -> None:
    assert Measurement("a", 1.04, 1.02, "", "", slack=0.03).excess == pytest.approx(0.02)
    assert Measurement("b", 0.9, 0.95, "", "", at_least=True).excess == pytest.approx(0.05)


@pytest.mark.guard
@pytest.mark.parametrize("measure", GUARDS, ids=lambda row: row.__name__)
def test_a_figure_is_within_its_limit(measure: Row) -> None:
    first = measure()
    again = first if all(one.holds for one in first) else measure()
    for one, other in zip(first, again, strict=True):
        assert min(one.excess, other.excess) <= one.slack, (one, other)
