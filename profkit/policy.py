"""Which finished operations become profiles, and how many each of them stands for."""

from __future__ import annotations

import threading

_MAX_NAMES = 10_000


class Policy:
    """Counts the slow operations that had to be dropped since the last one was kept, by name and by place.

    Those that ran inside another slow one count apart: analysis leaves them to the outer one, with all they stand for.
    """

    def __init__(self) -> None:
        self._lock = threading.RLock()  # a finalizer may come in between, and may be an operation
        self._dropped: dict[tuple[str, bool], float] = {}

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
