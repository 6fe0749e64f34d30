"""One sample of pyinstrument's engine: what the operation was doing when a call began or ended.

Its stack is told apart from that of others as the watchdog does it, by the operation's own frame; so are its tasks and
threads, with what they wait for. Only its own thread is seen exactly, at the call or return that the hook was told of.
"""

from __future__ import annotations

import asyncio
import gc
import math
import sys
from collections.abc import Container
from types import FrameType
from typing import NamedTuple

from profkit.operations import Operation
from profkit.sampling.calltree import CallTree
from profkit.sampling.codes import CodeTable
from profkit.sampling.recording import Recording
from profkit.sampling.resolution import Resolver
from profkit.sampling.sights import look, see
from profkit.sampling.stacks import walk
from profkit.sampling.threads import WatchedThread
from profkit.sampling.timeline import AWAITING, RUNNING, WAITING
from profkit.sampling.view import View
from profkit_storage import Frame, Origin

_RUNNING_SHARE = 0.2
"""A thread that used this share of the time since the last sample was running: on a crowded machine a busy one gets no
more, and one that blocks uses next to nothing."""
_COLLECTS_ANYWHERE = sys.version_info < (3, 12)
"""Before 3.12 a garbage collection may start inside a walk over the frames of other threads, and has crashed there."""
_NOT_NATIVE = 1
"""Set in the offset of a place (they are even) where a Python function began or ended: the instruction is its call."""


class Moment(NamedTuple):
    """When a sample is due: the frame, the C function that returned to it ("" if none), the thread's CPU seconds."""

    frame: FrameType | None
    native: str
    cpu: float


class EventRecording(Recording):
    """The recording of one session, with a table of codes of its own: the sampler's is written by its thread only.

    `natives` are the names of C functions as they call themselves, by the place they were called at.
    """

    __slots__ = ("cpu", "natives")
    engine = "pyinstrument"
    infers = False  # no burst is too short for a hook

    def __init__(self, started: float, limit: int, cpu: float) -> None:
        super().__init__(CallTree(CodeTable()), started, limit, 0.0)
        self.cpu = self.main.cpu_seen = cpu
        self.natives: dict[int, str] = {}

    @property
    def mean_gap(self) -> float:
        """However long the last sample is ago: what the operation does at this one took so long."""
        return math.inf

    def resolver(self) -> Resolver:
        return _EventResolver(self)


def observe(
    operation: Operation, recording: EventRecording, moment: Moment, registry: Container[Operation]
) -> None:
    """Give the operation's strands the time since the last sample, if `registry` still has it."""
    # A look beyond the own thread walks the frames of others.
    collects = _COLLECTS_ANYWHERE and bool(operation.branches) and gc.isenabled()
    if collects:
        gc.disable()
    view = _EventView(operation.thread, recording, moment)
    try:
        if view.is_between(operation):
            return
        give = look(operation, recording, view)
        if operation in registry:
            give()
            recording.cpu = moment.cpu
    finally:
        view.close()
        if collects:
            gc.enable()


class _EventView(View):
    """What is seen of the process from within the hook of one `thread`.

    Of other threads' clocks, only the watchdog's last reading: they are its to read.
    """

    def __init__(self, thread: WatchedThread, recording: EventRecording, moment: Moment) -> None:
        codes = recording.tree.codes
        super().__init__(
            codes, 0, took_gil=True
        )  # nobody else had it: the hook is part of what the thread runs
        self._thread = thread
        self._native = bool(moment.native)
        self._cpu = moment.cpu
        elapsed = self.now - recording.seen
        self._share = min(1.0, (moment.cpu - recording.cpu) / elapsed) if elapsed > 0 else 1.0
        self._walks[thread.ident] = found = walk(moment.frame, codes)
        if found.places:
            own = moment.frame is not None and codes.indexes[id(moment.frame.f_code)] >= 0
            if own and moment.native:
                recording.natives[found.places[0]] = moment.native
            else:
                found.places[0] |= _NOT_NATIVE

    def is_between(self, operation: Operation) -> bool:
        """Tell whether a function has ended, the operation's or that of a task, and what wraps it has not.

        The time since the last sample was the function's, and is given out at the next one.
        """
        loop = self._thread.loop
        task = None if loop is None else asyncio.current_task(loop)
        if task is not None and getattr(task.get_coro(), "cr_frame", task) is None:
            return True
        sight = see(operation, self)
        if sight.stack or sight.state in AWAITING:
            return False
        return (
            operation.coroutine is not None or self.walk(self._thread.ident).above(operation.root) is not None
        )

    def clock(self, thread: WatchedThread) -> float | None:
        return self._cpu if thread is self._thread else thread.cpu

    def thread_state(self, thread: WatchedThread) -> int:
        if thread is self._thread:  # what calls nothing waits for nothing
            return WAITING if self._native and self._share < _RUNNING_SHARE else RUNNING
        wall = thread.now.wall - thread.before.wall
        used = thread.now.thread - thread.before.thread
        return RUNNING if used >= _RUNNING_SHARE * wall else WAITING

    def share_of_cpu(self, thread: WatchedThread) -> float:
        return self._share if thread is self._thread else 1.0


class _EventResolver(Resolver):
    """Names a C function where one was seen to return, and nowhere else."""

    def __init__(self, recording: EventRecording) -> None:
        super().__init__(recording.tree)
        self._natives = recording.natives

    def _native_frame(self, tree_node: int) -> Frame | None:
        place = self._tree.places[tree_node]
        if place & _NOT_NATIVE:
            return None
        found = super()._native_frame(tree_node)
        name = self._natives.get(place)
        return Frame(name, "", 0, "", "", Origin.NATIVE) if found is None and name else found
