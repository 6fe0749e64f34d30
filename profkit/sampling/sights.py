"""What can be seen of an operation at one tick: of itself, and of each branch that is at work."""

from __future__ import annotations

import random
from typing import Any, NamedTuple, Protocol

from profkit.operations import Operation
from profkit.sampling.branches import Branch
from profkit.sampling.codes import OFFSET_BITS
from profkit.sampling.recording import Recording, Track
from profkit.sampling.stacks import await_stack
from profkit.sampling.threads import WatchedThread
from profkit.sampling.timeline import AWAITING, HELD, NOBODY, SUSPENDED, WAITING
from profkit.sampling.view import View

_MOST_LOOKED_AT = 64
"""Pending branches of one operation looked at in one tick, chosen by chance if there are more."""
_JOINS_WITHIN = 6
"""How near the leaf a function has to be that waits for branches."""
_QUEUED = "[waiting for a thread]"


class Strand(Protocol):
    """An operation, or a branch: a task, or a frame of a thread."""

    root: int
    thread: Any
    task: Any
    coroutine: Any
    frame: Any


class Sight(NamedTuple):
    """What was seen of a strand: its stack, leaf first (None: nothing), its state, and what its task waits for.

    `node` is set instead of the stack where that is what it was at the last look.
    """

    stack: list[int] | None
    state: int
    holder: int = NOBODY
    waiter: object = None
    node: int = -1


def see(strand: Strand, view: View, track: Track | None = None) -> Sight:
    """Look at one strand; `track` is what is kept of it so far."""
    task = None if strand.task is None else strand.task()
    thread: WatchedThread | None = strand.thread
    if task is not None and thread is not None and track is not None and track.waiter is not None:
        # Still at the future it was at: it has not run since. 0.2 us instead of 1 to 3 for the await chain.
        waiter = getattr(task, "_fut_waiter", None)
        if waiter is not None and track.waiter() is waiter:
            state, holder = view.waiting_state(task, waiter, thread)
            return Sight(None, state, holder, waiter, track.node)
    coroutine = None if strand.coroutine is None else strand.coroutine()
    top = coroutine if task is None else task.get_coro()
    seen = top if coroutine is None else coroutine
    if thread is None or (seen is None and not strand.root):
        return Sight(None, WAITING)
    if getattr(seen, "cr_suspended", False) or _is_new(seen):
        return _suspended(strand, task, top, coroutine, view)
    root = strand.root or id(getattr(seen, "cr_frame", None))
    view.clock(thread)  # before the walk: afterwards it tells whether the thread runs meanwhile
    stack = view.walk(thread.ident).above(root)
    return Sight(stack or None, view.thread_state(thread))


def _is_new(coroutine: object) -> bool:
    """Tell whether a task's coroutine waits for its first step."""
    frame = getattr(coroutine, "cr_frame", None)
    return frame is not None and frame.f_lasti < 0 and not getattr(coroutine, "cr_running", True)


def _suspended(strand: Strand, task: Any, top: object, coroutine: object, view: View) -> Sight:  # noqa: ANN401
    waiter = getattr(task, "_fut_waiter", None)
    root = strand.frame if coroutine is None else getattr(coroutine, "cr_frame", None)
    stack = await_stack(top, view.codes, root)
    if stack is None and coroutine is not None:  # driven by another task than the one it began in
        return Sight(await_stack(coroutine, view.codes, root), SUSPENDED)
    if task is None:
        return Sight(stack, SUSPENDED)
    # If the task ran during the walk, the stack may be that of another wait.
    same = getattr(task, "_fut_waiter", None) is waiter
    state, holder = view.waiting_state(task, waiter, strand.thread) if same else (SUSPENDED, NOBODY)
    return Sight(stack, state, holder, waiter if same else None)


