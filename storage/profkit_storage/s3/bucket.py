"""`Bucket`: what is asked of one, and what its answers mean."""

from __future__ import annotations

import base64
import contextlib
import hashlib
from collections.abc import Callable
from functools import partial
from typing import Any, TypeVar

from botocore.exceptions import ClientError, IncompleteReadError, ReadTimeoutError, ResponseStreamingError
from urllib3.exceptions import HTTPError

from profkit_storage.errors import StorageError
from profkit_storage.names import printable
from profkit_storage.s3.address import S3Address
from profkit_storage.s3.connection import Answer, Connection, S3Client
from profkit_storage.s3.errors import CONFLICT, EXISTS, MISSING, Again, Refusal, code_of, must_have

T = TypeVar("T")
_NO_CONDITION = frozenset({"NotImplemented", "501", "InvalidArgument", "InvalidRequest", "NotSupported"})
"""What servers say that do not know `If-None-Match` for a put; or that mean something else."""
_NO_BATCH = frozenset({"NotImplemented", "501", "MethodNotAllowed", "405", "MissingContentMD5"})
"""What servers say that do not know DeleteObjects, or not as boto3 sends it."""


class Bucket:
    """The objects of a bucket below the address's prefix; keys are given without it.

    Each method raises `StorageError` if the server refuses or does not answer.
    """

    def __init__(self, address: S3Address, connection: Connection) -> None:
        self._url = address.url
        self._name = address.bucket
        self._root = address.root
        self._connection = connection
        self._kept = _how_kept(address)
        self._conditional = True

    def put(self, key: str, data: bytes) -> None:
        """Put an object, in the place of one with the same key; not again where it is there with the same bytes."""
        self._run(f"{key} cannot be written", partial(self._put, key, data))

    def get(self, key: str, limit: int) -> bytes | None:
        """Return an object's bytes, cut after `limit` + 1; None if there is none."""
        return self._run(f"{key} cannot be read", partial(self._get, key, limit))

    def has(self, key: str) -> bool:
        """Tell whether there is an object."""
        return self._run(f"{key} cannot be looked at", partial(self._has, key))

    def delete(self, key: str) -> None:
        """Remove an object, if there is one."""
        self._run(f"{key} cannot be removed", partial(self._delete, key))

    def delete_all(self, keys: list[str]) -> int:
        """Remove up to 1,000 objects in one request; return how many the server says are gone."""
        return self._run("objects cannot be removed", partial(self._delete_all, keys))

    def _run(self, what: str, request: Callable[[S3Client], T]) -> T:
        return self._connection.run(printable(what), request)

    def _put(self, key: str, data: bytes, client: S3Client) -> None:
        put = partial(client.put_object, Body=data, ContentMD5=_md5(data), **self._at(key), **self._kept)
        refused = ""
        if self._conditional:
            try:
                must_have(put(IfNoneMatch="*"), "ETag")
            except ClientError as error:
                refused = code_of(error)
                if refused not in EXISTS | CONFLICT | _NO_CONDITION:
                    raise
            else:
                return
        if refused in EXISTS and self._get(key, len(data), client) == data:
            return  # put by an attempt whose answer was lost, or by another
        must_have(put(), "ETag")
        if refused in _NO_CONDITION:
            self._conditional = False

    def _get(self, key: str, limit: int, client: S3Client) -> bytes | None:
        try:
            answer = client.get_object(**self._at(key))
        except ClientError as error:
            if code_of(error) in MISSING:
                return None
            raise
        with contextlib.closing(answer["Body"]):
            return _body(must_have(answer, "ETag"), limit)

    def _has(self, key: str, client: S3Client) -> bool:
        try:
            client.head_object(**self._at(key))
        except ClientError as error:
            if code_of(error) in MISSING:
                return False
            raise
        return True

    def _delete(self, key: str, client: S3Client) -> None:
        client.delete_object(**self._at(key))

    def _delete_all(self, keys: list[str], client: S3Client) -> int:
        objects = [{"Key": self._root + key} for key in keys]
        try:
            answer = client.delete_objects(Bucket=self._name, Delete={"Objects": objects})
        except ClientError as error:
            if code_of(error) not in _NO_BATCH:
                raise
            for key in keys:
                self._delete(key, client)
            return len(keys)
        return self._count_deleted(answer, len(keys))

    def _count_deleted(self, answer: Answer, asked: int) -> int:
        deleted: list[dict[str, str]] = answer.get("Deleted", [])
        errors: list[dict[str, str]] = answer.get("Errors", [])
        failed = [one for one in errors if one.get("Code") not in MISSING]
        if failed:
            self._tell_failed(failed, asked)
        if len(deleted) + len(errors) != asked:
            must_have({}, "Deleted")
        return len(deleted)

    def _tell_failed(self, failed: list[dict[str, str]], asked: int) -> None:
        refusal = Refusal(failed[0].get("Code", ""), failed[0].get("Message", ""))
        first = printable(failed[0].get("Key", "").removeprefix(self._root))
        reason = f"{len(failed)} of {asked} cannot be: {first}: {refusal}"
        if refusal.passing:
            raise Again(reason)
        raise StorageError(f"{self._url}: objects cannot be removed: {reason}")

    def _at(self, key: str) -> dict[str, str]:
        return {"Bucket": self._name, "Key": self._root + key}


def _how_kept(address: S3Address) -> dict[str, str]:
    """Return what a put says of encryption and storage class."""
    kept = {
        "ServerSideEncryption": "aws:kms" if address.sse.startswith("aws:kms") else address.sse,
        "SSEKMSKeyId": address.kms_key,
        "StorageClass": address.storage_class,
    }
    return {name: value for name, value in kept.items() if value}


def _md5(data: bytes) -> str:
    """Return the checksum that every server knows, and that some buckets insist on."""
    return base64.b64encode(hashlib.md5(data, usedforsecurity=False).digest()).decode()


def _body(answer: dict[str, Any], limit: int) -> bytes:
    """Return an answer's body, cut after `limit` + 1 bytes; no more of it is read."""
    length: int | None = answer.get("ContentLength")
    try:
        data: bytes = answer["Body"].read(limit + 1)
    except (ReadTimeoutError, ResponseStreamingError, IncompleteReadError, HTTPError) as error:
        raise Again(_BROKE_OFF) from error
    if length is not None and len(data) < min(length, limit + 1):
        raise Again(_BROKE_OFF)
    return data


_BROKE_OFF = "cannot be reached: the answer broke off"
