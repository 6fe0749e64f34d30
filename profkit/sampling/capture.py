"""A capture of the whole process for a while: every thread, and every suspended task."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import Iterable, Iterator
from time import perf_counter

from profkit.masking import masker
from profkit.sampling import real, switches
from profkit.sampling.calltree import CallTree
from profkit.sampling.codes import CodeTable
from profkit.sampling.loops import loops_with_tasks
from profkit.sampling.recording import Recording
from profkit.sampling.stacks import await_stack, walk
from profkit.sampling.threads import cpu_seconds
from profkit.sampling.timeline import NOBODY, RUNNING, SUSPENDED, WAITING

_MAX_BRANCHES = 500
"""Threads and tasks followed at the most; the rest are counted in `left_out`."""
_RUNNING_SHARE = 0.2
"""A sample of which the thread used this share on the CPU was running: on a crowded machine a busy thread gets no
more, and one that blocks uses next to nothing."""
OWN_THREADS = frozenset({
    "profkit-sampler", "profkit-recorder", "profkit-capture", "profkit-debug", "profkit-debug-server",
})  # fmt: skip


class Capture:
    """One timeline for each thread and task, over one call tree whose roots name them.

    The tasks are those of `loops`, or if there are none, of all loops of the process.
    """

    def __init__(
        self, codes: CodeTable, loops: Iterable[asyncio.AbstractEventLoop], limit: int, hidden: int
    ) -> None:
        self._codes = codes
        self._loops = tuple(loops) or tuple(loops_with_tasks())
        self._limit = limit
        self._hidden = hidden  # the ident of the thread that asked, which only waits
        self.started = perf_counter()
        self.tree = CallTree(codes)
        self.branches: dict[tuple[int, str], Recording] = {}
        self.ticks = 0
        self.left_out = 0
        self.labels: dict[tuple[int, str], str] = {}
        """What each branch is called in the stacks: the names are the application's, and may hold anything."""

    def look(self, now: float) -> None:
        """Take one sample of everything."""
        self.ticks += 1
        frames = sys._current_frames()  # pyright: ignore[reportPrivateUsage]  # documented
        for ident, name, native_id in _threads(frames):
            frame = frames.get(ident)
            if frame is None or ident == self._hidden:
                continue
            cpu = cpu_seconds(native_id) if native_id else None
            places = walk(frame, self._codes, switches.parents(ident)).places
            self._observe(now, (ident, name), places, cpu)
        del frames
        for loop in self._loops:
            for task in asyncio.all_tasks(loop):
                coroutine = task.get_coro()
                if getattr(coroutine, "cr_suspended", False):
                    stack = await_stack(coroutine, self._codes)
                    name = f"task {task.get_name()}"
                    self._observe(now, (id(task), name), stack or [], None, SUSPENDED)

    def _observe(
        self, now: float, branch: tuple[int, str], stack: list[int], cpu: float | None, state: int = RUNNING
    ) -> None:
        recording = self.branches.get(branch)
        if recording is None:
            if len(self.branches) >= _MAX_BRANCHES:
                self.left_out += 1
                return
            recording = self.branches[branch] = Recording(self.tree, self.started, self._limit, 0.0)
            self.labels[branch] = f"[{masker.mask_text(branch[1])}]"
            if self.ticks > 1:
                recording.miss(recording.begin_look(now))
        wall = recording.begin_look(now)
        used = 0.0
        if cpu is not None:
            seen = recording.main.cpu_seen
            used = min(wall, cpu - (cpu if seen is None else seen))
            state = RUNNING if used >= wall * _RUNNING_SHARE else WAITING
            recording.main.cpu_seen = cpu
        stack.append(self._codes.synthetic(self.labels[branch]))
        recording.observe(recording.main, wall, wall, self.tree.insert(stack), state, NOBODY, used)


def _threads(idents: Iterable[int]) -> Iterator[tuple[int, str, int | None]]:
    """Yield the ident, name and kernel id of each thread but our own. gevent makes `threading` know greenlets only."""
    if real.is_patched():
        for ident in idents:
            if not real.is_ours(ident):
                yield ident, f"greenlets of thread {ident}", None
        return
    for thread in threading.enumerate():
        if thread.ident is not None and thread.name not in OWN_THREADS:
            yield thread.ident, f"thread {thread.name}", thread.native_id
