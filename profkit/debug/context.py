"""What the routes show, without HTTP: DebugContext."""

from __future__ import annotations

import functools
import math
import os
import socket
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Annotated, Final, Literal, NotRequired, TypedDict, cast

import profkit
from profkit.counts import Stats
from profkit.debug.configuration import (
    ConfigurationReport,
    Showing,
    ShowValues,
    ValueRules,
    configuration_report,
)
from profkit.debug.configuration.asking import Asking
from profkit.debug.connections import ConnectionsReport, connections_report
from profkit.debug.cpu import CpuMeter
from profkit.debug.health import HealthChecker
from profkit.debug.memory import MemoryReport, memory_report
from profkit.debug.pools import PoolReader
from profkit.debug.pools.threads import default_limiter
from profkit.debug.request_search import RequestIds
from profkit.debug.summary import mask_id
from profkit.debug.tasks import TaskAges, TasksReport, tasks_report
from profkit.debug.threads import ThreadsReport, threads_report
from profkit.debug.workers import Workers
from profkit.inflight import InFlight
from profkit.live_requests import name_live_requests
from profkit.masking import Masker, masker
from profkit.profiler import PerformanceProfiler
from profkit_storage import ConfigurationError, Profile

SECTIONS = ("operations", "recorder", "tasks", "threads", "connections", "memory", "configuration")
"""What a snapshot holds, what is likely to be asked for first."""
MOST_OPERATIONS: Final = 200
_RECENT = 3


class Process(TypedDict):
    """Which process answers: with several workers the next request may reach another."""

    host: str
    pid: int
    service: str


class OperationRow(TypedDict):
    """An operation that has not ended."""

    name: str
    category: str
    age: Annotated[float, "seconds"]
    state: Literal["running", "waiting", "starved", "held", "gc"]
    threshold: Annotated[float, "seconds from which on it is slow"]
    thread: str
    request_id: Annotated[str, "empty outside a request"]
    stack: Annotated[list[str], "outermost first, the 200 innermost lines"]


class SectionError(TypedDict):
    """Why a section could not be had."""

    error: str


class Snapshot(TypedDict):
    """A process at a moment: the sections that were asked for, each as its route shows it."""

    answered_by: Process | SectionError
    taken_at: Annotated[str, "UTC, ISO 8601, to the millisecond"]
    operations: NotRequired[list[OperationRow] | SectionError]
    recorder: NotRequired[Stats | SectionError]
    tasks: NotRequired[TasksReport | SectionError]
    threads: NotRequired[ThreadsReport | SectionError]
    connections: NotRequired[dict[str, object] | SectionError]
    memory: NotRequired[dict[str, object] | SectionError]
    configuration: NotRequired[dict[str, object] | SectionError]


