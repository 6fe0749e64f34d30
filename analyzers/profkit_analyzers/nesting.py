"""Which slow operations ran inside another one that is looked at as well.

Both have a profile, and the inner one's seconds are in the outer one's too. The outer one knows its child operations
with their times from the same clock, so an inner one's profile has the child's name, its wall time to the microsecond,
and its start up to the jitter of two clocks that are read one after the other.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator

from profkit_storage import Profile

_JITTER_NS = 50_000_000
_MAX_WAITING = 1_000
_MAX_CHILDREN = 100_000
_SHORTEST = 0.01
"""Seconds: shorter children are not remembered, since nobody calls them slow."""

_Key = tuple[str, str, int, str, int]


def with_nesting(profiles: Iterable[Profile]) -> Iterator[tuple[Profile, bool]]:
    """Yield each profile, and whether it ran inside another of them. They come and go in order of start.

    A few are held back, those within the jitter of the newest: an outer operation may be listed after its inner one.
    """
    known = _Children()
    waiting: deque[Profile] = deque()
    for newest in profiles:
        known.add(newest)
        waiting.append(newest)
        while newest.start_ns - waiting[0].start_ns > _JITTER_NS or len(waiting) > _MAX_WAITING:
            profile = waiting.popleft()
            yield profile, known.has(profile)
    for profile in waiting:
        yield profile, known.has(profile)


class _Children:
    """Child operations of the profiles seen so far: by what their own profiles must look like, (start, parent's id)."""

    def __init__(self) -> None:
        self._known: dict[_Key, tuple[int, str]] = {}

    def add(self, profile: Profile) -> None:
        for child in profile.children:
            wall = child.end - child.start
            if wall >= _SHORTEST:
                start = profile.start_ns + round(child.start * 1e9)
                self._known[_key(profile, child.name, round(wall * 1e6))] = start, profile.id
        while len(self._known) > _MAX_CHILDREN:
            del self._known[next(iter(self._known))]

    def has(self, profile: Profile) -> bool:
        """Tell whether `profile` is one of them; a recursive operation is not its own child."""
        microseconds = round(profile.wall * 1e6)
        for wall in range(microseconds - 1, microseconds + 2):
            start, parent = self._known.get(_key(profile, profile.operation, wall), (0, profile.id))
            if parent != profile.id and abs(start - profile.start_ns) <= _JITTER_NS:
                return True
        return False


def _key(profile: Profile, operation: str, microseconds: int) -> _Key:
    return profile.service, profile.host, profile.pid, operation, microseconds
