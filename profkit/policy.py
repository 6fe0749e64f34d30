"""Which finished operations become profiles, and how many each of them stands for."""

from __future__ import annotations

import threading

_MAX_NAMES = 10_000


class Policy:
    """Counts, by operation, the slow ones that had to be dropped since the last one was kept."""

    def __init__(self) -> None:
        self._lock = threading.RLock()  # a finalizer may come in between, and may be an operation
        self._dropped: dict[str, float] = {}

    def dropped(self, name: str, weight: float) -> None:
        """Note that a slow operation of this weight was not kept: the next one of its name stands for it too."""
        with self._lock:
            if name in self._dropped or len(self._dropped) < _MAX_NAMES:
                self._dropped[name] = self._dropped.get(name, 0.0) + weight

    def weigh(self, name: str) -> float:
        """Return the weight of one that is kept: 1 and the dropped ones it stands for."""
        with self._lock:
            return 1.0 + self._dropped.pop(name, 0.0)
