"""What can be seen of an operation at one tick: of itself, and of each branch that is at work."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Callable
from functools import partial
from types import FrameType
from typing import Any, NamedTuple, Protocol

from profkit.chance import chance
from profkit.operations import Operation
from profkit.sampling import switches
from profkit.sampling.branches import Branch
from profkit.sampling.codes import OFFSET_BITS
from profkit.sampling.greenlets import suspended_frame
from profkit.sampling.joins import is_of_thread, resolved_by
from profkit.sampling.recording import Recording, Track
from profkit.sampling.stacks import await_stack, walk
from profkit.sampling.threads import WatchedThread
from profkit.sampling.timeline import AWAITING, HELD, NOBODY, RUNNING, STARVED, SUSPENDED, WAITING
from profkit.sampling.view import View

_MOST_LOOKED_AT = 64
"""Pending branches of one operation looked at in one tick, chosen by chance if there are more."""
_JOINS_WITHIN = 6
"""How near the leaf a function has to be that waits for branches."""
_NEARLY_ALL = 0.95
"""The share of a look's time that a thread has the CPU if it runs all of it."""
_IN_LOOPS = ("asyncio.", "anyio.")
"""Of these modules, functions that wait do so suspended."""
_TOLD = {
    ("asyncio.queues", "Queue.get"), ("asyncio.locks", "Event.wait"), ("asyncio.locks", "Condition.wait"),
}  # fmt: skip
"""Functions in which a task waits for what another one says; anyio's events and streams end there too."""
_QUEUED = "[waiting for a thread]"


class Strand(Protocol):
    """An operation, or a branch: a task, or a frame of a thread; `native` names a C function that it calls at once."""

    root: int
    thread: Any
    task: Any
    coroutine: Any
    frame: Any
    native: str


class Sight(NamedTuple):
    """What was seen of a strand: its stack, leaf first (None: nothing), its state, and what its task waits for.

    It has been held up by `holder` for `seconds`. `node` is set if that is where it was at the last look.
    """

    stack: list[int] | None
    state: int
    holder: int = NOBODY
    seconds: float = 0.0
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
            return Sight(track.stack, *view.waiting_state(task, waiter, thread), waiter, track.node)
    coroutine = None if strand.coroutine is None else strand.coroutine()
    top = coroutine if task is None else task.get_coro()
    seen = top if coroutine is None else coroutine
    if thread is None or (seen is None and not strand.root):
        return _outside(strand, thread, view)
    own = _frame_of(seen)
    if own is not None and not _is_running(seen):
        return _suspended(strand, task, top, coroutine, view)
    root = strand.root or id(own)
    frame = None if thread.greenlet is None else suspended_frame(thread)
    if frame is not None:
        return Sight(walk(frame, view.codes).above(root) or None, SUSPENDED)
    view.clock(thread)  # before the walk: afterwards it tells whether the thread runs meanwhile
    stack = view.walk(thread.ident).above(root)
    if stack is None:
        if own is None:
            return Sight(_in_waiting_greenlet(strand, view), SUSPENDED)
        stack = _in_greenlet(task, own, thread, view)
    if stack is not None and not stack and strand.native:  # a C function has no frame
        stack = [view.codes.native(strand.native)]
    return Sight(stack or None, view.thread_state(thread))


def _outside(strand: Strand, thread: WatchedThread | None, view: View) -> Sight:
    """Return what is seen of a strand that has no frame now: its server's work for it, if it has a word for that."""
    if thread is None or not isinstance(strand, Operation) or not strand.outside:
        return Sight(None, WAITING)
    stack = [view.codes.synthetic(strand.outside)]
    if thread.greenlet is not None and suspended_frame(thread) is not None:
        return Sight(stack, SUSPENDED)
    view.clock(thread)
    return Sight(stack, view.thread_state(thread))


def _frame_of(coroutine: Any) -> FrameType | None:  # noqa: ANN401 - of any kind: before 3.12 generators are tasks too
    frame: FrameType | None = getattr(coroutine, "cr_frame", None) or getattr(coroutine, "gi_frame", None)
    return frame


