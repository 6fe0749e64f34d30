"""`MemoryStorage`: profiles and rollups in this process's memory, for tests and for trying things out."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator
from itertools import groupby
from weakref import WeakValueDictionary

from profkit_storage.base import ProblemHandler
from profkit_storage.matching import KeyFilter
from profkit_storage.object_storage import ObjectStorage
from profkit_storage.objects import Hour, ObjectStore, StoredObject

_by_name: WeakValueDictionary[str, MemoryStorage] = WeakValueDictionary()
_named: dict[str, MemoryStorage] = {}


class MemoryStorage(ObjectStorage):
    """Keeps encoded profiles and rollups, without a bound, while it lives; its address works in this process only."""

    def __init__(self) -> None:
        self._memory = MemoryObjects(secrets.token_hex(8))
        super().__init__(self._memory)
        _by_name[self._memory.name] = self

    @classmethod
    def named(cls, name: str) -> MemoryStorage:
        """Return the store of this name, a new one at first; it lives as long as the process."""
        store = _by_name.get(name)
        if store is None:
            store = cls()
            store._memory.name = name
            store = _named.setdefault(name, store)
            _by_name[name] = store
        return store


class MemoryObjects(ObjectStore):
    """A dictionary of them."""

    def __init__(self, name: str) -> None:
        self.name = name
        # One step on one dict at a time, each of them atomic: no lock that a fork could leave held.
        self.stored: dict[str, tuple[bytes, int]] = {}

    @property
    def url(self) -> str:
        return f"memory://{self.name}"

    def hours(
        self,
        layout: str,
        wanted: KeyFilter,  # noqa: ARG002 - whoever asks looks at each again
        on_problem: ProblemHandler,  # noqa: ARG002 - nothing foreign gets in here
    ) -> Iterator[Hour]:
        stored = [one for one in self._list() if one.key.startswith(f"{layout}/")]
        return ((hour, list(objects)) for hour, objects in groupby(stored, key=_hour))

    def find(
        self,
        hour: str,
        id: str,
        service: str | None = None,  # noqa: ARG002 - to look at all of them costs little here
    ) -> list[StoredObject]:
        return [
            one
            for one in self._list()
            if one.key.startswith(f"{hour}/") and one.key.rpartition("/")[2].startswith(id)
        ]

    def read(self, key: str, limit: int) -> bytes | None:
        stored = self.stored.get(key)
        return None if stored is None else stored[0][: limit + 1]

    def write(self, key: str, data: bytes) -> None:
        self.stored[key] = data, time.monotonic_ns()

    def remove(self, key: str) -> bool:
        return self.stored.pop(key, None) is not None

    def _list(self) -> list[StoredObject]:
        return [
            StoredObject(key, len(data), written)
            for key, (data, written) in sorted(self.stored.copy().items())
        ]


def _hour(one: StoredObject) -> str:
    return "/".join(one.key.split("/")[2:4])
