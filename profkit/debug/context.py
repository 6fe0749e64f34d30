"""What the routes show, without HTTP: DebugContext."""

from __future__ import annotations

import math
import os
import socket
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime

import profkit
from profkit.asgi import name_live_requests
from profkit.debug.configuration import (
    ConfigurationReport,
    Showing,
    ShowValues,
    ValueRules,
    configuration_report,
)
from profkit.debug.configuration.asking import Asking
from profkit.debug.connections import connections_report
from profkit.debug.health import HealthChecker
from profkit.debug.memory import memory_report
from profkit.debug.summary import mask_id
from profkit.debug.tasks import TaskAges, tasks_report
from profkit.debug.threads import threads_report
from profkit.debug.workers import Workers
from profkit.masking import Masker, masker
from profkit.profiler import PerformanceProfiler
from profkit_storage import ConfigurationError, Profile

SECTIONS = ("operations", "recorder", "tasks", "threads", "connections", "memory", "configuration")
"""What a snapshot holds, what is likely to be asked for first."""
_RECENT = 3


@dataclass(frozen=True, kw_only=True)
class DebugContext:
    """A live process as its debug routes see it. Every report is masked, bounded and ready for JSON; each may block.

    `config` is the application's settings (any object), `pools` its connection pools by name; `environment` says
    whether environment variables are shown too (masked), `show_values` how much of all settings; `revision` is that of
    the code, `features` a mapping of feature switches or a function that returns one; `checks` are those of `/health`;
    `started` is seconds since the epoch.
    """

    profiler: PerformanceProfiler | None = None
    config: object = None
    pools: Mapping[str, object] = field(default_factory=dict[str, object])
    environment: bool = False
    show_values: Showing = ShowValues.MASKED
    revision: str | None = None
    features: Mapping[str, object] | Callable[[], Mapping[str, object]] | None = None
    checks: HealthChecker = field(default_factory=HealthChecker)
    masker: Masker = masker
    started: float = field(default_factory=time.time)
    workers: Workers = field(default_factory=Workers)
    task_ages: TaskAges = field(default_factory=TaskAges)
    recent: deque[Profile] = field(default_factory=lambda: deque[Profile](maxlen=_RECENT))
    """The last captures asked for here: they can be looked at before, or without, a store having them."""
    asking: Asking = field(default_factory=Asking)

    def __post_init__(self) -> None:
        if isinstance(self.show_values, ValueRules):  # what they hide is hidden on every route
            object.__setattr__(self, "masker", self.show_values.extend(self.masker))

    def current_profiler(self) -> PerformanceProfiler:
        """Return the profiler given, or `profkit`'s own as it is now."""
        return self.profiler or profkit.default_profiler()

    def process(self) -> dict[str, object]:
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

    def connections(self) -> dict[str, object]:
        """Return sockets, file descriptors, threads and pools."""
        return connections_report(self.pools, masker=self.masker)

    def memory(self) -> dict[str, object]:
        """Return memory use, the garbage collector's state and the commonest types."""
        return memory_report()

    def tasks(
        self, *, state: str | None = None, name: str | None = None, limit: int = 200
    ) -> dict[str, object]:
        """Return every asyncio task with its await chain: of a state, or with a text in its name."""
        return tasks_report(
            self.current_profiler(), self.task_ages, masker=self.masker, state=state, name=name, limit=limit
        )

    def threads(
        self, *, state: str | None = None, name: str | None = None, limit: int = 200
    ) -> dict[str, object]:
        """Return every thread with its stack: of a state, or with a text in its name."""
        return threads_report(
            self.current_profiler(), masker=self.masker, state=state, name=name, limit=limit
        )

    def snapshot(self, *sections: str) -> dict[str, object]:
        """Return everything the routes show, or some `sections` of it, for a log line or a support bundle.

        `{"answered_by", "taken_at", ...}` and the sections by name: operations, recorder, tasks, threads, connections,
        memory, configuration. One that cannot be had is `{"error": ...}`. It takes up to some seconds, most of it for
        memory and configuration.

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
        return taken

    def _section(self, collect: Callable[[], object]) -> object:
        try:
            return collect()
        except Exception as error:  # noqa: BLE001 - the rest is worth having
            return {"error": self.masker.mask_error(error)}

    def operations(self) -> list[dict[str, object]]:
        """Return what has not ended, the oldest first: at most 200, each with its stack as it is now."""
        name_live_requests()
        return [
            {
                "name": self.masker.mask_text(one.name),
                "category": self.masker.mask_text(one.category),
                "age": round(one.age, 3),
                "threshold": one.threshold,
                "thread": self.masker.mask_text(one.thread),
                "request_id": mask_id(one.request_id, self.masker),
                "stack": [self.masker.mask_text(line) for line in one.stack[-200:]],
            }
            for one in self.current_profiler().in_flight()[:200]
            if one.threshold < math.inf  # not the request that asks
        ]