def _in_greenlet(
    task: asyncio.Task[Any] | None, own: FrameType, thread: WatchedThread, view: View
) -> list[int] | None:
    """Return the stack of a running task whose frame is not in its thread's: a greenlet has been switched to.

    What lies between the two is known once the thread notes its switches.
    """
    if task is None or not view.is_in_greenlet(task, thread):
        return None
    switches.follow(thread)
    return view.walk(thread.ident).places + walk(own, view.codes).places[:1]


def _in_waiting_greenlet(strand: Strand, view: View) -> list[int] | None:
    """Return the stack of a function that runs in a greenlet which an enclosing operation's task waits for, if any."""
    outer = getattr(strand, "parent", None)
    while isinstance(outer, Operation):
        coroutine = None if outer.coroutine is None else outer.coroutine()
        if coroutine is not None:
            return await_stack(coroutine, view.codes, strand.root)
        outer = outer.parent
    return None


def _is_running(coroutine: object) -> bool:
    """Tell whether a coroutine is neither suspended nor waiting for its first step."""
    return bool(getattr(coroutine, "cr_running", False) or getattr(coroutine, "gi_running", False))


def _suspended(strand: Strand, task: Any, top: object, coroutine: object, view: View) -> Sight:  # noqa: ANN401
    waiter = getattr(task, "_fut_waiter", None)
    frame = strand.frame if coroutine is None else _frame_of(coroutine)
    root = 0 if frame is None else id(frame)
    stack = await_stack(top, view.codes, root)
    if stack is None and coroutine is not None:  # driven by another task than the one it began in
        return Sight(await_stack(coroutine, view.codes, root), SUSPENDED)
    if task is None:
        return Sight(stack, SUSPENDED)
    # If the task ran during the walk, the stack may be that of another wait.
    same = getattr(task, "_fut_waiter", None) is waiter
    if not same:
        return Sight(stack, SUSPENDED)
    return Sight(stack, *view.waiting_state(task, waiter, strand.thread), waiter)


def look(operation: Operation, recording: Recording, view: View) -> Callable[[], None]:
    """Look at an operation; return what gives it, if it is still in flight, the time since the last look."""
    if operation.task is not None:
        use = operation.thread.use  # written out: a call less for each of thousands of suspended operations
        recording.loop_to = use if use.tick == view.tick else view.loop_use(operation.thread)
        # Read before a pause, if one came in between: what ran meanwhile would be taken for the operation's.
        if recording.loop_from is None and operation.paused <= view.now:
            recording.loop_from = recording.loop_to
    if not operation.branches:
        if _goes_on(operation, recording, view):
            return _nothing_to_give
    else:
        together = _Together(operation, recording, view)
        if together.see():
            return together.give
        recording.catch_up(math.inf)
    sight = see(operation, view, recording.main)
    return partial(_give_alone, operation, recording, view, sight)


def _goes_on(operation: Operation, recording: Recording, view: View) -> bool:
    """Give an operation that still waits for what it waited for its time; False if it does not.

    A third of what the same look costs by `see` and `give`, for thousands of suspended operations.
    """
    waiter = recording.main.waiter
    if waiter is None or operation.task is None:
        return False
    task = operation.task()
    known = waiter()
    if task is None or known is None or getattr(task, "_fut_waiter", None) is not known:
        return False
    if view.has_step(operation.thread) or recording.main.timeline.last_state != SUSPENDED:
        return False
    return recording.repeat(view.now)


def _nothing_to_give() -> None:
    pass


def _give_alone(operation: Operation, recording: Recording, view: View, sight: Sight) -> None:
    _Share(recording, view, recording.begin_look(view.now, held=view.had_to_wait), 1).give(
        operation, recording.main, sight
    )


