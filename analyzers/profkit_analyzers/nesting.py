"""Which slow operations ran inside another one that is looked at as well.

Both have a profile, and the inner one's seconds are in the outer one's too. A profile has the numbers of the operations
it ran inside, and a number tells an operation from all others of its process. Since a process id comes back after a
while, the outer one's span has to hold the inner one's as well.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from profkit_storage import Profile

JITTER_NS = 50_000_000
"""Start times are made of two clocks that are read one after the other."""
_MAX_WAITING = 1_000
_MAX_OUTER = 100_000

Process = tuple[str, str, int]


class Placed(NamedTuple):
    """A profile; whether it is `nested` in another of those looked at; and if not, what it may have been nested in.

    `missing` are the numbers of the slow operations it ran inside, none of which is looked at.
    """

    profile: Profile
    nested: bool
    missing: frozenset[int] = frozenset()


def process_of(profile: Profile) -> Process:
    """Return what tells a process from others, as long as its id is not given to a new one."""
    return profile.service, profile.host, profile.pid


def end_ns(profile: Profile) -> int:
    """Return when the operation ended, as `start_ns` tells when it started."""
    return profile.start_ns + round((profile.wall + profile.paused) * 1e9)


def placed(profiles: Iterable[Profile]) -> Iterator[Placed]:
    """Yield each profile and what it ran inside. They come and go in order of start.

    A few are held back, those within the jitter of the newest: an outer operation may be listed after its inner one.
    """
    known = _Outer()
    waiting: deque[Profile] = deque()
    for newest in profiles:
        known.add(newest)
        waiting.append(newest)
        while newest.start_ns - waiting[0].start_ns > JITTER_NS or len(waiting) > _MAX_WAITING:
            yield known.place(waiting.popleft())
    for profile in waiting:
        yield known.place(profile)


class _Outer:
    """The spans of the operations that may still have others inside them."""

    def __init__(self) -> None:
        self._spans: dict[tuple[Process, int], tuple[int, int]] = {}

    def add(self, profile: Profile) -> None:
        if not profile.number:
            return
        if len(self._spans) >= _MAX_OUTER:
            self._forget(profile.start_ns - 2 * JITTER_NS)
        self._spans[process_of(profile), profile.number] = profile.start_ns, end_ns(profile)

    def _forget(self, until: int) -> None:
        """Forget those that had ended; where that is less than a half, the oldest as well."""
        self._spans = {key: span for key, span in self._spans.items() if span[1] >= until}
        for key in list(self._spans)[: len(self._spans) - _MAX_OUTER // 2]:
            del self._spans[key]

    def place(self, profile: Profile) -> Placed:
        if any(self._holds(profile, around.number) for around in profile.enclosing):
            return Placed(profile, nested=True)
        return Placed(
            profile,
            nested=False,
            missing=frozenset(around.number for around in profile.enclosing if around.slow),
        )

    def _holds(self, profile: Profile, number: int) -> bool:
        span = self._spans.get((process_of(profile), number))
        if span is None or number == profile.number:
            return False
        return span[0] - JITTER_NS <= profile.start_ns and end_ns(profile) <= span[1] + JITTER_NS
