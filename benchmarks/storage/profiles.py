"""Profiles as a service with slow operations leaves them, from a seed: the same ones in every run.

Durations are log-normal from a second on; a look every 10 ms, late as looks are; neighbours of one stack are one
sample, as in a captured profile. Times are differences of a float clock, so their last digits are noise, which no
encoding can leave out: whatever else is repeated in such a profile, these are not.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import NamedTuple

from profkit_storage import ChildOperation, Frame, Node, Origin, Profile, Sample, Sampling, State
from profkit_storage.ulid import new_ulid

INTERVAL = 0.01
NOON = 1_773_489_600_000_000_000
"""2026-03-14 12:00 UTC in nanoseconds."""

_OPERATIONS = 8
_LIBRARIES = ("sqlalchemy", "httpx", "openai", "starlette", "pydantic", "anyio", "redis", "asyncpg")
_STAY = 0.7
"""Chance of a look to find the stack of the last one."""

Stack = tuple[tuple[Frame, int], ...]
"""Frames from the root to the leaf, and the line each is at."""


class Operation(NamedTuple):
    """One kind of operation: its name, and the stacks it can be found at."""

    name: str
    category: str
    stacks: list[Stack]


class Service:
    """A service with some operations that run through the same libraries. `depth` fixes that of every stack.

    Code calls on in chains, the same ones wherever it is: an operation's trunk (server, middleware, handler), a few
    ways through its own code, and many that end in a library.
    """

    def __init__(self, seed: int = 1, depth: int | None = None) -> None:
        self._random = random.Random(seed)
        self._depth = depth
        frames = [self._frame(number) for number in range(600)]
        self._chains = [self._chain(frames) for _ in range(150)]
        self._operations = [
            Operation(f"operation.{number}", ("agent", "db", "llm", "http")[number % 4], self._stacks())
            for number in range(_OPERATIONS)
        ]

    def redraw(self, seed: int) -> None:
        """Let the profiles that follow be others, of the same operations and stacks."""
        self._random.seed(seed)

    def profiles(
        self, count: int, spread_ns: int = 3_500_000_000_000, start_ns: int = NOON
    ) -> Iterator[Profile]:
        """Yield so many profiles of operations that start within `spread_ns`."""
        for number in range(count):
            yield self.profile(start_ns + number * spread_ns // max(count, 1))

    def profile(self, start_ns: int, wall: float | None = None) -> Profile:
        """Return one profile, of `wall` seconds or of a log-normal number of them."""
        draw = self._random
        operation = draw.choice(self._operations)
        wall = wall or 2.718281828 ** abs(draw.gauss(0.0, 0.8))
        stacks = draw.sample(operation.stacks, k=draw.randint(10, 80))
        tree = _Tree()
        observed = tree.fill(draw, stacks, wall)
        child_end = draw.uniform(0.3, 0.9) * wall
        return Profile(
            id=_steady_ulid(start_ns, draw),
            operation=operation.name,
            category=operation.category,
            start_ns=start_ns,
            wall=wall,
            service="orders",
            cpu=sum(sample.cpu for sample in tree.samples),
            version="2026.3.1",
            host="web-1",
            pid=4242,
            python="3.12.4",
            request_id=f"{draw.getrandbits(64):016x}",
            trace_id=f"{draw.getrandbits(128):032x}",
            span_id=f"{draw.getrandbits(64):016x}",
            tags={"tenant": f"tenant-{draw.randint(1, 50)}", "retries": 0},
            number=draw.randint(1, 10**6),
            frames=tuple(tree.frames),
            nodes=tuple(tree.nodes),
            samples=tuple(tree.samples),
            children=(ChildOperation("llm.chat", "llm", 0.1 * wall, child_end, {"model": "m-large"}),),
            sampling=Sampling(
                ticks=int(wall / INTERVAL), sampler_cpu=0.004, unobserved=max(0.0, wall - observed)
            ),
        )

    def _frame(self, number: int) -> Frame:
        line = self._random.randint(1, 2000)
        if number % 3 == 0:
            module = f"app.part{number % 20}.module{number % 70}"
            path = module.replace(".", "/")
            return Frame(
                f"Handler{number % 40}.step_{number}", f"{path}.py", line, module, "", Origin.APPLICATION
            )
        library = _LIBRARIES[number % len(_LIBRARIES)]
        module = f"{library}.engine.part{number % 30}"
        path = f"site-packages/{module.replace('.', '/')}.py"
        return Frame(f"Engine{number % 50}._call_{number}", path, line, module, library, Origin.SITE_PACKAGES)

    def _chain(self, frames: list[Frame]) -> Stack:
        chosen = self._random.sample(frames, k=self._random.randint(3, 10))
        return tuple((frame, frame.first_line + self._random.randint(1, 40)) for frame in chosen)

    def _stacks(self) -> list[Stack]:
        """Return 120 different stacks of one operation."""
        draw = self._random
        trunk = self._joined(draw.sample(self._chains, k=12))
        ways = [self._joined(draw.sample(self._chains, k=4)) for _ in range(5)]
        ends = [self._joined(draw.sample(self._chains, k=3)) for _ in range(24)]
        found: dict[Stack, None] = {}
        while len(found) < 120:
            depth = self._depth or draw.randint(15, 60)
            way, end = draw.choice(ways), draw.choice(ends)
            below = way[: depth // 4] + end[: draw.randint(depth // 8, depth // 4)]
            found[trunk[: depth - len(below)] + below] = None
        return list(found)

    def _joined(self, chains: list[Stack]) -> Stack:
        return tuple(place for chain in chains for place in chain)


class _Tree:
    """Frames, nodes and samples as capture gathers them."""

    def __init__(self) -> None:
        self.frames: dict[Frame, int] = {}
        self.nodes: dict[Node, int] = {}
        self.samples: list[Sample] = []
        self._leaves: dict[int, int] = {}

    def fill(self, draw: random.Random, stacks: list[Stack], wall: float) -> float:
        """Look at one of `stacks` every 10 ms, and a little late; return the seconds seen."""
        started = clock = draw.uniform(1e3, 1e5)
        weights = [draw.paretovariate(1.0) for _ in stacks]
        index = 0
        while True:
            late = INTERVAL + draw.expovariate(1 / 0.0006)
            if clock + late > started + wall:
                return clock - started
            before, clock = clock, round(clock + late, 9)
            if draw.random() > _STAY:
                index = draw.choices(range(len(stacks)), weights)[0]
            node = self._leaf(index, stacks[index])
            self._add(node, clock - before, waiting=index % 3 != 0, draw=draw)

    def _leaf(self, index: int, stack: Stack) -> int:
        node = self._leaves.get(index, -1)
        if node < 0:
            for frame, line in stack:
                number = self.frames.setdefault(frame, len(self.frames))
                node = self.nodes.setdefault(Node(node, number, line), len(self.nodes))
            self._leaves[index] = node
        return node

    def _add(self, node: int, seconds: float, *, waiting: bool, draw: random.Random) -> None:
        cpu = draw.uniform(0.0, 2e-4) if waiting else seconds
        if self.samples and self.samples[-1].node == node:
            last = self.samples.pop()
            seconds, cpu = seconds + last.wall, cpu + last.cpu
        state = State.WAITING if waiting else State.RUNNING
        self.samples.append(Sample(node, seconds, cpu, state=state))


def _steady_ulid(start_ns: int, draw: random.Random) -> str:
    """Return an id of this time; in the last letters of one from the system, which are random, those of the seed."""
    letters = "0123456789ABCDEFGHJKMNPQRSTVWXYZ"
    return new_ulid(start_ns)[:10] + "".join(draw.choices(letters, k=16))