class Look:
    """One look at an operation and its branches, given to its recording in equal parts."""

    def __init__(self, operation: Operation, recording: Recording, view: View) -> None:
        self._operation = operation
        self._recording = recording
        self._view = view
        self._sights: dict[Branch | None, Sight] = {}
        self._stacks: dict[Branch | None, list[int] | None] = {}
        self._at_work: list[Branch | None] = []

    def see(self) -> None:
        """Look at the operation itself and its branches."""
        branches = self._pending()
        if not branches:
            self._sights[None] = see(self._operation, self._view, self._recording.main)
            self._at_work = [None]
            return
        self._sights[None] = main = see(self._operation, self._view)
        if main.stack:
            self._recording.root = main.stack[-1:]
        for branch in branches:
            self._sights[branch] = see(branch, self._view)
        pending = {id(branch.task()) for branch in branches if branch.task is not None}
        joined = {branch: self._joins(sight, pending) for branch, sight in self._sights.items()}
        self._at_work = [branch for branch in branches if not joined[branch]]
        if not joined[None] or not self._at_work:
            self._at_work.append(None)
        for strand in self._at_work:
            stack = self._stack(strand, joined)
            self._sights[strand] = self._sights[strand]._replace(stack=stack, node=-1)

    def give(self) -> None:
        """Give each strand that is at work its part of the time since the last look."""
        wall = self._recording.begin_look(self._view.now)
        for branch in self._at_work:
            self._give(branch, self._sights[branch], len(self._at_work), wall)

    def _pending(self) -> list[Branch]:
        branches = [branch for branch in self._operation.branches or () if not branch.ended]
        if len(branches) > _MOST_LOOKED_AT:
            branches = random.sample(branches, _MOST_LOOKED_AT)
        return [branch for branch in branches if not _is_over(branch)]

    def _joins(self, sight: Sight, pending: set[int]) -> bool:
        """Tell whether a strand only waits for branches."""
        waiter = sight.waiter
        if waiter is not None and (
            id(waiter) in pending or _gathers(waiter, pending) or _is_of_thread(waiter)
        ):
            return True
        joining = self._view.codes.joining
        return any(place >> OFFSET_BITS in joining for place in (sight.stack or ())[:_JOINS_WITHIN])

    def _stack(self, branch: Branch | None, joined: dict[Branch | None, bool]) -> list[int] | None:
        """Return the whole stack of a strand, below that of the strand that waits for it."""
        if branch in self._stacks:
            return self._stacks[branch]
        sight = self._sights[branch]
        stack = sight.stack
        self._stacks[branch] = None  # a parent of itself there is none, but never say never
        if branch is not None:
            if stack is None and branch.task is None and not branch.root:
                stack = [self._view.codes.synthetic(_QUEUED)]
            parent = branch.parent if branch.parent in self._sights else None
            above = self._stack(parent, joined)
            if stack is not None:
                stack = stack + (above if above and joined[parent] else self._recording.root)
        self._stacks[branch] = stack
        return stack

    def _give(self, branch: Branch | None, sight: Sight, parts: int, wall: float) -> None:
        recording = self._recording
        share = wall / parts
        if sight.stack is None and sight.node < 0:
            recording.miss(share)
            recording.track(branch).forget()
            return
        track = recording.track(branch)
        node = sight.node if sight.stack is None else recording.tree.insert(sight.stack)
        track.waiter = recording.refer(sight.waiter)
        strand: Strand = self._operation if branch is None else branch
        cpu = self._cpu(strand, track, sight.state, wall, share)
        if sight.state == HELD and node == track.node:
            # From the step's beginning, as far as it was taken for mere waiting; the look that first saw it came, on
            # average, half an interval late, and the one after it will be as late.
            before = (self._view.held_for(strand.thread) - wall / 2) / parts
            recording.turn(track, SUSPENDED, HELD, sight.holder, before)
        recording.observe(track, wall, share, node, sight.state, sight.holder, cpu)

    def _cpu(self, strand: Strand, track: Track, state: int, wall: float, share: float) -> float:
        """Return the CPU seconds of a strand since the last look.

        A function has its thread to itself: they are what the thread used. A task has not; it has those in which it is
        seen running, as far as there was a CPU for them.
        """
        thread: WatchedThread | None = strand.thread
        if state in AWAITING or thread is None:
            track.cpu_seen = None
            return 0.0
        if strand.task is not None or strand.coroutine is not None:
            return share * self._view.share_of_cpu(thread) if state != WAITING else 0.0
        clock = self._view.clock(thread)
        seen = thread.before.thread if track.cpu_seen is None else track.cpu_seen
        track.cpu_seen = clock
        if clock is None:
            return 0.0
        return max(0.0, min(wall, clock - seen))


def _is_over(branch: Branch) -> bool:
    """Tell whether a branch's task has ended, and note it."""
    if branch.task is None:
        return False
    task = branch.task()
    if task is None or task.done():
        branch.end()
        return True
    return False


def _gathers(waiter: object, pending: set[int]) -> bool:
    children = getattr(waiter, "_children", None)  # of a gather
    return isinstance(children, (list, tuple)) and any(id(child) in pending for child in children)


def _is_of_thread(waiter: object) -> bool:
    """Tell whether a future is chained to one of an executor: asyncio's own mark of `run_in_executor`."""
    return any(
        "_chain_future" in getattr(callback[0], "__qualname__", "")
        for callback in getattr(waiter, "_callbacks", None) or ()
    )
