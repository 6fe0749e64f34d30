"""What one stored profile holds. Times are seconds unless a name says otherwise."""

from __future__ import annotations

import enum
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

SCHEMA_VERSION = 1
"""Provisional until the capture engine is done; from then on every version stays readable."""


class Status(enum.StrEnum):
    """How the operation ended."""

    OK = "ok"
    ERROR = "error"
    CANCELLED = "cancelled"
    RUNNING = "running"


class Trigger(enum.StrEnum):
    """Why the profile was kept. Only `SLOW` ones stand for others and are ranked."""

    SLOW = "slow"
    ERROR = "error"
    MANUAL = "manual"
    STALLED = "stalled"
    CONTROL = "control"


class Origin(enum.StrEnum):
    """Where a frame's code comes from."""

    APPLICATION = "application"
    SITE_PACKAGES = "site-packages"
    STDLIB = "stdlib"
    NATIVE = "native"
    SYNTHETIC = "synthetic"


class State(enum.StrEnum):
    """What the operation was doing during a sample."""

    RUNNING = "running"
    WAITING = "waiting"
    STARVED = "starved"
    HELD = "held"
    GC = "gc"


class Frame(NamedTuple):
    """One function.

    `qualname` is the code object's qualified name; for `Origin.NATIVE` the callee as written at the call site
    (`orjson.dumps`, `cursor.execute`); for `Origin.SYNTHETIC` a name in brackets (`[await]`, `[thread MainThread]`).
    `module` is the dotted module name, for native frames that of the callee where it could be found, else "".
    `distribution` is the installed distribution's name (`SQLAlchemy`), "" for application and standard library.
    """

    qualname: str
    filename: str
    first_line: int
    module: str
    distribution: str
    origin: Origin


class Node(NamedTuple):
    """One entry of the parent-pointer tree of stacks.

    `parent` is the caller's index in `Profile.nodes` (always smaller than the node's own), -1 for a root.
    `frame` is an index into `Profile.frames`; `line` is the line being executed, 0 where there is none.
    """

    parent: int
    frame: int
    line: int


class Sample(NamedTuple):
    """A span of the operation's time spent at one stack.

    Samples are in time order; neighbours with the same stack and state are one sample, so `wall` may span many ticks.
    `node` is the leaf's index in `Profile.nodes`; `wall` seconds; `cpu` seconds of the operation's own thread;
    `branch` is an index into `Profile.branches`, -1 for the operation itself; `holder` is the index in
    `Profile.frames` of what held the event loop, -1 if nothing; `inferred` marks time that no tick saw directly.
    """

    node: int
    wall: float
    cpu: float = 0.0
    branch: int = -1
    state: State = State.RUNNING
    holder: int = -1
    inferred: bool = False


class ChildOperation(NamedTuple):
    """A decorated or instrumented operation that ran inside this one, clocked exactly.

    `start` and `end` are seconds since the enclosing operation's start. `parent` is an index into
    `Profile.children` if it ran inside another child operation, else -1.
    """

    name: str
    category: str
    start: float
    end: float
    tags: Mapping[str, object]
    parent: int = -1


class Branch(NamedTuple):
    """A task or thread that the operation started; times are seconds since the operation's start."""

    name: str
    parent: int
    start: float
    end: float


class Enclosing(NamedTuple):
    """An operation of the same process that this one ran inside.

    `number` is that operation's `Profile.number`; `slow` tells whether it was over its own threshold already when this
    one ended, so that it is sure to be a slow operation too, kept or not.
    """

    number: int
    slow: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampling:
    """How a profile was sampled.

    `interval` is what was asked for, `ticks` how many observations were made, `sampler_cpu` the sampler's own CPU
    seconds while the operation ran, `unobserved` the operation's wall seconds that no sample accounts for,
    `dropped_children` the child operations left out because there were too many.
    """

    engine: str = "watchdog"
    interval: float = 0.01
    ticks: int = 0
    sampler_cpu: float = 0.0
    unobserved: float = 0.0
    dropped_children: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """One captured operation. Immutable; validated by the codec when it is decoded.

    `start_ns` is UTC, nanoseconds since the epoch. `wall` and `cpu` are seconds; `cpu` is None where the platform has
    no thread clock. `weight` is how many slow operations this one stands for (0 for every trigger but slow).
    `paused` are the seconds that a generator stood still between its steps, which are no part of `wall`.
    `number` counts the operations of one process (`host`, `pid`), 0 if it is not known; `enclosing` are those it ran
    inside, the innermost first.
    The samples' wall seconds plus `sampling.unobserved` equal `wall`, except for a `Trigger.MANUAL` capture of
    the whole process, which has one root a thread or task and so counts thread-seconds.
    """

    id: str
    operation: str
    category: str
    start_ns: int
    wall: float
    service: str
    status: Status = Status.OK
    trigger: Trigger = Trigger.SLOW
    cpu: float | None = None
    paused: float = 0.0
    threshold: float = 1.0
    weight: float = 1.0
    version: str = ""
    host: str = ""
    pid: int = 0
    python: str = ""
    request_id: str = ""
    trace_id: str = ""
    span_id: str = ""
    tags: Mapping[str, object] = field(default_factory=dict[str, object])
    number: int = 0
    enclosing: tuple[Enclosing, ...] = ()
    frames: tuple[Frame, ...] = ()
    nodes: tuple[Node, ...] = ()
    samples: tuple[Sample, ...] = ()
    children: tuple[ChildOperation, ...] = ()
    branches: tuple[Branch, ...] = ()
    sampling: Sampling = field(default_factory=Sampling)

    def stack(self, node: int) -> Iterator[tuple[Frame, int]]:
        """Yield (frame, line) from the leaf `node` up to its root."""
        while node >= 0:
            parent, frame, line = self.nodes[node]
            yield self.frames[frame], line
            node = parent
