"""`Recent`: what was made last, kept by a key. Any thread may use it, and no lock is left held by a fork."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class Recent(Generic[K, V]):
    """Keeps the `room` values that were used last. Each step is one of a dict: at worst something is made twice."""

    def __init__(self, room: int) -> None:
        self._room = room
        self._values: dict[K, V] = {}

    def get(self, key: K, make: Callable[[], V]) -> V:
        """Return what is kept under a key, or what `make` returns, to be kept."""
        try:
            found = self._values.pop(key)
        except KeyError:
            found = make()
        self._values[key] = found
        while len(self._values) > self._room:
            try:
                self._values.pop(next(iter(self._values)), None)
            except (StopIteration, RuntimeError):
                break  # another thread is at it
        return found
