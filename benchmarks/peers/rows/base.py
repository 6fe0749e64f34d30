"""What a row of the table is."""

from __future__ import annotations

import asyncio
import enum
import time
from collections.abc import Callable
from typing import ClassVar

from benchmarks.peers.adapters.base import Peer


class How(enum.Enum):
    """How the figures of a peer become a cell."""

    RATIO = "times bare"
    """The median over the pairs of peer against bare."""
    EXTRA = "more than bare"
    """The median over the pairs of peer less bare."""
    ALONE = "as it is"
    """The median of the peer's own."""
    SHARES = "per cent of the operation"
    """The median of each share, and the largest error of any in any run, in points."""


class Row:
    """One thing to measure, once a call; made once in each process that measures it."""

    title: ClassVar[str]
    how: ClassVar[How] = How.RATIO
    runs: ClassVar[int | None] = None
    """At most so many pairs; None is as many as asked for."""
    turns: ClassVar[int] = 1
    """How often bare and peer take turns in one pair: in a short turn a noisy machine changes less."""
    apart: ClassVar[bool] = False
    """Whether bare needs a process of its own, whatever the peer."""
    names: ClassVar[tuple[str, ...]] = ()
    """The functions whose shares are asked for."""
    form: ClassVar[str] = "{:.2f}"
    bare: ClassVar[str] = "{:.3f} s"
    """How a figure of a peer, and one of none, are written."""

    def measure(self, peer: Peer) -> dict[str, float]:
        """Run the operation once.

        Returns:
            `value`; or, where shares are asked for, the true share of each of `names` by the clock, 0 to 1.
        """
        raise NotImplementedError


def run(peer: Peer, function: Callable[[], object]) -> None:
    """Call a function as one operation, in an event loop if the peer knows of no other operations."""
    if not peer.needs_loop:
        peer.wrap(function)()
        return

    async def operation() -> None:
        function()

    async def main() -> None:
        await peer.wrap_async(operation)()

    asyncio.run(main())


def cpu_seconds(function: Callable[[], object]) -> float:
    """Return the CPU seconds of the whole process while `function` runs."""
    started = time.process_time()
    function()
    return time.process_time() - started


def fib(n: int) -> int:
    """Call functions, many of them."""
    return n if n < 2 else fib(n - 1) + fib(n - 2)


def spin(seconds: float) -> float:
    """Compute until `seconds` have passed; return how many have."""
    started = time.perf_counter()
    while (passed := time.perf_counter() - started) < seconds:
        pass
    return passed
