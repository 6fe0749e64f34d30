"""The interpreter's switch interval: shortened while operations are in flight, so that short bursts can be seen.

A thread that wants the GIL waits for one switch interval before the other is made to let go; until then it gets it only
where the other blocks. With the usual 5 ms a sampler sees nothing of bursts shorter than that (notes and figures:
benchmarks/RESULTS.md).
"""

from __future__ import annotations

import sys

from profkit.sampling import real

USUAL = 0.005
"""The interpreter's own. Where it is another, the application has set it, and it is left alone."""
_lock = real.lock()
_shortened: dict[object, float] = {}


def shorten(owner: object, seconds: float) -> None:
    """Have the shorter interval from now on, if the application has not chosen one; 0 leaves it as it is."""
    with _lock:
        if owner in _shortened or not seconds:
            return
        if not _shortened and not _is_now(USUAL):
            return
        _shortened[owner] = seconds
        sys.setswitchinterval(min(_shortened.values()))


def restore(owner: object) -> None:
    """Have the usual one again, unless another owner needs the shorter one or the application has set its own."""
    with _lock:
        seconds = _shortened.pop(owner, None)
        if seconds is None:
            return
        if _is_now(min([seconds, *_shortened.values()])):
            sys.setswitchinterval(min(_shortened.values(), default=USUAL))


def lengthen(owner: object) -> bool:
    """Have the usual one for a stretch; False if it was not shortened, or the application has chosen one since."""
    with _lock:
        shortened = owner in _shortened and _is_now(min(_shortened.values()))
        if shortened:
            sys.setswitchinterval(USUAL)
        return shortened


def again(owner: object) -> None:
    """Have the shorter one again after that stretch, if the application has not chosen another."""
    if owner in _shortened and _is_now(USUAL):
        sys.setswitchinterval(min(_shortened.values(), default=USUAL))


def reset() -> None:
    """Have the usual one in a forked child, where the lock may be held by nobody."""
    global _lock  # noqa: PLW0603 - as old as the process
    _lock = real.lock()
    for owner in list(_shortened):
        restore(owner)


def _is_now(seconds: float) -> bool:
    return abs(sys.getswitchinterval() - seconds) < 1e-6  # the interpreter has it in whole microseconds
