"""Takes the operations that end, and those that do not, and hands those worth keeping to the recorder."""

from __future__ import annotations

import itertools
import time
from collections import deque
from collections.abc import Iterable

from profkit import request_context
from profkit.config import Settings
from profkit.faults import Faults
from profkit.operations import Operation, request_of
from profkit.recorder.finished import Finished
from profkit.recorder.keeper import Item
from profkit.recorder.policy import Policy
from profkit.recorder.recorder import Recorder
from profkit.recorder.related import is_slow, outers_of
from profkit.recorder.stalls import Left, Stalls
from profkit.tallies import Tally
from profkit_storage import Trigger
from profkit_storage.ulid import new_ulid

_UNCOUNTED = frozenset({"discarded", "in_recorder"})
"""Reasons for which no other is to stand for a slow operation: nobody wants to see it."""
_NOT_QUEUED = frozenset({"queue_full", "queue_bytes", "shut_down"})
"""Reasons that the recorder refuses one for, so that another may come in its place."""


class Intake:
    """What happens when an operation of the profiler ends, on the application's side.

    `recorder` takes what is to be kept; None where there is none.
    """

    def __init__(self, settings: Settings, faults: Faults) -> None:
        self._faults = faults
        self._numbers = itertools.count(1)
        self.policy = Policy(settings)
        self.stalls = Stalls(settings.stall_after)
        self.recorder: Recorder | None = None
        self._garbage: deque[object] = deque(maxlen=100)

    def apply(self, settings: Settings) -> None:
        """Choose by these settings from now on."""
        self.policy.apply(settings)
        self.stalls.after = settings.stall_after

    def reset(self) -> None:
        """Start over in a forked child."""
        self.policy.reset()
        self.stalls = Stalls(self.stalls.after)

    def finish(self, operation: Operation) -> None:
        """Take an operation that has ended. Constant time, never raises."""
        try:
            left = self.stalls.end(operation)
            trigger = self.policy.trigger(operation, operation.tally, stalled=left is not None)
            if trigger is None:
                self._let_go(operation)
            else:
                self._hand_over(operation, trigger, left)
        except Exception as error:
            if (
                type(error).__module__ != "builtins"
            ):  # a signal handler's, or another thread's: the application's
                raise
            self._faults.add("not_handed_over", repr(error))

    def look(self, registry: Iterable[Operation]) -> None:
        """Have those in flight that stall leave a profile now. For the sampler's thread, at its ticks."""
        self._garbage.clear()
        recorder = self.recorder
        if recorder is None:
            return
        for operation in self.stalls.look(registry, time.perf_counter()):
            if not operation.discarded and operation.thread.ident != recorder.ident:
                self._leave_running(operation, recorder)

    def lose(self, item: Item, reason: str) -> None:
        """Note that what was handed over is lost: the next one of its kind stands for a slow one too."""
        if not isinstance(item, Finished):
            return
        if reason in _NOT_QUEUED:
            self.policy.take_back(item.trigger, item.operation.tally.name, inside=item.inside)
        if item.trigger is Trigger.SLOW:
            self._drop(item.operation.tally, reason, item.weight, inside=item.inside)

    def number(self, operation: Operation) -> int:
        """Return the number of an operation in this process, its first if it has none yet.

        Only those that are kept have one, and those around them. For the recorder's thread: two might give two.
        """
        if not operation.number:
            operation.number = next(self._numbers)
        return operation.number

    def _hand_over(self, operation: Operation, trigger: Trigger, left: Left | None) -> None:
        tally, recorder = operation.tally, self.recorder
        slow = trigger is Trigger.SLOW
        if slow:
            tally.slow += 1
        outers = outers_of(operation)
        inside = any(is_slow(outer, operation.ended) for outer in outers)
        reason = self._refusal(operation, trigger, left, inside=inside)
        if reason or recorder is None:
            if slow:
                self._drop(tally, reason, 1.0, inside=inside)
            self._let_go(operation)
            return
        queued = recorder.submit(
            Finished(
                operation=operation,
                trigger=trigger,
                start_ns=left.start_ns if left else _start_ns(operation),
                threshold=tally.slow_from,
                weight=self.policy.weigh(tally.name, inside=inside) if slow else 0.0,
                request=operation.request or request_context.current(),
                outers=outers,
                inside=inside,
                id=left.id if left else "",
            )
        )
        if not queued:
            self._let_go(operation)

    def _let_go(self, operation: Operation) -> None:
        """Keep nothing of what was seen: the one around it keeps the operation. To free it all takes a millisecond."""
        self._garbage.append((operation.recording, operation.children, operation.branches))
        operation.recording = operation.children = operation.branches = None

    def _refusal(self, operation: Operation, trigger: Trigger, left: Left | None, *, inside: bool) -> str:
        """Return why an operation is not kept. What it has left is replaced in any case, or taken back."""
        name = operation.tally.name
        if self.recorder is None:
            self._faults.add("shut_down", name)
            return "shut_down"
        if self.recorder.is_this_thread:
            return "in_recorder"
        if left is not None:
            return ""
        return "discarded" if operation.discarded else self.policy.admit(trigger, name, inside=inside)

    def _drop(self, tally: Tally, reason: str, weight: float, *, inside: bool) -> None:
        tally.drop(reason)
        if reason in _UNCOUNTED:
            weight -= 1.0
        if weight > 0:
            self.policy.dropped(tally.name, weight, inside=inside)

    def _leave_running(self, operation: Operation, recorder: Recorder) -> None:
        tally = operation.tally
        if self.policy.admit(Trigger.STALLED, tally.name):
            return
        start_ns = _start_ns(operation)
        left = Left(new_ulid(start_ns), start_ns)
        finished = Finished(
            operation=operation,
            trigger=Trigger.STALLED,
            start_ns=start_ns,
            threshold=tally.slow_from,
            request=request_of(operation),
            outers=outers_of(operation),
            id=left.id,
            running=True,
        )
        self.stalls.leave(operation, left)
        if not recorder.submit(finished):
            self.stalls.leave(operation, None)


def _start_ns(operation: Operation) -> int:
    """Return when an operation began by the clock of now, which may have been put back since then."""
    ago = time.perf_counter() - operation.started + operation.stood
    return max(0, time.time_ns() - int(ago * 1e9))
