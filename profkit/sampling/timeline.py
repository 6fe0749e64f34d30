"""What one strand of an operation was doing, for how long: spans in time order, neighbours of a kind joined."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from profkit.chance import chance

RUNNING, WAITING, SUSPENDED, STARVED, HELD, COLLECTING = range(6)
"""States of a span: on the CPU; in a thread that blocks; in a task that awaits; in one that is ready while something
else has the loop; in one that awaits input while one step has held the loop for long; in the garbage collector."""
AWAITING = frozenset({SUSPENDED, STARVED, HELD})
"""States of a task that is not running."""
NOBODY = -1
"""The holder of a span that nothing held up."""


class Span(NamedTuple):
    """A stretch of time at one node of the call tree.

    `wall` and `cpu` are seconds, `state` as above, `holder` the index of the code that had the loop. It lasted from
    `began` to `ended`, in seconds since the operation's start: longer than `wall` where it was one of several branches.
    `inferred` says that no tick saw it, only the thread's clock.
    """

    node: int
    wall: float
    cpu: float
    state: int
    holder: int
    began: float
    ended: float
    inferred: bool = False


_LONGEST_BREAK = 16
"""How many times as long as what is added a strand may have been at no work before it, and it still goes on: chance
leaves some of many branches out of a look."""


class Timeline:
    """Spans as columns; the caller sees to it that there are not too many, and halves them."""

    __slots__ = ("_began", "_cpus", "_ended", "_holders", "_nodes", "_states", "_walls")

    def __init__(self) -> None:
        self._nodes: list[int] = []
        self._walls: list[float] = []
        self._cpus: list[float] = []
        self._states: list[int] = []
        self._holders: list[int] = []
        self._began: list[float] = []
        self._ended: list[float] = []

    def __len__(self) -> int:
        return len(self._nodes)

    def add(  # noqa: PLR0917 - as `Recording.observe`
        self, began: float, ended: float, wall: float, node: int, state: int, holder: int, cpu: float
    ) -> int:
        """Add `wall` seconds at `node`; return how many spans that made: 1, or 0 if it joined the last one."""
        if (
            self._nodes
            and self._nodes[-1] == node
            and self._states[-1] == state
            and self._holders[-1] == holder
            and began - self._ended[-1] <= _LONGEST_BREAK * (ended - began)
        ):
            self._walls[-1] += wall
            self._cpus[-1] += cpu
            self._ended[-1] = ended
            return 0
        self._nodes.append(node)
        self._walls.append(wall)
        self._cpus.append(cpu)
        self._states.append(state)
        self._holders.append(holder)
        self._began.append(began)
        self._ended.append(ended)
        return 1

    def turn(self, before: int, state: int, holder: int, seconds: float) -> None:
        """Give the last `seconds` to `state`, as far as they were spent in the state `before` at the last node."""
        if not self._nodes or self._states[-1] != before:
            return
        seconds = min(seconds, self._walls[-1])
        ended, node = self._ended[-1], self._nodes[-1]
        self._walls[-1] -= seconds
        self._ended[-1] = max(self._began[-1], ended - seconds)
        self.add(self._ended[-1], ended, seconds, node, state, holder, 0.0)

    @property
    def last_state(self) -> int:
        """The state of the last span; there must be one."""
        return self._states[-1]

    def extend(self, wall: float, ended: float) -> None:
        """Give the last span `wall` seconds more; it went on until `ended`."""
        self._walls[-1] += wall
        self._ended[-1] = max(ended, self._ended[-1])

    def take_back(self, excess: float) -> float:
        """Take `excess` seconds off the end; return what could not be taken because there was no more."""
        for index in range(len(self._walls) - 1, -1, -1):
            if excess <= 0:
                break
            taken = min(excess, self._walls[index])
            self._walls[index] -= taken
            self._cpus[index] = min(self._cpus[index], self._walls[index])
            self._ended[index] = max(self._began[index], self._ended[index] - taken)
            excess -= taken
        return max(0.0, excess)

    def spans(self) -> list[Span]:
        """Return what was seen, in time order."""
        columns = self._nodes, self._walls, self._cpus, self._states, self._holders, self._began, self._ended
        return list(map(Span, *columns))

    def halve(self) -> None:
        """Keep one of each two neighbours, see `halved`."""
        kept = halved(self.spans())
        self.__init__()  # type: ignore[misc]
        for node, wall, cpu, state, holder, began, ended, _ in kept:
            self.add(began, ended, wall, node, state, holder, cpu)


def halved(spans: Sequence[Span]) -> list[Span]:
    """Keep one of each two neighbours, by chance in proportion to its time, and give it the time of both."""
    kept: list[Span] = []
    for first, second in zip(spans[::2], spans[1::2], strict=False):
        wall = first.wall + second.wall
        winner = first if chance.random() * wall < first.wall else second
        kept.append(
            winner._replace(wall=wall, cpu=first.cpu + second.cpu, began=first.began, ended=second.ended)
        )
    if len(spans) % 2:
        kept.append(spans[-1])
    return kept
