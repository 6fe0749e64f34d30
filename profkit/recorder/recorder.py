"""Takes finished operations from the callers and has them stored from a thread of its own."""

from __future__ import annotations

import math
from collections import deque
from time import monotonic

from profkit.config import Settings
from profkit.faults import Faults
from profkit.masking import masker
from profkit.recorder.finished import Finished
from profkit.recorder.footprint import footprint
from profkit.recorder.keeper import Item, Keeper, sooner
from profkit.recorder.rollup_writer import RollupWriter
from profkit.sampling import real
from profkit.sampling.sampler import Sampler

_MOST_UNTOLD = 1_000
_RESERVE = 1.0
"""Seconds that are enough to put a queue aside."""


class Recorder:
    """A bounded queue and its thread, which also stores the rollups when they are due.

    Handing over never blocks and never raises. The thread is begun by those who have the time for it, by `tend`,
    `flush` or `stop`; should it die, or the process fork, another one is.
    """

    def __init__(
        self, settings: Settings, keeper: Keeper, rollups: RollupWriter, sampler: Sampler, faults: Faults
    ) -> None:
        self._settings = settings
        self.keeper = keeper
        self.rollups = rollups
        self._sampler = sampler
        self._faults = faults
        self._queue: deque[tuple[Item, int]] = deque()
        self._untold: deque[tuple[str, str]] = deque()
        self._changed = real.condition()
        self._starting = real.rlock()  # a signal handler may come in between, and flush
        self._in_hand: Item | RollupWriter | Keeper | None = None
        self._wanted = False
        self._stopped = False
        self._give_up_at = math.inf
        self._thread: real.Thread | None = None
        self._runs = False
        self.ident: int | None = None
        """The identity of the running thread."""
        self.queued_bytes = 0

    @property
    def queued(self) -> int:
        """How many wait to be stored."""
        return len(self._queue)

    @property
    def is_this_thread(self) -> bool:
        """Whether the calling thread is the recorder's own: a slow store or callback is no operation to record."""
        return self.ident == real.ident()

    def submit(self, item: Item) -> bool:
        """Queue an operation, or a profile that is built already; False if there is no room.

        Takes the same few microseconds however long the operation was: it waits for no lock, wakes no thread (which
        may be given this one's processor at once), and writes no log. `tend` does, soon after.
        """
        size = footprint(item)
        reason = self._refusal(size)
        if reason:
            self.keeper.on_loss(item, reason)
            self._untold.append((reason, _name_of(item)))
            if len(self._untold) > _MOST_UNTOLD:  # nobody tends us
                self.tell()
            return False
        self._queue.append((item, size))
        self.queued_bytes += size
        if self._stopped:  # just now
            self._clear("shut_down")
            return False
        if self._sampler.idle:  # nobody else will
            self.tend()
        return True

    def tend(self, *, counting: bool = False) -> None:
        """See to it that what waits is worked on; `counting`: operations are being counted.

        For the sampler's thread, at its ticks, and for whoever configures.
        """
        expected = counting and self.rollups.expect()
        # Begun before there is work: an interpreter that is about to end may begin none.
        if (expected or self._queue or not self._is_alive()) and not self._stopped:
            self._rouse()
        self.tell()

    def tell(self) -> None:
        """Count and log what was refused; not in `submit`, since a log handler may take its time."""
        while self._untold:
            try:
                self._faults.add(*self._untold.popleft())
            except IndexError:  # another thread was faster
                return

    def flush(self, timeout: float) -> bool:
        """Wait until all that has ended is stored, and rollups of it; False if `timeout` seconds were not enough."""
        if self.is_this_thread:  # it cannot wait for itself
            return False
        self.tell()
        return self._finish(monotonic() + timeout)

    def stop(self, timeout: float) -> bool:
        """Store what there is and end the thread; what `timeout` seconds are not enough for is counted as lost.

        A part of them is left for the spool, if there is one and the store does not answer.
        """
        self._give_up_at = deadline = monotonic() + timeout
        reserve = min(_RESERVE, timeout / 3) if self.keeper.has_spool else 0.0
        done = not self.is_this_thread and self._finish(deadline - reserve)
        if not done and self.keeper.has_spool:
            done = self._put_aside(deadline)
        elif done and self.keeper.ask_again():
            self._wait_for_delivery(deadline)
        thread = self._thread
        self._stopped = True
        if not done and not self._is_alive():  # the interpreter is ending, and begins no more threads
            self._run()
            done = self._is_done()
        self._clear("lost_at_shutdown")
        with self._changed:
            self._changed.notify_all()
        if not done or self.rollups.failed:
            self.rollups.give_up(f"not stored within {timeout:g} s")
        if thread is not None and not self.is_this_thread:
            thread.join(max(0.0, deadline - monotonic()))
        self.tell()
        return done

    def _put_aside(self, deadline: float) -> bool:
        """Put what is left into the spool, without the thread: it may be waiting for the store."""
        try:
            self.keeper.hurry()
        except BaseException as error:  # noqa: BLE001 - a spool may fail as a store may
            self._faults.add("not_spooled", repr(error))
            return False
        while monotonic() < deadline:
            with self._changed:
                if not self._queue:
                    self.rollups.store()
                    return True
                item, size = self._queue.popleft()
                self.queued_bytes -= size
            self.keeper.keep(item, tell=False)
        return False

    def _wait_for_delivery(self, deadline: float) -> None:
        """Give the store a last chance to take what waits: the spool may go with the machine."""
        self._rouse()
        with self._changed:
            self._changed.wait_for(
                lambda: self._in_hand is not self.keeper and self.keeper.seconds_left() != 0,
                max(0.0, deadline - monotonic()),
            )

    def _finish(self, deadline: float) -> bool:
        # Each profile that is kept is counted, so there will be more when the queue is done.
        self._wanted |= self.rollups.stores and (not self._is_done() or self.rollups.has_more())
        while True:
            with self._changed:
                if self._is_done():
                    return True
            if not self._rouse():
                return False
            with self._changed:
                left = deadline - monotonic()
                self._changed.wait_for(lambda: self._is_done() or not self._is_alive(), max(0.0, left))
                if left <= 0:
                    return self._is_done()

    def _refusal(self, size: int) -> str:
        """Return why there is no room; for one there always is, lest the largest never be kept."""
        if self._stopped:
            return "shut_down"
        if len(self._queue) >= self._settings.queue_size:
            return "queue_full"
        full = self._queue and self.queued_bytes + size > self._settings.queue_bytes
        return "queue_bytes" if full else ""

    def _is_done(self) -> bool:
        idle = self._in_hand is None or self._in_hand is self.keeper
        return not self._queue and idle and not self._wanted

    def _clear(self, reason: str) -> None:
        """Count what is queued as lost."""
        with self._changed:
            lost = [self._queue.popleft() for _ in range(len(self._queue))]
        for item, size in lost:
            self.queued_bytes -= size
            self.keeper.lose(item, reason, _name_of(item))

    def _rouse(self) -> bool:
        """Tell the thread that there is work, and begin it if there is none; False if none can be had."""
        started = self._start()
        with self._changed:
            self._changed.notify_all()
        return started

    def _is_alive(self) -> bool:
        return self._runs and (self._thread is None or self._thread.is_alive())

    def _start(self) -> bool:
        with self._starting:
            if self._is_alive():
                return True
            self._runs, self._thread = True, None
            try:
                self._thread = real.start(self._run, "profkit-recorder")
            except RuntimeError as error:
                self._runs = False
                if math.isinf(self._give_up_at):  # else whoever ends it does its work
                    self._faults.add("recorder_not_started", error)
            except BaseException:  # of a signal handler
                self._runs = False
                raise
            return self._runs

    def _run(self) -> None:
        self.ident = real.ident()
        try:
            while (work := self._next()) is not None:
                if isinstance(work, RollupWriter):
                    work.store()
                elif isinstance(work, Keeper):
                    work.tidy()
                else:
                    self.keeper.keep(work)
                    self.rollups.expect()  # it has been counted
        except BaseException as error:  # noqa: BLE001 - MemoryError, or what was sent to this thread: another begins
            self._die(error)
        with self._changed:
            self._in_hand = self.ident = None
            self._runs = False
            self._changed.notify_all()

    def _die(self, error: BaseException) -> None:
        item = self._in_hand
        if isinstance(item, Item):
            self.keeper.lose(item, "recorder_died", repr(error))
        else:
            self._faults.add("recorder_died", repr(error))

    def _next(self) -> Item | RollupWriter | Keeper | None:
        """Wait for the next thing to do; None if there will be none."""
        with self._changed:
            self._in_hand = None
            self._changed.notify_all()
            while monotonic() < self._give_up_at:
                if self.rollups.is_due():
                    self._in_hand = self.rollups
                elif self._queue:
                    self._in_hand, size = self._queue.popleft()
                    self.queued_bytes -= size
                elif self._wanted:
                    self._in_hand, self._wanted = self.rollups, False
                elif self._stopped:
                    break
                elif self.keeper.seconds_left() == 0:
                    self._in_hand = self.keeper
                else:
                    self._changed.wait(sooner(self.rollups.seconds_left(), self.keeper.seconds_left()))
                    continue
                return self._in_hand
            return None


def _name_of(item: Item) -> str:
    return masker.mask_text(item.operation.tally.name if isinstance(item, Finished) else item.operation)
