"""Greenlets: where gevent has patched the process, each is to its operations what a thread is elsewhere.

They share a thread and its clock. One that is suspended is in no thread's stack, it keeps its frames itself; when it is
ready to go on, nothing tells, so a suspended one always counts as waiting.
"""

from __future__ import annotations

import math
import weakref
from collections.abc import Callable
from importlib import import_module
from types import FrameType
from typing import TYPE_CHECKING, Any, cast

from profkit.sampling import real
from profkit.sampling.threads import Clocks, ThisThread, WatchedThread, this


class WatchedGreenlet(WatchedThread):
    """A greenlet that has run an operation; made by that greenlet itself. The clocks are its thread's."""

    __slots__ = ("_thread", "greenlet")

    def __init__(self, thread: WatchedThread, greenlet: object) -> None:
        self._thread = thread
        self.greenlet = weakref.ref(greenlet)
        self.ident = thread.ident
        self.loop = self.branch = self.hold = None
        self.use = thread.use
        self.notes_switches = math.inf

    def read(self, tick: int, process: float) -> float | None:
        return self._thread.read(tick, process)

    def runs_now(self, shortest: float) -> bool:
        return self._thread.runs_now(shortest)

    if not TYPE_CHECKING:  # attributes of the thread

        @property
        def cpu(self) -> float | None:
            return self._thread.cpu

        @property
        def now(self) -> Clocks:
            return self._thread.now

        @property
        def before(self) -> Clocks:
            return self._thread.before


class _ThisGreenlet(ThisThread):
    """`this`, once greenlets are told apart."""

    if not TYPE_CHECKING:

        @property
        def thread(self) -> WatchedGreenlet:
            greenlet = _current()
            found = _watched.get(greenlet)
            if found is None:
                found = _watched[greenlet] = WatchedGreenlet(self.__dict__["thread"], greenlet)
            return found

        @thread.setter
        def thread(self, thread: WatchedThread) -> None:
            self.__dict__["thread"] = thread  # a dictionary for each thread


_watched: weakref.WeakKeyDictionary[object, WatchedGreenlet] = weakref.WeakKeyDictionary()
_current: Callable[[], object]


def follow() -> None:
    """Tell greenlets apart from now on, if gevent has patched the process; nobody else pays for it."""
    global _current  # noqa: PLW0603 - as the class of `this`
    if real.is_patched():
        _current = import_module("greenlet").getcurrent
        this.__class__ = _ThisGreenlet


def reset() -> None:
    """Forget them in a forked child, whose threads have other clocks."""
    _watched.clear()


def suspended_frame(thread: WatchedThread) -> FrameType | None:
    """Return the innermost frame of a greenlet, None if it is running or has ended."""
    greenlet = cast("Any", thread.greenlet and thread.greenlet())
    frame: FrameType | None = getattr(greenlet, "gr_frame", None)
    return frame