@dataclass(frozen=True, kw_only=True)
class DebugContext:
    """A live process as its debug routes see it. Every report is masked, bounded and ready for JSON; each may block.

    `config` is the application's settings (any object), `pools` its connection pools by name, and `find_pools` says
    whether others are looked for; `environment` says whether environment variables are shown too (masked),
    `show_values` how much of all settings; `revision` is that of the code, `features` a mapping of feature switches or
    a function that returns one; `checks` are those of `/health`; `started` is seconds since the epoch.
    """

    profiler: PerformanceProfiler | None = None
    config: object = None
    pools: Mapping[str, object] = field(default_factory=dict[str, object])
    find_pools: bool = True
    environment: bool = False
    show_values: Showing = ShowValues.MASKED
    revision: str | None = None
    features: Mapping[str, object] | Callable[[], Mapping[str, object]] | None = None
    checks: HealthChecker = field(default_factory=HealthChecker)
    masker: Masker = masker
    started: float = field(default_factory=time.time)
    workers: Workers = field(default_factory=Workers)
    task_ages: TaskAges = field(default_factory=TaskAges)
    request_ids: RequestIds = field(default_factory=RequestIds)
    pool_reader: PoolReader = field(default_factory=PoolReader)
    recent: deque[Profile] = field(default_factory=lambda: deque[Profile](maxlen=_RECENT))
    """The last captures asked for here: they can be looked at before, or without, a store having them."""
    own_operations: set[str] = field(default_factory=set[str])
    """Names of the requests for these routes, as the profiler counts them."""
    asking: Asking = field(default_factory=Asking)
    cpu: CpuMeter = field(default_factory=CpuMeter)

    def __post_init__(self) -> None:
        if isinstance(self.show_values, ValueRules):  # what they hide is hidden on every route
            object.__setattr__(self, "masker", self.show_values.extend(self.masker))

    def current_profiler(self) -> PerformanceProfiler:
        """Return the profiler given, or `profkit`'s own as it is now."""
        return self.profiler or profkit.default_profiler()

    def process(self) -> Process:
        """Return which process this is: the next request may reach another."""
        service = self.masker.mask_text(self.current_profiler().settings.service)
        return {"host": socket.gethostname(), "pid": os.getpid(), "service": service}

    def configuration(self) -> ConfigurationReport:
        """Return the settings of profkit and of the application, where they came from, and what they run on."""
        return configuration_report(
            self.config,
            settings=self.current_profiler().settings,
            masker=self.masker,
            environment=self.environment,
            showing=self.show_values,
            revision=self.revision,
            features=self.features,
            asking=self.asking,
        )

    def connections(self, *, limiter: object = None) -> ConnectionsReport:
        """Return sockets, file descriptors, threads, pools, and what is served now.

        `limiter` is that of anyio's worker threads, which only its own event loop tells; by default that of the loop
        this is called in.
        """
        return connections_report(
            self.pools,
            masker=self.masker,
            find_pools=self.find_pools,
            limiter=default_limiter() if limiter is None else limiter,
            reader=self.pool_reader,
        )

    def memory(self) -> MemoryReport:
        """Return memory use, the allocators', the garbage collector's state and the commonest types."""
        return memory_report(masker=self.masker)

    def tasks(self, *, state: str | None = None, name: str | None = None, limit: int = 200) -> TasksReport:
        """Return every asyncio task with its await chain: of a state, or with a text in its name."""
        name_live_requests()
        return tasks_report(
            self.current_profiler(), self.task_ages, masker=self.masker, state=state, name=name, limit=limit
        )

    def threads(
        self, *, state: str | None = None, name: str | None = None, limit: int = 200
    ) -> ThreadsReport:
        """Return every thread with its stack: of a state, or with a text in its name."""
        name_live_requests()
        return threads_report(
            self.current_profiler(), masker=self.masker, state=state, name=name, limit=limit
        )

    def snapshot(self, *sections: str) -> Snapshot:
        """Return everything the routes show, or some `sections` of it, for a log line or a support bundle.

        One that cannot be had is `{"error": ...}`. It takes up to some seconds, most of it for memory and
        configuration.

        Raises:
            ConfigurationError: there is no section of this name.
        """
        unknown = [name for name in sections if name not in SECTIONS]
        if unknown:
            raise ConfigurationError(
                f"section {unknown[0]!r} is not allowed: give any of {', '.join(SECTIONS)}"
            )
        taken: dict[str, object] = {
            "answered_by": self._section(self.process),
            "taken_at": datetime.now(UTC).isoformat(timespec="milliseconds"),
        }
        for name in sections or SECTIONS:
            collect: Callable[[], object] = (
                self.current_profiler().stats if name == "recorder" else getattr(self, name)
            )
            taken[name] = self._section(collect)
        return cast("Snapshot", taken)

    def _section(self, collect: Callable[[], object]) -> object:
        try:
            return collect()
        except Exception as error:  # noqa: BLE001 - the rest is worth having
            return {"error": self.masker.mask_error(error)}

    def operations(self) -> list[OperationRow]:
        """Return what has not ended, the oldest first: at most 200, each with its stack as it is now."""
        return self.rows_of(self.in_flight()[:MOST_OPERATIONS])

    def in_flight(self) -> list[InFlight]:
        """Return all that has not ended but the request that asks, the oldest first, as it is: nothing is masked."""
        name_live_requests()
        return [one for one in self.current_profiler().in_flight() if one.threshold < math.inf]

    def rows_of(self, operations: Iterable[InFlight]) -> list[OperationRow]:
        """Return operations in flight as they are shown."""
        mask = functools.cache(self.masker.mask_text)  # the lines of most are the same
        return [
            {
                "name": mask(one.name),
                "category": mask(one.category),
                "age": round(one.age, 3),
                "state": one.state.value,
                "threshold": one.threshold,
                "thread": mask(one.thread),
                "request_id": mask_id(one.request_id, self.masker),
                "stack": [mask(line) for line in one.stack[-200:]],
            }
            for one in operations
        ]
