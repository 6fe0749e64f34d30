"""Work that is done once at a time, such as a capture of the process: who is at it, since when, and for how long."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from math import ceil

from profkit.debug.problems import busy

_MAX_NAME = 100


@dataclass(slots=True)
class Job:
    """One that is being done: `doing` says what in words, `by` is the masked name of who asked for it."""

    name: str
    doing: str
    by: str
    since: datetime = field(default_factory=lambda: datetime.now(UTC))
    _ends: float = field(default_factory=time.monotonic)

    def expect(self, seconds: float) -> None:
        """Say for how many seconds at the most it will be done from now on."""
        self._ends = time.monotonic() + seconds

    @property
    def left(self) -> float:
        """Seconds it will still take; 0 if it is about to end, or nobody has said."""
        return max(0.0, self._ends - time.monotonic())

    def explain(self) -> str:
        """Tell somebody else why it is to be waited for."""
        who = self.by if len(self.by) <= _MAX_NAME else self.by[: _MAX_NAME - 1] + "…"
        left = f"for at most {ceil(self.left)} s more" if self.left else "and is about to be done"
        return (
            f"{who} has been {self.doing} here since {self.since:%H:%M:%S} UTC, {left}. "
            f"A process does one {self.name} at a time."
        )


class Jobs:
    """Which jobs are being done."""

    def __init__(self) -> None:
        self._begin()

    def _begin(self) -> None:
        self._pid = os.getpid()
        self._lock = threading.Lock()
        self._running: dict[str, Job] = {}

    @contextmanager
    def alone(self, name: str, doing: str, by: str) -> Generator[Job]:
        """Do the one job of this name; raise a `Problem` (409) that explains the other if it is being done already."""
        if os.getpid() != self._pid:  # what the parent was at goes on there
            self._begin()
        job = Job(name, doing, by)
        with self._lock:
            other = self._running.setdefault(name, job)
        if other is not job:
            raise busy(other.explain(), other.left)
        try:
            yield job
        finally:
            with self._lock:
                if self._running.get(name) is job:  # not so in a child that was forked meanwhile
                    del self._running[name]