class _Share(NamedTuple):
    """What each of the `parts` strands at work gets of the `wall` seconds since the last look."""

    recording: Recording
    view: View
    wall: float
    parts: int

    def give(self, strand: Strand, track: Track, sight: Sight, whole: list[int] | None = None) -> None:
        """Give a strand its part; `whole` is its stack below that of the strand that waits for it, if it has one."""
        recording = self.recording
        stack = whole or sight.stack
        if not stack:
            recording.miss(self.wall / self.parts)
            track.forget()
            return
        if whole or sight.node < 0:
            node = recording.tree.insert(stack)
            track.stack = sight.stack
        else:
            node = sight.node
        track.waiter = recording.refer(sight.waiter)
        wall = self.wall
        if sight.state == HELD and node == track.node:
            # From the step's beginning, as far as it was taken for mere waiting; the look that first saw it came, on
            # average, half an interval late, and the one after it will be as late.
            recording.turn(track, SUSPENDED, HELD, sight.holder, (sight.seconds - wall / 2) / self.parts)
        elif sight.state == STARVED and sight.seconds < wall > 2 * recording.mean_gap:
            # A look stands for the time since the last one; but one that comes late would blame too much on what it
            # happens to see.
            wall = max(sight.seconds, 2 * recording.mean_gap)
            before = (self.wall - wall) / self.parts
            recording.observe(track, self.wall, before, node, SUSPENDED, NOBODY, 0.0)
        cpu = self._cpu(strand, track, sight.state)
        if sight.state == RUNNING and cpu < _NEARLY_ALL * wall and self._has_waited(strand, track):
            # How long it ran is known; before that it was where it had been seen waiting.
            ran = min(wall, cpu + self.view.queued(strand.thread))
            before = (wall - ran) / self.parts
            recording.observe(track, self.wall, before, track.node, WAITING, NOBODY, 0.0)
            wall = ran
        recording.observe(track, wall, wall / self.parts, node, sight.state, sight.holder, cpu)

    def claim(self, track: Track, sight: Sight, whole: list[int] | None) -> None:
        """Note where a strand waits that leaves its part to others, who may not have been what it waited for."""
        stack = whole or sight.stack
        if stack:
            self.recording.claim(
                track, self.wall, self.recording.tree.insert(stack), sight.state, sight.holder
            )

    def _has_waited(self, strand: Strand, track: Track) -> bool:
        """Tell whether a thread was last seen waiting, and nothing else kept it from running since."""
        if strand.task is not None or strand.coroutine is not None or not len(track.timeline):
            return False
        return track.timeline.last_state == WAITING and not self.view.is_beside_others(strand.thread)

    def _cpu(self, strand: Strand, track: Track, state: int) -> float:
        """Return the CPU seconds of a strand since the last look.

        A function has its thread to itself: they are what the thread used. A task or greenlet has not; it has those in
        which it is seen running, as far as there was a CPU for them.
        """
        thread: WatchedThread | None = strand.thread
        if state in AWAITING or thread is None:
            track.cpu_seen = None
            return 0.0
        if strand.task is not None or strand.coroutine is not None or thread.greenlet is not None:
            return self.wall / self.parts * self.view.share_of_cpu(thread) if state != WAITING else 0.0
        track.has_thread = True
        clock = self.view.clock(thread)
        seen = thread.before.thread if track.cpu_seen is None else track.cpu_seen
        # The track of all those there was no room for has no clock of its own.
        track.cpu_seen = None if self.recording.is_shared(track) else clock
        return 0.0 if clock is None else max(0.0, min(self.wall, clock - seen))


