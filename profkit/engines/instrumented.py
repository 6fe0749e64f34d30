"""An operation that pyinstrument's engine looks at, as far as it can; else, and besides, the watchdog does."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from profkit.engines.session import Session
from profkit.operations import Operation, Watcher
from profkit.tallies import Tally

if TYPE_CHECKING:
    from profkit.profiler import PerformanceProfiler
    from profkit.sampling.recording import Recording

_GENERATOR = "a generator stands still between its steps"


class Instrumented(Operation):
    """An operation with a session of pyinstrument's engine from its beginning to its end.

    The watchdog goes on recording it, so that it is listed, and told of when it stalls. `recording` is the watchdog's
    until the operation has ended, then that of the session if the session is sound. If it is not, the operation has a
    tag `engine_fallback` with the reason, and the profiler's faults count it.
    """

    __slots__ = ("_measured", "_session", "_watched")
    _session: Session | None
    """While it samples;"""
    _measured: Session | None
    """when it has sampled the whole operation."""
    _watched: Recording | None
    """What the watchdog saw."""

    def __init__(self, profiler: Watcher, tally: Tally) -> None:
        super().__init__(profiler, tally)
        self._session = None

    if not TYPE_CHECKING:  # to read and to write as the slot of the same name

        @property
        def recording(self) -> Recording | None:
            return self._watched if self._measured is None else self._measured.recording(self._watched)

        @recording.setter
        def recording(self, recording: Recording | None) -> None:
            self._watched = recording
            if recording is None:
                self._measured = None

    def begin(self, root: int) -> None:
        super().begin(root)
        profiler = cast("PerformanceProfiler", self.profiler)
        # Known before it starts: an exception of a signal handler may come in the midst of that.
        self._session = session = Session(self, profiler)
        try:
            reason = session.start()
        except BaseException:  # of a signal handler: a block that is not entered is not left
            self._stop()
            raise
        if reason:
            self._fall_back(reason)

    def pause(self) -> None:
        self._stop(_GENERATOR)
        super().pause()

    def end(self) -> None:
        try:
            self._stop()
        finally:
            super().end()

    def take_back(self) -> None:
        try:
            self._stop()
        finally:
            super().take_back()

    def settle(self, profiler: Watcher, elapsed: float) -> None:
        self._measured, self._session = self._session, None
        super().settle(profiler, elapsed)

    def _stop(self, reason: str = "") -> None:
        if self._session is not None:
            reason = self._session.stop() or reason
            if reason:
                self._fall_back(reason)

    def _fall_back(self, reason: str) -> None:
        self._session = None
        self.tag(engine_fallback=reason)
        profiler = cast("PerformanceProfiler", self.profiler)
        profiler.faults.add("engine_fallback", f"{self.tally.name}: {reason}")
