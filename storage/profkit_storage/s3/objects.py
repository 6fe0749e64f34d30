"""`S3Objects`: objects below a prefix in a bucket, by boto3."""

from __future__ import annotations

import os
import secrets
from collections.abc import Iterable, Iterator
from itertools import groupby, islice
from operator import itemgetter

from profkit_storage.base import ProblemHandler
from profkit_storage.keys import HOUR_MS, LAYOUT, is_service
from profkit_storage.matching import KeyFilter
from profkit_storage.names import printable
from profkit_storage.objects import Hour, ObjectStore, StoredObject
from profkit_storage.s3.address import S3Address
from profkit_storage.s3.bucket import Bucket
from profkit_storage.s3.connection import Connection
from profkit_storage.s3.listing import Lister
from profkit_storage.s3.patience import Patience
from profkit_storage.s3.search import HourSearch, onward_to, place

MAX_BATCH = 1000
"""Keys that one request removes."""

_TRIAL = f"{LAYOUT}/.trial"
"""Where it is tried whether the bucket can be written: names that begin with a dot are in no listing."""


class S3Objects(ObjectStore):
    """Objects in a bucket, all below the address's prefix.

    Raises:
        ConfigurationError: as `Connection`.
    """

    page = 1000

    def __init__(self, address: S3Address, patience: Patience) -> None:
        self._address = address
        self._connection = Connection(address, patience)
        self._bucket = Bucket(address, self._connection)
        self._lister = Lister(address, self._connection)

    @property
    def url(self) -> str:
        return self._address.url

    def check_readable(self) -> None:
        """Find out whether the bucket can be listed."""
        self._lister.check_readable()

    def check_writable(self) -> None:
        self.check_readable()  # a put looks first for what it replaces
        key = f"{_TRIAL}/{os.getpid()}-{secrets.token_hex(8)}"
        self._bucket.put(key, b"profkit tries whether it can write here")
        self._bucket.delete(key)

    def hours(self, layout: str, wanted: KeyFilter, on_problem: ProblemHandler) -> Iterator[Hour]:
        search = HourSearch(layout, wanted)
        if search.is_empty:
            return
        listed = self._lister.objects(search.prefix, search.after, search.onward)
        for hour, found in groupby(_placed(listed, layout, wanted, on_problem), key=itemgetter(0)):
            yield hour, [one for _, one in found]

    def find(self, hour: str, id: str, service: str | None = None) -> list[StoredObject]:
        if service is None:
            found = self._lister.objects(f"{hour}/service=", onward=onward_to(id, hour))
        else:
            found = self._lister.objects(f"{hour}/service={service}/{id}")
        return [one for one in found if _is_of(one.key, hour, id)]

    def read(self, key: str, limit: int) -> bytes | None:
        return self._bucket.get(key, limit)

    def write(self, key: str, data: bytes) -> None:
        self._bucket.put(key, data)

    def remove(self, key: str) -> bool:
        there = self._bucket.has(key)  # a removal does not tell
        if there:
            self._bucket.delete(key)
        return there

    def remove_all(self, keys: Iterable[str]) -> int:
        rest, gone = iter(keys), 0
        while batch := list(islice(rest, MAX_BATCH)):
            gone += self._bucket.delete_all(batch)
        return gone

    def close(self) -> None:
        self._connection.close()


def _placed(
    objects: Iterable[StoredObject], layout: str, wanted: KeyFilter, on_problem: ProblemHandler
) -> Iterator[tuple[str, StoredObject]]:
    """Yield (hour, object) for those that lie where objects do and may be wanted."""
    for one in objects:
        directory, _, name = one.key.removeprefix(f"{layout}/").rpartition("/")
        if "/." in f"/{directory}/{name}" or (not name and not one.size):
            continue  # not to be seen, or a directory as browsers make them
        found = place(directory)
        if found is None or not name:
            on_problem(printable(one.key), "does not lie where objects do")
        elif wanted.overlaps(found[1], HOUR_MS) and wanted.takes_service(one.key):
            yield found[0], one


def _is_of(key: str, hour: str, id: str) -> bool:
    service, _, name = key[len(hour) + 1 :].partition("/")
    return name.startswith(id) and "/" not in name and is_service(service)
