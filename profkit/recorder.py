"""Takes finished operations from the callers and stores them from a thread of its own."""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable
from time import monotonic

from profkit.config import Settings
from profkit.faults import Faults, log
from profkit.finished import Finished, profile_of
from profkit.masking import masker
from profkit.sampling.sampler import Sampler
from profkit_storage import Profile, ProfileStorage


class Recorder:
    """A bounded queue and its writer. Handing over never blocks and never raises."""

    def __init__(
        self, settings: Settings, storage: ProfileStorage | None, sampler: Sampler, faults: Faults
    ) -> None:
        self._settings = settings
        self.storage = storage
        self._sampler = sampler
        self._faults = faults
        self._queue: deque[Finished | Profile] = deque()
        self._changed = threading.Condition()
        self._busy = False
        self._stopped = False
        self._thread: threading.Thread | None = None
        self.recorded = 0

    @property
    def queued(self) -> int:
        """How many wait to be stored."""
        return len(self._queue)

    def submit(self, item: Finished | Profile) -> bool:
        """Queue an operation, or a profile that is built already; False if there is no room."""
        with self._changed:
            if self._stopped or len(self._queue) >= self._settings.queue_size:
                return False
            self._queue.append(item)
            if self._thread is None:
                self._start()
            self._changed.notify_all()
            return True

    @property
    def is_this_thread(self) -> bool:
        """Whether the calling thread is the recorder's own: a slow store or callback is no operation to record."""
        return threading.current_thread() is self._thread

    def flush(self, timeout: float) -> bool:
        """Wait until everything queued so far is stored; False if `timeout` seconds were not enough."""
        if self.is_this_thread:  # it cannot wait for itself
            return False
        with self._changed:
            return self._changed.wait_for(lambda: not self._queue and not self._busy, timeout)

    def stop(self, timeout: float) -> bool:
        """Store what is queued and end the thread; what `timeout` seconds are not enough for is counted as lost."""
        deadline = monotonic() + timeout
        with self._changed:
            self._stopped = True
            self._changed.notify_all()
        done = self.flush(timeout)
        with self._changed:
            for _ in self._queue:
                self._faults.add("lost_at_shutdown", f"not stored within {timeout:g} s")
            self._queue.clear()
        if self._thread is not None and not self.is_this_thread:
            self._thread.join(max(0.0, deadline - monotonic()))
        return done

    def _start(self) -> None:
        thread = threading.Thread(target=self._run, name="profkit-recorder", daemon=True)
        try:
            thread.start()
        except RuntimeError as error:  # no thread can be had
            self._faults.add("recorder_not_started", error)
            return
        self._thread = thread

    def _run(self) -> None:
        while True:
            with self._changed:
                self._busy = False
                self._changed.notify_all()
                self._changed.wait_for(lambda: self._queue or self._stopped)
                if not self._queue:
                    return
                item = self._queue.popleft()
                self._busy = True
            self._record(item)

    def _record(self, item: Finished | Profile) -> None:
        try:
            if isinstance(item, Finished):
                item = profile_of(item, self._settings, self._sampler)
        except Exception as error:  # noqa: BLE001 - one bad operation must not end the recorder
            self._faults.add("not_built", repr(error))
            return
        if self.storage is not None:
            try:
                self.storage.put(item)
            except BaseException as error:  # noqa: BLE001 - a store may raise anything
                self._faults.add("not_stored", masker.mask_error(error))
                return
        self.recorded += 1
        _log(item)
        if self._settings.on_profile is not None:
            self._call(self._settings.on_profile, item)

    def _call(self, on_profile: Callable[[Profile], object], profile: Profile) -> None:
        try:
            on_profile(profile)
        except BaseException as error:  # noqa: BLE001 - the application's own, SystemExit too: this thread goes on
            self._faults.add("on_profile_error", type(error).__name__, error)


def _log(profile: Profile) -> None:
    request = f" (request {profile.request_id})" if profile.request_id else ""
    log(logging.INFO, "%s took %.3f s: profile %s%s", profile.operation, profile.wall, profile.id, request)
