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

    `around` are the numbers of the operations it ran inside, `missing` those of them that were slow.
    """

    profile: Profile
    nested: bool
    around: frozenset[int] = frozenset()
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
    known = OuterSpans()
    waiting: deque[Profile] = deque()
    for newest in profiles:
        known.add(newest)
        waiting.append(newest)
        while newest.start_ns - waiting[0].start_ns > JITTER_NS or len(waiting) > _MAX_WAITING:
            yield _place(known, waiting.popleft())
    for profile in waiting:
        yield _place(known, profile)


def _place(known: OuterSpans, profile: Profile) -> Placed:
    around = frozenset(around.number for around in profile.enclosing) - {profile.number}
    if known.hold(process_of(profile), around, profile.start_ns, end_ns(profile)):
        return Placed(profile, nested=True)
    slow = frozenset(around.number for around in profile.enclosing if around.slow)
    return Placed(profile, nested=False, around=around, missing=slow & around)


class OuterSpans:
    """From when to when operations lasted that may have others inside them. Bounded: the oldest go first."""

    def __init__(self) -> None:
        self._spans: dict[tuple[Process, int], tuple[int, int]] = {}

    def add(self, profile: Profile) -> None:
        """Note an operation. They come in order of start."""
        if not profile.number:
            return
        if len(self._spans) >= _MAX_OUTER:
            self._forget(profile.start_ns - 2 * JITTER_NS)
        self._spans[process_of(profile), profile.number] = profile.start_ns, end_ns(profile)

    def merge(self, later: OuterSpans) -> None:
        """Take over those of a later stretch of time."""
        self._spans.update(later._spans)
        if len(self._spans) > _MAX_OUTER:
            self._forget(max(start for start, _ in self._spans.values()) - 2 * JITTER_NS)

    def hold(self, process: Process, numbers: frozenset[int], start_ns: int, until_ns: int) -> bool:
        """Tell whether what lasted from `start_ns` to `until_ns` in `process` ran inside one of these `numbers`."""
        for number in numbers:
            span = self._spans.get((process, number))
            if span and span[0] - JITTER_NS <= start_ns and until_ns <= span[1] + JITTER_NS:
                return True
        return False

    def _forget(self, until: int) -> None:
        """Forget those that had ended; where that is less than a half, the oldest as well."""
        self._spans = {key: span for key, span in self._spans.items() if span[1] >= until}
        for key in list(self._spans)[: len(self._spans) - _MAX_OUTER // 2]:
            del self._spans[key]