class _Together:
    """One look at an operation that has branches."""

    def __init__(self, operation: Operation, recording: Recording, view: View) -> None:
        self._operation = operation
        self._recording = recording
        self._view = view
        self._sights: dict[Branch | None, Sight] = {}
        self._stacks: dict[Branch | None, list[int] | None] = {}
        self._at_work: list[Branch | None] = []
        self._claiming: list[Branch | None] = []
        self._all: list[Branch] = []
        self._threads: set[Branch] = set()
        self._awaited: set[int] = set()

    def see(self) -> bool:
        """Look at the operation itself and its branches; False if none of them is pending."""
        branches = self._pending()
        if not branches:
            return False
        recording = self._recording
        self._sights[None] = main = see(self._operation, self._view, recording.main)
        if main.stack:
            recording.root = main.stack[-1:]
        for branch in branches:
            self._sights[branch] = see(branch, self._view, recording.tracks.get(branch))
        self._threads = {branch for branch in branches if branch.task is None}
        self._awaited = resolved_by(
            task for branch in branches if branch.task is not None and (task := branch.task()) is not None
        )
        joined = {branch: self._joins(sight) for branch, sight in self._sights.items()}
        parents = {branch.parent if branch.parent in self._sights else None for branch in branches}
        self._claiming = [one for one in parents if not joined[one] and self._is_told(self._sights[one])]
        joined.update(dict.fromkeys(self._claiming, True))
        self._at_work = [branch for branch in branches if not joined[branch]]
        if not joined[None] or not self._at_work:
            self._at_work.append(None)
        for strand in (*self._at_work, *self._claiming):
            self._stack(strand, joined)
        return True

    def give(self) -> None:
        """Give each strand that is at work its part of the time since the last look."""
        recording = self._recording
        new = [one.started for one in self._at_work if one is not None and one not in recording.tracks]
        recording.catch_up(min(new, default=math.inf))
        share = _Share(
            recording,
            self._view,
            recording.begin_look(self._view.now, held=self._view.had_to_wait),
            len(self._at_work),
        )
        for branch in self._at_work:
            strand: Strand = self._operation if branch is None else branch
            share.give(strand, recording.track(branch), self._sights[branch], self._stacks[branch])
        for branch in self._claiming:
            share.claim(recording.track(branch), self._sights[branch], self._stacks[branch])

    def _pending(self) -> list[Branch]:
        self._all = branches = [branch for branch in self._operation.branches or () if not branch.ended]
        if len(branches) > _MOST_LOOKED_AT:
            branches = chance.sample(branches, _MOST_LOOKED_AT)
        return [branch for branch in branches if not _is_over(branch)]

    def _outside_loops(self, stack: list[int]) -> list[int]:
        """Return the part of a stack that runs an event loop, without what the loop runs: that may be another task."""
        loops = self._view.codes.loops
        inside = [position for position, place in enumerate(stack) if place >> OFFSET_BITS in loops]
        return stack[inside[-1] + 1 :] if inside else stack

    def _joins(self, sight: Sight) -> bool:
        """Tell whether a strand only waits for branches."""
        if sight.state not in AWAITING:
            return self._joins_in_thread(sight.stack or [])
        waiter = sight.waiter
        if waiter is None or sight.state == STARVED:  # for the loop
            return False
        if id(waiter) in self._awaited or self._is_left_out(waiter):
            return True
        return bool(self._threads) and (
            is_of_thread(waiter, self._threads) or self._joins_threads(sight.stack or [])
        )

    def _is_told(self, sight: Sight) -> bool:
        """Tell whether a strand waits for what another task will tell it: one of its own, most likely."""
        if sight.state not in {SUSPENDED, HELD} or not sight.stack:
            return False
        entry = self._view.codes.entries[sight.stack[0] >> OFFSET_BITS]
        return (entry.module, entry.name) in _TOLD

    def _is_left_out(self, waiter: object) -> bool:
        """Tell whether a future is the task of a branch that chance has left out of this look."""
        return (
            len(self._all) > _MOST_LOOKED_AT
            and isinstance(waiter, asyncio.Task)
            and any(branch.task is not None and branch.task() is waiter for branch in self._all)
        )

    def _joins_in_thread(self, stack: list[int]) -> bool:
        """Tell whether a thread waits for others, or runs an event loop, whose tasks are branches."""
        codes = self._view.codes
        return any(place >> OFFSET_BITS in codes.loops for place in stack) or any(
            index in codes.joining and not codes.entries[index].module.startswith(_IN_LOOPS)
            for index in (place >> OFFSET_BITS for place in stack[:_JOINS_WITHIN])
        )

    def _joins_threads(self, stack: list[int]) -> bool:
        """Tell whether a task waits for work in threads by a future that does not tell."""
        codes = self._view.codes
        for depth, place in enumerate(stack[:_JOINS_WITHIN]):
            index = place >> OFFSET_BITS
            if index in codes.joining:
                # From 3.12 on what `wait_for` waits for may be the strand's own code, below it.
                return depth == 0 or codes.entries[index].name != "wait_for"
        return False

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
                stack = stack + (
                    self._outside_loops(above) if above and joined[parent] else self._recording.root
                )
        self._stacks[branch] = stack
        return stack


def _is_over(branch: Branch) -> bool:
    """Tell whether a branch's task has ended, and note it."""
    if branch.task is None:
        return False
    task = branch.task()
    if task is None or task.done():
        branch.end()
        return True
    return False
