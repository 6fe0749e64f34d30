"""A progress bar on a terminal, for what takes longer than a second."""

from __future__ import annotations

import sys
import time
from typing import Self

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TaskID,
    TextColumn,
    TimeRemainingColumn,
)
from rich.text import Text

_PATIENCE = 1.0
_INTERVAL = 0.1


class ProgressBar:
    """A bar on standard error; nothing if that is no terminal, or as long as it would not be worth it.

    Use it as a context manager, and call `update` where `wanted`.
    """

    def __init__(self, title: str) -> None:
        self.wanted = sys.stderr.isatty()
        self._title = title
        self._next = time.monotonic() + _PATIENCE
        self._progress: Progress | None = None
        self._task = TaskID(0)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        if self._progress is not None:
            self._progress.stop()

    def update(self, done: int, total: int) -> None:
        """Say how far the work is."""
        now = time.monotonic()
        if now < self._next:
            return
        self._next = now + _INTERVAL
        if self._progress is None:
            self._progress = self._started(total)
        self._progress.update(self._task, completed=done, total=total)

    def _started(self, total: int) -> Progress:
        progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            _Rate(),
            TimeRemainingColumn(),
            console=Console(stderr=True),
            transient=True,
        )
        self._task = progress.add_task(self._title, total=total)
        progress.start()
        return progress


class _Rate(ProgressColumn):
    """How many a second, of late."""

    def render(self, task: Task) -> Text:
        """Return the rate; nothing before there is one."""
        return Text(f"{task.speed:,.0f}/s" if task.speed else "", style="dim")
