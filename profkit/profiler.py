"""PerformanceProfiler: watches operations, and turns the slow ones into stored profiles."""

from __future__ import annotations

import asyncio
import itertools
import logging
import os
import sys
import threading
import time
from collections.abc import Callable, Iterable
from typing import ParamSpec, TypeVar, cast, overload

from profkit import handover, process_hooks, requests
from profkit.config import Settings, check_threshold
from profkit.faults import Faults, log
from profkit.finished import Finished, enclosing
from profkit.inflight import InFlight, list_in_flight
from profkit.operations import Operation, named
from profkit.policy import Policy
from profkit.process_capture import ProcessCapture
from profkit.recorder import Recorder
from profkit.rollups import Rollups
from profkit.sampling import pauses, switching
from profkit.sampling.sampler import Sampler
from profkit.wrappers import name_of, wrap
from profkit_storage import ConfigurationError, Profile, ProfileStorage, ProfkitError, open_storage

P = ParamSpec("P")
R = TypeVar("R")


class PerformanceProfiler:
    """Watches what `profile` and `operation` wrap. Any number may exist; `profkit`'s functions act on a default one.

    Given settings it is on at once, and raises `ConfigurationError` or `StorageError` if they cannot work. Without,
    it waits for `configure`, or for `PROFKIT_STORAGE` in the environment when the first operation begins.
    """

    def __init__(self, settings: Settings | None = None) -> None:
        self.registry: set[Operation] = set()
        self.rollups = Rollups()
        self.faults = Faults()
        self.sampler = Sampler(self.registry, self.faults, self.rollups.drain)
        self.active = False
        self._changing = threading.RLock()
        self._asked = False
        self._policy = Policy()
        self._slow = 0
        self._recorded_before = 0
        self._unwatched = itertools.count()
        self._unwatched_read = 0
        self._process_capture = ProcessCapture(self.sampler)
        self._numbers = itertools.count(1)
        self._recorder: Recorder | None = None
        self._closes_storage = False
        self._apply(Settings())
        process_hooks.add(self)
        if settings is not None:
            self.configure(settings)

    @property
    def storage(self) -> ProfileStorage | None:
        """Where profiles go."""
        return self._recorder.storage if self._recorder else None

    def configure(self, settings: Settings | None = None, **arguments: object) -> None:
        """Begin to watch, by settings, or by arguments first and `PROFKIT_*` variables second.

        Raises:
            ConfigurationError: a setting or the storage's address is not allowed; names what is.
            StorageError: profiles cannot be written there.
        """
        if settings is not None and arguments:
            raise ConfigurationError("configure takes settings or arguments, not both")
        _refuse_free_threading()
        settings = settings or Settings.from_env(None, **arguments)
        storage, opened = _open(settings.storage)
        with self._changing:
            self._asked = True
            self._close(settings.shutdown_timeout)
            self._apply(settings)
            self._recorder = Recorder(settings, storage, self.sampler, self.faults)
            self._closes_storage = opened
            keeps = storage is not None or settings.on_profile is not None
            self.active = settings.enabled and keeps
            if self.active:
                handover.install()
                pauses.install()
            if self.registry:  # they go on being watched
                self.sampler.wake()
            process_hooks.store_at_the_end_of_a_child()
        if settings.enabled and not keeps:
            _say_how_to_turn_on()

    def activate(self) -> bool:
        """Tell whether an operation that begins now is to be watched; the first time, look in the environment."""
        if not self._asked:
            with self._changing:
                if not self._asked:
                    self._asked = True
                    self._configure_from_environment()
        if not self.active and self.settings.enabled:
            next(self._unwatched)
        return self.active

    @overload
    def profile(self, function: Callable[P, R], /) -> Callable[P, R]: ...
    @overload
    def profile(
        self, name: str | None = None, /, *, category: str = "", threshold: float | None = None
    ) -> Callable[[Callable[P, R]], Callable[P, R]]: ...

    def profile(
        self,
        target: Callable[P, R] | str | None = None,
        /,
        *,
        category: str = "",
        threshold: float | None = None,
    ) -> Callable[P, R] | Callable[[Callable[P, R]], Callable[P, R]]:
        """Decorate a function or coroutine function: each call of it is an operation.

        Args:
            target: the operation's name, by default the function's qualified name.
            category: agent, db, llm, serialization, http, or a word of your own.
            threshold: seconds from which a call leaves a profile, by default that of the settings.
        """
        check_threshold(threshold)
        if target == "":
            raise ConfigurationError("name='' is not allowed: give a text that is not empty, or none")
        name = target if isinstance(target, str) else None

        def decorate(function: Callable[P, R]) -> Callable[P, R]:
            return wrap(self, function, self.rollups.tally(name or name_of(function), category, threshold))

        return decorate if target is None or isinstance(target, str) else decorate(target)

    def operation(
        self, name: str, /, *, category: str = "", threshold: float | None = None, **tags: object
    ) -> Operation:
        """Return an operation to enter by `with` or `async with`; `tags` are kept on its profile."""
        check_threshold(threshold)
        operation = Operation(self, self.rollups.tally(named(name), category, threshold))
        if tags:
            operation.tags = tags
        return operation

    def number(self, operation: Operation) -> int:
        """Return the number of an operation in this process, its first if it has none yet."""
        if not operation.number:
            operation.number = next(self._numbers)
        return operation.number

    def finish(self, operation: Operation) -> None:
        """Hand a slow operation to the recorder. Called on the application's side: constant time, never raises."""
        try:
            recorder = self._recorder
            if operation.discarded or (recorder is not None and recorder.is_this_thread):
                return
            self._slow += 1
            ago = time.perf_counter() - operation.started
            tally = operation.tally
            name = tally.name
            self.number(operation)
            around = enclosing(operation, self.number)
            inside = any(one.slow for one in around)
            weight = self._policy.weigh(name, inside=inside)
            finished = Finished(
                operation,
                time.time_ns() - int(ago * 1e9),
                tally.limit,
                weight,
                operation.request or requests.current(),
                around,
            )
            if recorder is None or not recorder.submit(finished):
                self._policy.dropped(name, weight, inside=inside)
                self.faults.add("queue_full" if recorder else "shut_down", name)
        except Exception as error:  # noqa: BLE001 - nothing of ours reaches the application
            self.faults.add("not_handed_over", repr(error))

    def capture(
        self,
        seconds: float,
        *,
        stop: threading.Event | None = None,
        loops: Iterable[asyncio.AbstractEventLoop] = (),
    ) -> Profile:
        """Record the whole process for `seconds`, or until `stop` is set; stored too if there is a store.

        Blocks: call it from a thread. Suspended tasks of `loops` are seen besides the threads.

        Raises:
            CaptureBusy: another capture is going on.
            ConfigurationError: `seconds` is not from 0.05 to 60.
        """
        profile = self._process_capture.record(seconds, self.settings, stop, loops)
        recorder = self._recorder
        if recorder is not None and not recorder.submit(profile):
            self.faults.add("queue_full", profile.operation)
        return profile

    def stats(self) -> dict[str, object]:
        """Return counts since the start: operations, slow and recorded ones, and every loss with its reason."""
        unwatched = next(self._unwatched) - self._unwatched_read
        self._unwatched_read += 1
        recorder = self._recorder
        return {
            "active": self.active,
            "operations": self.rollups.totals().calls + unwatched,
            "in_flight": len(self.registry),
            "slow": self._slow,
            "recorded": self._recorded_before + (recorder.recorded if recorder else 0),
            "queued": recorder.queued if recorder else 0,
            "faults": self.faults.counts(),
            "sampler": {
                "ticks": self.sampler.ticks,
                "interval": self.sampler.real_interval,
                "cpu_seconds": self.sampler.cpu,
                "asleep": self.sampler.idle,
            },
        }

    def in_flight(self) -> list[InFlight]:
        """Return what has not ended, the oldest first, with the stack of each as it is now."""
        return list_in_flight(list(self.registry), self.sampler)

    def flush(self, timeout: float = 5.0) -> bool:
        """Wait until every slow operation that has ended is stored; False if `timeout` seconds were not enough."""
        return self._recorder.flush(timeout) if self._recorder else True

    def shutdown(self, timeout: float | None = None) -> bool:
        """Store what is queued and stop watching; False if something could not be stored in time."""
        with self._changing:
            self.active = False
            done = self._close(self.settings.shutdown_timeout if timeout is None else timeout)
        self.sampler.stop(1.0)
        return done

    def _apply(self, settings: Settings) -> None:
        self.settings = settings
        self.rollups.set_limits(settings.threshold)
        self.max_children = settings.max_children
        self.keep_errors = False
        self.sampler.interval = settings.interval
        self.sampler.max_samples = settings.max_samples
        self.sampler.switch_interval = 0.0005

    def _close(self, timeout: float) -> bool:
        recorder, self._recorder = self._recorder, None
        if recorder is None:
            return True
        self.active = False
        done = recorder.stop(timeout)
        self._recorded_before += recorder.recorded
        if self._closes_storage and recorder.storage is not None:
            recorder.storage.close()
        return done

    def _configure_from_environment(self) -> None:
        if not os.environ.get("PROFKIT_STORAGE"):
            _say_how_to_turn_on()
            return
        try:
            self.configure()
        except ProfkitError as error:  # an operation is beginning: the application must not notice
            self.faults.add("not_configured", error)

    def after_fork(self) -> None:
        """Begin anew in a forked child, which has none of its parent's threads and must not write its profiles."""
        for operation in list(self.registry):
            operation.started = float("inf")  # the parent's to report: never slow here
        self.registry.clear()
        switching.reset()
        self.sampler.reset()
        self.rollups.reset()
        self._changing = threading.RLock()
        self._process_capture.reset()
        self.faults.reset()
        self._policy = Policy()
        if self._recorder is not None:
            self._recorder = Recorder(self.settings, self._recorder.storage, self.sampler, self.faults)


def _open(storage: object) -> tuple[ProfileStorage | None, bool]:
    """Return the store, and whether it was opened here."""
    if storage is None:
        return None, False
    if isinstance(storage, ProfileStorage):
        storage.check_writable()
        return storage, False
    try:
        store = open_storage(os.fspath(cast("str", storage)))
    except ConfigurationError as error:
        raise ConfigurationError(f"storage (or PROFKIT_STORAGE): {error}") from None
    store.check_writable()
    return store, True


def _say_how_to_turn_on() -> None:
    log(
        logging.INFO,
        "profkit counts operations but keeps no profiles: "
        "call profkit.configure(storage=...) or set PROFKIT_STORAGE",
    )


def _refuse_free_threading() -> None:
    if not getattr(sys, "_is_gil_enabled", lambda: True)():
        raise ConfigurationError("profkit does not run on a free-threaded Python: start it with PYTHON_GIL=1")
