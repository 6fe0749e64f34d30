"""`Recent`: what was made last, kept by a key. Any thread may use it, and no lock is left held by a fork."""

from __future__ import annotations

import itertools
import os
import threading
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


def _one(_key: object, _value: object) -> int:
    return 1


class _Kept(Generic[V]):
    def __init__(self, value: V) -> None:
        self.value = value
        self.used = 0


class Recent(Generic[K, V]):
    """Keeps the values that were used last, as many as there is `room` for: each takes its `size`.

    The one used last is kept in any case. What several threads want at once is made by one of them.
    """

    def __init__(self, room: int, size: Callable[[K, V], int] = _one) -> None:
        self._room = room
        self._size = size
        # Each step is one of a dict: where two threads meet, at worst something is made twice.
        self._kept: dict[K, _Kept[V]] = {}
        self._uses = itertools.count(1)
        # By process: one that another thread held at the moment of a fork would never be let go in the child.
        self._locks: dict[tuple[int, K], threading.Lock] = {}

    def get(self, key: K, make: Callable[[], V]) -> V:
        """Return what is kept under a key, or what `make` returns, to be kept."""
        kept = self._kept.get(key) or self._made(key, make)
        kept.used = next(self._uses)
        return kept.value

    def _made(self, key: K, make: Callable[[], V]) -> _Kept[V]:
        lock = self._locks.setdefault((os.getpid(), key), threading.Lock())
        try:
            with lock:
                kept = self._kept.get(key)
                if kept is None:
                    kept = _Kept(make())
                    kept.used = next(self._uses)
                    self._kept[key] = kept
        finally:
            self._locks.pop((os.getpid(), key), None)
        self._make_room()
        return kept

    def _make_room(self) -> None:
        by_use = sorted(self._kept.items(), key=lambda item: item[1].used)
        taken = sum(self._size(key, kept.value) for key, kept in by_use)
        for key, kept in by_use[:-1]:
            if taken <= self._room:
                return
            taken -= self._size(key, kept.value)
            self._kept.pop(key, None)
