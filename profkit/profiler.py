"""PerformanceProfiler: watches operations, and turns the slow ones into stored profiles."""

from __future__ import annotations

import asyncio
import importlib
import itertools
import logging
import math
import os
import sys
import threading
from collections.abc import Callable, Iterable
from typing import ParamSpec, TypeVar, cast, overload

from profkit import handover, process_hooks
from profkit.config import Settings, check_threshold
from profkit.counts import Stats
from profkit.engines import WATCHDOG, kind_of
from profkit.faults import Faults, log
from profkit.inflight import InFlight, list_in_flight
from profkit.masking import masker
from profkit.operations import Operation, named
from profkit.process_capture import ProcessCapture
from profkit.recorder.intake import Intake
from profkit.recorder.keeper import Keeper
from profkit.recorder.recorder import Recorder
from profkit.recorder.rollup_writer import RollupWriter
from profkit.recorder.spooling import check_spool, with_spool
from profkit.rollups import Rollups
from profkit.sampling import pauses, switching
from profkit.sampling.sampler import Sampler
from profkit.wrappers import name_of, wrap
from profkit_storage import (
    ConfigurationError,
    Profile,
    ProfileStorage,
    ProfkitError,
    S3Storage,
    StoreUnavailable,
    open_storage,
)
from profkit_storage.spooled import SpooledStorage

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
        self.sampler = Sampler(self.registry, self.faults, self._after_tick)
        self.active = False
        self._changing = threading.RLock()
        self._applying = threading.RLock()
        self._asked = False
        self._recorded_before = self._rollups_stored_before = 0
        self._unwatched = itertools.count()
        self._unwatched_read = 0
        self._process_capture = ProcessCapture(self.sampler)
        self._recorder: Recorder | None = None
        self._closes_storage = False
        self.settings = Settings()
        self._intake = Intake(self.settings, self.faults)
        self._apply(self.settings)
        process_hooks.add(self)
        if settings is not None:
            self.configure(settings)

    @property
    def storage(self) -> ProfileStorage | None:
        """Where profiles go."""
        storage = self._recorder.keeper.storage if self._recorder else None
        return storage.storage if isinstance(storage, SpooledStorage) else storage

    @property
    def enabled(self) -> bool:
        """Whether operations that begin are watched. It can be set, and acts at once; what is in flight goes on."""
        return self.settings.enabled

    @enabled.setter
    def enabled(self, enabled: bool) -> None:
        with self._applying:
            self._apply(self.settings.changed(enabled=enabled))
            self._watch()

    def configure(self, settings: Settings | None = None, **arguments: object) -> None:
        """Begin to watch, by settings, or by arguments first and `PROFKIT_*` variables second.

        Raises:
            ConfigurationError: a setting or the storage's address is not allowed; names what is.
            StorageError: profiles cannot be written there, or not to the `spool` that is given.
        """
        if settings is not None and (arguments or not isinstance(cast("object", settings), Settings)):
            raise ConfigurationError("give one Settings, or arguments such as storage=..., not both")
        _refuse_free_threading()
        settings = settings or Settings.from_env(None, **arguments)
        storage, opened = _open(settings.storage, self.faults, spools=settings.spool != "off")
        try:
            check_spool(storage, settings)
        except BaseException:
            if opened and storage is not None:
                storage.close()
            raise
        with self._changing:
            self._asked = True
            self._close(settings.shutdown_timeout)
            with self._applying:
                self._apply(settings)
                self._record_to(storage)
                self._closes_storage = opened
                self._watch()
            if self.registry:  # they go on being watched
                self.sampler.wake()
            process_hooks.prepare()
        if settings.enabled and not self.active:
            _say_how_to_turn_on()

    def set_threshold(self, seconds: float | None, name: str | None = None) -> None:
        """Change from how long on operations are slow: all of them, or those of a name or category.

        It acts at once, also on what is in flight, until `configure` is called again. None takes back what was set for
        a name.

        Raises:
            ConfigurationError: `seconds` is not allowed.
        """
        with self._applying:
            if name is None:
                changed = self.settings.changed(threshold=seconds)
            else:
                thresholds = {**self.settings.thresholds, name: cast("float", seconds)}
                if seconds is None:
                    del thresholds[name]
                changed = self.settings.changed(thresholds=thresholds)
            self._apply(changed)

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
        self,
        name: str | None = None,
        /,
        *,
        category: str = "",
        threshold: float | None = None,
        engine: str = WATCHDOG,
    ) -> Callable[[Callable[P, R]], Callable[P, R]]: ...

    def profile(
        self,
        target: Callable[P, R] | str | None = None,
        /,
        *,
        category: str = "",
        threshold: float | None = None,
        engine: str = WATCHDOG,
    ) -> Callable[P, R] | Callable[[Callable[P, R]], Callable[P, R]]:
        """Decorate a function, coroutine function or generator: each call of it is an operation.

        Args:
            target: the operation's name, by default the function's qualified name.
            category: agent, db, llm, serialization, http, or a word of your own.
            threshold: seconds from which a call leaves a profile, by default that of the settings.
            engine: what looks at a call: "watchdog", or "pyinstrument" for its own engine, whose hook
                sees calls begin and end, at a price for each of them.

        Raises:
            ConfigurationError: an argument is not allowed, or what is decorated cannot be an operation.
        """
        check_threshold(threshold)
        if target == "":
            raise ConfigurationError("name='' is not allowed: give a text that is not empty, or none")
        name = named(target) if isinstance(target, str) else None
        kind, known_as = kind_of(engine), _category(category)

        def decorate(function: Callable[P, R]) -> Callable[P, R]:
            tally = self.rollups.tally(name or name_of(function), known_as, threshold)
            return wrap(self, function, tally, kind)

        return decorate if target is None or isinstance(target, str) else decorate(target)

    def operation(
        self,
        name: str,
        /,
        *,
        category: str = "",
        threshold: float | None = None,
        engine: str = WATCHDOG,
        **tags: object,
    ) -> Operation:
        """Return an operation to enter by `with` or `async with`; `tags` are kept on its profile.

        Raises:
            ConfigurationError: an argument is not allowed.
        """
        check_threshold(threshold)
        # The comparison saves a call of the hot path.
        kind = Operation if engine == WATCHDOG else kind_of(engine)
        operation = kind(self, self.rollups.tally(named(name), _category(category), threshold))
        if tags:
            operation.tags = tags
        return operation

    def finish(self, operation: Operation) -> None:
        """Take over an operation that has ended. Called on the application's side: constant time, never raises."""
        self._intake.finish(operation)

    def capture(
        self,
        seconds: float,
        *,
        scope: str = "process",
        stop: threading.Event | None = None,
        partial: bool = True,
        loops: Iterable[asyncio.AbstractEventLoop] = (),
    ) -> Profile:
        """Record every thread and task of the process for `seconds`, or until `stop` is set.

        Whether an operation is in flight or not; stored too if there is a store, one that `stop` ended only if
        `partial`. Blocks: call it from a thread. The suspended tasks are those of `loops`, by default of all event
        loops. `scope` is "process", there is no other.

        Raises:
            CaptureBusy: another capture is going on.
            ConfigurationError: `seconds` is not from 0.05 to 60, or the scope is another.
        """
        if scope != "process":
            raise ConfigurationError(f'scope={scope!r} is not allowed: give "process"')
        profile = self._process_capture.record(seconds, self.settings, stop, loops)
        recorder = self._recorder
        whole = stop is None or not stop.is_set()
        if recorder is not None and (whole or partial) and not recorder.submit(profile):
            self.faults.add("queue_full", profile.operation)
        return profile

    def stats(self) -> Stats:
        """Return counts since the start: operations, and what became of them, and every loss with its reason.

        Of the `slow` ones those that are `kept` have a profile, and `dropped` tells why others have none; the rest is
        `queued`. `over_limit` counts what else would have been kept, by trigger. `recorded` are all profiles.
        """
        unwatched = next(self._unwatched) - self._unwatched_read
        self._unwatched_read += 1
        recorder, totals = self._recorder, self.rollups.totals()
        if recorder is not None:
            recorder.tell()
        return {
            "active": self.active,
            "operations": totals.calls + unwatched,
            "in_flight": len(self.registry),
            "errors": totals.errors,
            "slow": totals.slow,
            "kept": totals.kept,
            "dropped": totals.dropped,
            "over_limit": self._intake.policy.over_limit(),
            "recorded": self._recorded_before + (recorder.keeper.recorded if recorder else 0),
            "rollups_stored": self._rollups_stored_before + (recorder.rollups.stored if recorder else 0),
            "queued": recorder.queued if recorder else 0,
            "queued_bytes": recorder.queued_bytes if recorder else 0,
            "spool": recorder.keeper.spool_counts() if recorder else None,
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
        """Wait until what has ended is stored, and rollups of it; False if `timeout` seconds were not enough."""
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
        # Only operations that last so long are told of at their end.
        ask_from = 0.0 if settings.control_rate else (settings.stall_after or math.inf)
        self.rollups.set_limits(settings.threshold, settings.thresholds, ask_from)
        self._intake.apply(settings)
        self.max_children = settings.max_children
        self.keep_errors = settings.keep_errors
        self.sampler.interval = settings.interval
        self.sampler.max_samples = settings.max_samples
        self.sampler.max_overhead = settings.max_overhead
        self.sampler.switch_interval = settings.switch_interval

    def _watch(self) -> None:
        """Begin to watch, or end it, as the settings and what there is to record to say."""
        keeps = self.storage is not None or self.settings.on_profile is not None
        recorder = self._recorder
        self.active = self.settings.enabled and keeps and recorder is not None
        if self.active and recorder is not None:
            handover.install()
            pauses.install()
            _import_now()
            recorder.tend()  # its thread is begun by whoever configures, who can wait for it

    def _record_to(self, storage: ProfileStorage | None) -> None:
        settings, sampler, faults = self.settings, self.sampler, self.faults
        storage = with_spool(storage, settings, faults)
        keeper = Keeper(settings, storage, sampler, faults, self._intake.number, self._intake.lose)
        rollups = RollupWriter(self.rollups, settings, storage, faults)
        self._recorder = self._intake.recorder = Recorder(settings, keeper, rollups, sampler, faults)

    def _after_tick(self) -> None:
        self.rollups.drain()
        recorder = self._recorder
        if recorder is not None:
            recorder.tend(counting=self.rollups.counting)
            self._intake.look(self.registry)

    def _close(self, timeout: float) -> bool:
        recorder, self._recorder = self._recorder, None
        self._intake.recorder = None
        if recorder is None:
            return True
        self.active = False
        done = recorder.stop(timeout)
        self._recorded_before += recorder.keeper.recorded
        self._rollups_stored_before += recorder.rollups.stored
        storage = recorder.keeper.storage
        if self._closes_storage and storage is not None:
            storage.close()
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
            operation.started = operation.ended = float("inf")  # the parent's to report: never slow here
        self.registry.clear()
        switching.reset()
        self.sampler.reset()
        self.rollups.reset()
        self._changing = threading.RLock()
        self._applying = threading.RLock()
        self._process_capture.reset()
        self.faults.reset()
        self._intake.reset()
        if self._recorder is not None:
            self._record_to(self.storage)


def _open(storage: object, faults: Faults, *, spools: bool) -> tuple[ProfileStorage | None, bool]:
    """Return the store, and whether it was opened here.

    One that cannot be reached just now is no reason not to start, if there is a spool to go on with.
    """
    if storage is None:
        return None, False
    if isinstance(storage, ProfileStorage):
        try:
            storage.check_writable()
        except StoreUnavailable as error:
            if not spools:
                raise
            faults.add("store_failed", masker.mask_error(error))
        return storage, False
    address = os.fspath(cast("str", storage))
    try:
        return open_storage(address), True
    except StoreUnavailable as error:
        if not spools:
            raise
        faults.add("store_failed", masker.mask_error(error))
        return S3Storage(address, check=False), True
    except ConfigurationError as error:
        raise ConfigurationError(f"storage (or PROFKIT_STORAGE): {error}") from None


def _import_now() -> None:
    """Import what is not needed before the first profile, but must not be in the middle of it when a process forks.

    The child would wait for ever for the thread that began it. Not at the top: it is a sixth of the import time.
    """
    importlib.import_module("importlib.metadata")


def _category(category: object) -> str:
    """Return a printable text, as `named` does, but for an empty one."""
    if category is None:
        return ""
    return category if isinstance(category, str) and category.isprintable() else named(category)


def _say_how_to_turn_on() -> None:
    log(
        logging.INFO,
        "profkit counts operations but keeps no profiles: "
        "call profkit.configure(storage=...) or set PROFKIT_STORAGE",
    )


def _refuse_free_threading() -> None:
    if not getattr(sys, "_is_gil_enabled", lambda: True)():
        raise ConfigurationError("profkit does not run on a free-threaded Python: start it with PYTHON_GIL=1")
