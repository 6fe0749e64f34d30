"""Whether the sampler, when it woke, had to take the GIL from a thread that was running.

A thread that wants the GIL waits for one switch interval, and if nobody has let go of it by then asks for it, and waits
again. Each wait is a voluntary context switch, which the kernel counts: one for the sleep, a second if the GIL was
held, a third if it had to be asked for. Unlike the time it took, that is the same on a crowded machine. 0.7 us.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial
from time import perf_counter

try:
    import resource
except ImportError:  # Windows
    _usage: Callable[[], resource.struct_rusage] | None = None
else:
    _thread = getattr(resource, "RUSAGE_THREAD", None)  # Linux; elsewhere the time has to do
    _usage = None if _thread is None else partial(resource.getrusage, _thread)

_TAKEN = 3
"""Context switches of a sleep after which the GIL was taken from a thread."""
_LATE = 0.9
"""The part of a switch interval after which it was, where switches are not counted."""


class GilWait:
    """Made before a sleep of `seconds`; `was_taken` is asked after it."""

    __slots__ = ("_due", "_switches")

    def __init__(self, seconds: float) -> None:
        self._due = perf_counter() + seconds
        self._switches = _switches()

    def was_taken(self) -> bool:
        """Tell whether some thread was running when the sleep was over, and had the GIL taken from it."""
        if _usage is None:
            return perf_counter() - self._due >= _LATE * sys.getswitchinterval()
        return _switches() - self._switches >= _TAKEN


def _switches() -> int:
    return 0 if _usage is None else _usage().ru_nvcsw
