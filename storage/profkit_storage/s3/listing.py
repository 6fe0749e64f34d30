"""Lists a bucket in the order of its keys, and leaps over what is not asked for."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any

from profkit_storage.errors import StorageError
from profkit_storage.objects import StoredObject
from profkit_storage.s3.address import S3Address
from profkit_storage.s3.connection import Connection
from profkit_storage.s3.errors import must_have

Onward = Callable[[str], str | None]
"""From a page's last key: the key after which to go on (that one, or a later one), or None where the search ends."""

_MAX_EMPTY_PAGES = 1000


class Lister:
    """Lists the objects of a bucket below the address's prefix; keys are given and told without it."""

    def __init__(self, address: S3Address, connection: Connection) -> None:
        self._url = address.url
        self._bucket = address.bucket
        self._root = address.root
        self._connection = connection

    def objects(self, prefix: str, after: str = "", onward: Onward = str) -> Iterator[StoredObject]:
        """Yield the objects whose keys begin with `prefix` and come after `after`, in the order of their keys.

        Raises:
            StorageError: they cannot be listed, or are not listed in order.
        """
        position: str | None = after
        while position is not None:
            page, more = self._page(prefix, position)
            self._check_order(position, page)
            yield from page
            position = onward(page[-1].key) if page and more else None

    def check_readable(self) -> None:
        """Ask for one key, to see whether that is allowed."""
        self._ask(Prefix=self._root, MaxKeys=1)

    def _page(self, prefix: str, after: str) -> tuple[list[StoredObject], bool]:
        """Return up to 1,000 objects, and whether there are more."""
        position = {"StartAfter": self._root + after} if after else {}
        for _ in range(_MAX_EMPTY_PAGES):
            answer = self._ask(Prefix=self._root + prefix, **position)
            found = [self._object(one) for one in answer.get("Contents", ())]
            more = bool(answer.get("IsTruncated"))
            if found or not more:
                return found, more
            # Some servers answer with an empty page where much has been removed.
            position = {"ContinuationToken": answer.get("NextContinuationToken", "")}
        raise StorageError(f"{self._url}: cannot be listed: the server answers with empty pages only")

    def _ask(self, **parameters: object) -> dict[str, Any]:
        return self._connection.run(
            "cannot be listed",
            lambda client: must_have(
                client.list_objects_v2(Bucket=self._bucket, **parameters), "IsTruncated"
            ),
        )

    def _object(self, said: dict[str, Any]) -> StoredObject:
        written: datetime = said["LastModified"]
        key: str = said["Key"]
        return StoredObject(key.removeprefix(self._root), said["Size"], round(written.timestamp() * 1000))

    def _check_order(self, after: str, page: list[StoredObject]) -> None:
        """Refuse a server that would have us list for ever, or see an hour twice."""
        for one in page:
            if one.key <= after:
                raise StorageError(
                    f"{self._url}: cannot be listed: the server does not list keys in order, after StartAfter"
                )
            after = one.key
