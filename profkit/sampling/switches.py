"""Which greenlet a thread runs where a part of its work has one, as on SQLAlchemy's asyncio side.

No frame links the stack of such a greenlet to that of its parent, which it was switched to from, and only the thread
itself knows what it runs. So it notes each switch, for 0.5 us, from when a stack was first seen that hangs in the air.
Under gevent every greenlet has operations of its own instead, see `greenlets`.
"""

from __future__ import annotations

import gc
import sys
import weakref
from collections.abc import Iterator
from contextlib import suppress
from importlib import import_module
from time import perf_counter
from types import CoroutineType, FrameType
from typing import TYPE_CHECKING, Any

from profkit.sampling import real

if TYPE_CHECKING:
    from profkit.sampling.threads import WatchedThread

SPAWNING = "greenlet_spawn"
"""SQLAlchemy's coroutine that runs a function in a greenlet, and awaits what that has to wait for."""
_AGAIN_AFTER = 1.0
"""Seconds after which a thread is told again: the application may have set a trace function of its own."""

_running: dict[int, weakref.ref[Any]] = {}
"""By the ident of each thread that notes its switches the greenlet it runs."""


def follow(thread: WatchedThread) -> None:
    """Have a thread note its switches from now on, if greenlets are in use; its event loop tells it to."""
    loop = thread.loop
    if loop is None or "greenlet" not in sys.modules or real.is_patched():
        return
    now = perf_counter()
    if now < thread.notes_switches + _AGAIN_AFTER:
        return
    thread.notes_switches = now
    with suppress(Exception):  # a loop that is being closed, or of somebody's own making
        loop.call_soon_threadsafe(note_switches)


def forget() -> None:
    """Forget the threads of the parent in a forked child."""
    _running.clear()


def note_switches() -> None:
    """Have the calling thread note its switches; what traced them before goes on doing so."""
    greenlet = import_module("greenlet")  # no extra of ours: whoever uses it has it
    ident, before = real.ident(), greenlet.gettrace()
    if getattr(before, "__module__", "") == __name__:
        return

    def note(event: str, switched: tuple[Any, Any]) -> None:
        _running[ident] = weakref.ref(switched[1])
        if before is not None:
            before(event, switched)

    greenlet.settrace(note)


def parents(ident: int) -> Iterator[FrameType]:
    """Yield the innermost frame of each greenlet that waits for the one which a thread runs, the nearest first."""
    running = _running.get(ident)
    greenlet = None if running is None else running()
    if greenlet is None or greenlet.dead or greenlet.gr_frame is not None:  # it has just been switched from
        return
    while (greenlet := greenlet.parent) is not None:
        if greenlet.gr_frame is not None:
            yield greenlet.gr_frame


def suspended(coroutine: CoroutineType[Any, Any, Any]) -> list[FrameType]:
    """Return the frames, outermost first, of the greenlet that a suspended coroutine named `SPAWNING` runs."""
    frames: list[FrameType] = []
    kind = getattr(sys.modules.get("greenlet"), "greenlet", None)
    for local in gc.get_referents(coroutine):  # its local variables
        # By their type alone: to ask one for an attribute might run its code.
        frame = local.gr_frame if kind is not None and issubclass(type(local), kind) else None
        while isinstance(frame, FrameType):
            frames.append(frame)
            frame = frame.f_back
    frames.reverse()
    return frames
