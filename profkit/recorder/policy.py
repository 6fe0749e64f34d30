"""Which finished operations become profiles, and how many each of them stands for."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable
from random import Random
from time import monotonic

from profkit.config import Settings
from profkit.operations import Operation
from profkit.sampling import real
from profkit.tallies import Tally
from profkit_storage import Status, Trigger

_MAX_NAMES = 10_000
_MINUTE = 60.0
_AT_ONCE = 100


class Policy:
    """Chooses why an operation is kept, if it is, and counts the slow ones dropped since the last one of its kind.

    Slow ones that ran inside another slow one count apart: analysis leaves them to the outer one, with all they stand
    for. Each trigger has the limits for itself, so that a storm of errors leaves room for what is slow.

    Every method takes constant time, and may be called from any thread.
    """

    def __init__(self, settings: Settings, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._random = Random()  # noqa: S311 - no secret; one of its own: the application may have seeded the other
        self.apply(settings)
        self.reset()

    def reset(self) -> None:
        """Start over: at first, and in a forked child, where the lock may be held by nobody."""
        self._lock = real.rlock()  # a finalizer may come in between, and may be an operation
        self._dropped: dict[tuple[str, bool], float] = {}
        self._kept = {trigger: _LastMinute() for trigger in Trigger}
        self._kept_inside = {trigger: _LastMinute() for trigger in Trigger}
        self._over_limit: Counter[str] = Counter()

    def apply(self, settings: Settings) -> None:
        """Choose by these settings from now on."""
        self._keep_errors = settings.keep_errors
        self._control_rate = settings.control_rate
        self._of_one = settings.max_profiles_per_operation
        self._of_all = settings.max_profiles

    def trigger(self, operation: Operation, tally: Tally, *, stalled: bool) -> Trigger | None:
        """Return why an operation that has ended is worth keeping; None if it is not.

        `stalled`: it has left a profile while it was running.
        """
        if operation.ended - operation.started >= tally.slow_from:
            return Trigger.SLOW
        if self._keep_errors and operation.status is Status.ERROR:
            return Trigger.ERROR
        if stalled:
            return Trigger.STALLED
        if self._control_rate and self._random.random() < self._control_rate:
            return Trigger.CONTROL
        return None

    def admit(self, trigger: Trigger, name: str, *, inside: bool = False) -> str:
        """Return "" if one more may be kept this minute, and count it; else the name of the setting that forbids it.

        Those inside another slow one end before it, and get half of the places at most: else the request that is slow
        would find none, and its steps have them all.
        """
        part = 2 if inside else 1
        with self._lock:
            kept = self._kept_inside[trigger] if inside else self._kept[trigger]
            refusal = kept.admit(name, self._clock(), self._of_one, self._of_all, part)
            if inside and not refusal:
                refusal = self._kept[trigger].admit(name, self._clock(), self._of_one, self._of_all)
                if refusal:
                    kept.take_back(name)
            if refusal and trigger is not Trigger.SLOW:
                self._over_limit[trigger] += 1
        return refusal

    def take_back(self, trigger: Trigger, name: str, *, inside: bool = False) -> None:
        """Note that one that was admitted was not kept after all."""
        with self._lock:
            self._kept[trigger].take_back(name)
            if inside:
                self._kept_inside[trigger].take_back(name)

    def dropped(self, name: str, weight: float, *, inside: bool) -> None:
        """Note that a slow operation of this weight was not kept: the next one of its kind stands for it too."""
        key = (name, inside)
        with self._lock:
            if key in self._dropped or len(self._dropped) < _MAX_NAMES:
                self._dropped[key] = self._dropped.get(key, 0.0) + weight

    def weigh(self, name: str, *, inside: bool) -> float:
        """Return the weight of one that is kept: 1 and the dropped ones it stands for."""
        with self._lock:
            return 1.0 + self._dropped.pop((name, inside), 0.0)

    def over_limit(self) -> dict[str, int]:
        """Return how many that were not slow were refused by `admit`, by trigger; rollups tell of the slow ones."""
        with self._lock:
            return dict(self._over_limit)


class _LastMinute:
    """What was kept within the last 60 s.

    The times themselves are known, so there are never more in any 60 s: a bucket that fills up, or a window that begins
    at the full minute, lets up to twice as many pass. It costs as many entries as profiles are kept, not as there are
    names.
    """

    def __init__(self) -> None:
        self._times: deque[tuple[float, str]] = deque()
        self._of: dict[str, int] = {}

    def admit(self, name: str, now: float, of_one: int, of_all: int, part: int = 1) -> str:
        self._forget(now - _MINUTE)
        kept = self._of.get(name, 0)
        if of_one and kept >= of_one // part:
            return "max_profiles_per_operation"
        if of_all and len(self._times) >= of_all // part:
            return "max_profiles"
        self._times.append((now, name))
        self._of[name] = kept + 1
        return ""

    def take_back(self, name: str) -> None:
        for index in range(len(self._times) - 1, -1, -1):  # as a rule the last one
            if self._times[index][1] == name:
                del self._times[index]
                self._subtract(name)
                return

    def _forget(self, before: float) -> None:
        times = self._times
        for _ in range(_AT_ONCE):  # more than come in between, but not all in one call
            if not times or times[0][0] > before:
                return
            self._subtract(times.popleft()[1])

    def _subtract(self, name: str) -> None:
        self._of[name] -= 1
        if not self._of[name]:
            del self._of[name]
