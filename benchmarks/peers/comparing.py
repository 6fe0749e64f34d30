"""From pairs of measurements to a cell of the table."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Generator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import partial

from benchmarks.peers.adapters import BARE, PEERS
from benchmarks.peers.processes import Measuring, NoFigure, Places, Shares
from benchmarks.peers.rows import ROWS
from benchmarks.peers.rows.base import How, Row

Side = Callable[[], float]
_PLAIN = 2.0
"""Times bare, from which a noisy machine does not matter."""


@dataclass
class Cell:
    """What was found for one row and peer; `text` is what the table says.

    `bare` holds what the bare runs of the pairs gave, `truth` the clock's shares; `low` and `high` are quartiles.
    """

    text: str
    pairs: int = 0
    low: str = ""
    high: str = ""
    bare: list[float] = field(default_factory=list[float])
    truth: list[Shares] = field(default_factory=list[Shares])


def compare(places: Places, row_name: str, peer: str, pairs: int) -> Cell:
    """Measure one row with one peer; never raises for what a peer does."""
    row = ROWS[row_name]
    count = min(pairs, row.runs or pairs)
    try:
        if row.how is How.SHARES:
            return _compare_shares(row, [_shares(places, row_name, peer) for _ in range(count)])
        if row.how is How.ALONE:
            return _compare_values(row, [(0.0, _alone(places, row_name, peer)) for _ in range(count)])
        return _compare_values(row, _pairs(places, row_name, peer, count))
    except NoFigure as reason:
        return Cell(str(reason))


def _shares(places: Places, row_name: str, peer: str) -> tuple[Shares, Shares]:
    """Return the clock's shares and the peer's, of one operation in a process of its own."""
    with Measuring(places, row_name, peer) as process:
        return process.measure_shares()


def _alone(places: Places, row_name: str, peer: str) -> float:
    with Measuring(places, row_name, peer) as process:
        return process.measure(peer)


def _pairs(places: Places, row_name: str, peer: str, count: int) -> list[tuple[float, float]]:
    """Return (bare, peer) of each pair: all from one process if both can be in one, else each from two fresh ones.

    Fresh ones, since where a process happens to lie in memory makes it faster or slower by some per cent.
    """
    row = ROWS[row_name]
    together = PEERS[peer].rests and not row.apart
    pairs: list[tuple[float, float]] = []
    turns = 0
    while len(pairs) < count:
        with _sides(places, row_name, peer, together=together) as sides:
            _pair(sides, 1, 0)  # warming up
            turns = turns or _turns(row, sides)
            end = count if together else len(pairs) + 1
            pairs += [_pair(sides, turns, number) for number in range(len(pairs), end)]
    return pairs


@contextmanager
def _sides(places: Places, row_name: str, peer: str, *, together: bool) -> Generator[tuple[Side, Side]]:
    """Give what measures bare once, and what measures the peer once."""
    with ExitStack() as processes:
        profiled = processes.enter_context(Measuring(places, row_name, peer))
        bare = profiled if together else processes.enter_context(Measuring(places, row_name, BARE))
        yield partial(bare.measure, BARE), partial(profiled.measure, peer)


def _turns(row: type[Row], sides: tuple[Side, Side]) -> int:
    """Return how many turns a pair needs: one if the difference is plain to see."""
    if row.turns == 1:
        return 1
    bare, peer = _pair(sides, 1, 1)
    return 1 if peer > _PLAIN * bare else row.turns


def _pair(sides: tuple[Side, Side], turns: int, number: int) -> tuple[float, float]:
    """Return the means over some turns, now one first and now the other."""
    values: tuple[list[float], list[float]] = ([], [])
    for turn in range(number, number + turns):
        for which in (0, 1) if turn % 2 else (1, 0):
            values[which].append(sides[which]())
    return statistics.fmean(values[0]), statistics.fmean(values[1])


def _compare_values(row: type[Row], pairs: list[tuple[float, float]]) -> Cell:
    if row.how is How.RATIO:
        values = [peer / bare for bare, peer in pairs]
    elif row.how is How.EXTRA:
        values = [peer - bare for bare, peer in pairs]
    else:
        values = [peer for _, peer in pairs]
    low, middle, high = (row.form.format(value) for value in _quartiles(values))
    bare = [] if row.how is How.ALONE else [bare for bare, _ in pairs]
    return Cell(middle, len(pairs), low, high, bare=bare)


def _compare_shares(row: type[Row], runs: Sequence[tuple[Shares, Shares]]) -> Cell:
    medians = median_shares(row, [shares for _, shares in runs])
    worst = max(abs(shares[name] - truth[name]) for truth, shares in runs for name in row.names)
    return Cell(f"{medians} (±{worst * 100:.0f})", len(runs), truth=[truth for truth, _ in runs])


def median_shares(row: type[Row], runs: Sequence[Shares]) -> str:
    """Write the median of each share, in per cent."""
    return ", ".join(f"{statistics.median(one[name] for one in runs) * 100:.0f}" for name in row.names)


def _quartiles(values: list[float]) -> tuple[float, float, float]:
    if len(values) == 1:
        return values[0], values[0], values[0]
    low, _, high = statistics.quantiles(values, n=4, method="inclusive")
    return low, statistics.median(values), high
