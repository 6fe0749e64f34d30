"""What profilers do when their process forks or ends."""

from __future__ import annotations

import atexit
import os
import sys
import weakref
from typing import Protocol

from profkit import live_requests
from profkit.sampling import greenlets, switches
from profkit.sampling.origins import locate
from profkit.sampling.threads import WatchedThread, this


class Hooked(Protocol):
    """A profiler, as far as its process is concerned."""

    def after_fork(self) -> None:
        """Begin anew in a child."""
        ...

    def shutdown(self) -> bool:
        """Store what is queued and stop."""
        ...


_hooked: weakref.WeakSet[Hooked] = weakref.WeakSet()
_finalizers: list[object] = []


def add(profiler: Hooked) -> None:
    """See to it that `profiler` stores what it has before the process ends, and begins anew in a forked child."""
    _hooked.add(profiler)


def prepare() -> None:
    """Make the process ready for a profiler that begins to watch."""
    greenlets.follow()
    locate("")  # imports something: a child that is forked in the midst of that would wait for ever
    _store_at_the_end_of_a_child()


def _store_at_the_end_of_a_child() -> None:
    """Store what there is in a child of multiprocessing too, which ends without the interpreter's exit functions."""
    util = sys.modules.get("multiprocessing.util")
    if util is not None and not _finalizers:
        _finalizers.append(util.Finalize(None, _shut_down, exitpriority=-100))


def _shut_down() -> None:
    for profiler in list(_hooked):
        profiler.shutdown()


def _begin_anew() -> None:
    _finalizers.clear()
    greenlets.reset()
    switches.forget()
    live_requests.forget()
    this.thread = WatchedThread()  # the parent's clock is none of ours
    for profiler in list(_hooked):
        profiler.after_fork()
    util = sys.modules.get("multiprocessing.util")
    if util is not None:  # which first forgets what is to be done at the exit, and then calls this
        util.register_after_fork(_hooked, lambda _hooked: _store_at_the_end_of_a_child())  # pyright: ignore[reportUnknownLambdaType]


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_begin_anew)
atexit.register(_shut_down)
