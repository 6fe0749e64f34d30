"""The contract of what keeps bytes under keys: a directory, a bucket, a dictionary."""

from __future__ import annotations

import abc
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from profkit_storage.base import ProblemHandler
from profkit_storage.matching import KeyFilter


class StoredObject(NamedTuple):
    """What a listing says of an object: its key, its bytes, and when it was written (a number that grows)."""

    key: str
    size: int
    modified: int


Hour = tuple[str, list[StoredObject]]
"""An hour's key below its layout (`date=YYYY-MM-DD/hour=HH`), and its objects in no order."""


class ObjectStore(abc.ABC):
    """Bytes under keys `{layout}/date=YYYY-MM-DD/hour=HH/service=S/{name}`. Any thread may call every method.

    Each raises `StorageError` if the store cannot do what is asked. `ConfigurationError` is for addresses.
    """

    page = 1
    """How many objects one request lists, where a request is what a listing costs."""

    @property
    @abc.abstractmethod
    def url(self) -> str:
        """The address `open_storage` takes to open the same store; never with a secret in it."""

    @abc.abstractmethod
    def hours(self, layout: str, wanted: KeyFilter, on_problem: ProblemHandler) -> Iterator[Hour]:
        """List the hours below `layout` that may hold what is wanted, in order, each once, and one at a time.

        Of an hour, the objects of other services may be left out. What does not lie where objects do is passed to
        `on_problem`, but for names that begin with a dot. What vanishes while it is looked at is not there.
        """

    @abc.abstractmethod
    def find(self, hour: str, id: str, service: str | None = None) -> list[StoredObject]:
        """Return the objects below `hour` (with its layout) whose name begins with `id`.

        Given a service, as it is in a key, those of others may be left out.
        """

    @abc.abstractmethod
    def read(self, key: str, limit: int) -> bytes | None:
        """Return an object's bytes, cut after `limit` + 1; None if there is none."""

    @abc.abstractmethod
    def write(self, key: str, data: bytes) -> None:
        """Put an object, in the place of one with the same key: whole or not at all, and for good once this returns."""

    @abc.abstractmethod
    def remove(self, key: str) -> bool:
        """Remove an object; False if there was none."""

    def remove_all(self, keys: Iterable[str]) -> int:
        """Remove many objects; return how many there were (or how many are gone, where a store cannot tell)."""
        return sum(self.remove(key) for key in keys)

    def check_writable(self) -> None:
        """Find out whether `write` can work; a store that always can does nothing."""

    def close(self) -> None:
        """Let go of what the store holds open."""
