"""`Connection`: boto3's client, one a process, and every request through one boundary."""

from __future__ import annotations

import functools
import itertools
import os
import random
import threading
import time
from collections.abc import Callable
from typing import Any, Protocol, TypeVar, cast

import botocore.session
from boto3.session import Session
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ProfileNotFound
from botocore.loaders import create_loader  # pyright: ignore[reportUnknownVariableType]
from botocore.parsers import ResponseParserError

from profkit_storage.errors import ConfigurationError
from profkit_storage.s3.address import S3Address, is_endpoint
from profkit_storage.s3.errors import FAILURES, Again, TooLate, translated
from profkit_storage.s3.patience import Patience

T = TypeVar("T")
Answer = dict[str, Any]
_MAX_CONNECTIONS = 32
_FIRST_PAUSE = 0.1
_LONGEST_PAUSE = 2.0


@functools.cache
def _loader(data_path: str | None) -> Any:  # noqa: ANN401 - boto3 comes without types
    """Return what reads boto3's description of S3, once for all clients: it takes 0.1 s of CPU."""
    return create_loader(data_path)


class S3Client(Protocol):
    """What is used of boto3's client; it comes without types."""

    meta: Any

    def put_object(self, **parameters: object) -> Answer: ...
    def get_object(self, **parameters: object) -> Answer: ...
    def head_object(self, **parameters: object) -> Answer: ...
    def delete_object(self, **parameters: object) -> Answer: ...
    def delete_objects(self, **parameters: object) -> Answer: ...
    def list_objects_v2(self, **parameters: object) -> Answer: ...
    def close(self) -> None: ...


class Connection:
    """A client for each process that uses it: what a forked child has of its parent's is never touched.

    boto3 sends again, after a growing and random pause, what was throttled, failed inside the server or did not get
    through; here, what was cut off in an answer. No attempt begins after `patience.total`.

    Raises:
        ConfigurationError: boto3's configuration does not have the profile, or is of no use.
    """

    def __init__(self, address: S3Address, patience: Patience) -> None:
        self._address = address
        self._patience = patience
        self._url = address.url
        self._call = threading.local()
        # By process. A lock could be held by another thread at the moment of a fork; two made at once do no harm.
        self._clients: dict[int, S3Client] = {}
        self._client()

    def run(self, what: str, request: Callable[[S3Client], T]) -> T:
        """Return what `request` does with a client; `what` is said if it cannot be done.

        Raises:
            StorageError: it failed for good. `StoreUnavailable`: it may succeed later.
        """
        self._call.ends = time.monotonic() + self._patience.total
        for attempt in itertools.count(1):
            try:
                return request(self._client())
            except (Again, ResponseParserError) as error:
                if attempt == self._patience.attempts:
                    raise translated(error, self._url, what) from error
                time.sleep(random.uniform(0, min(_FIRST_PAUSE * attempt**2, _LONGEST_PAUSE)))  # noqa: S311 - no secret
            except (TooLate, *FAILURES) as error:
                raise translated(error, self._url, what) from error
        raise AssertionError  # never

    def close(self) -> None:
        """Close this process's connections."""
        client = self._clients.pop(os.getpid(), None)
        if client is not None:
            client.close()

    def _client(self) -> S3Client:
        process = os.getpid()
        client = self._clients.get(process)
        return client or self._clients.setdefault(process, self._new_client())

    def _new_client(self) -> S3Client:
        try:
            # A session of its own: the default one is not to be used by two threads at once.
            known: Any = botocore.session.Session(profile=self._address.profile or None)
            loader = _loader(known.get_config_variable("data_path"))
            known.register_component("data_loader", loader)
            session: Any = Session(
                botocore_session=known,
                profile_name=self._address.profile or None,
                region_name=self._address.region or None,
            )
            loader.search_paths[:] = dict.fromkeys(loader.search_paths)  # each session adds boto3's once more
            client = cast(
                "S3Client",
                session.client("s3", endpoint_url=self._address.endpoint_url or None, config=self._config()),
            )
        except ProfileNotFound as error:
            raise ConfigurationError(
                f"storage address {self._url!r}: profile must be one of the AWS configuration"
            ) from error
        except (BotoCoreError, ValueError) as error:
            raise ConfigurationError(
                f"storage address {self._url!r}: boto3's configuration cannot be used: {type(error).__name__}"
            ) from error
        self._refuse_secret(client)
        client.meta.events.register("before-send.s3", self._stop_if_late)
        return client

    def _config(self) -> Config:
        return Config(
            connect_timeout=self._patience.connect,
            read_timeout=self._patience.read,
            max_pool_connections=_MAX_CONNECTIONS,
            retries={"mode": "standard", "total_max_attempts": self._patience.attempts},
            s3={"addressing_style": self._address.addressing or "auto"},
            # The newer checksums are unknown to many servers; what is written has Content-MD5, and its own checksum.
            request_checksum_calculation="when_required",
            response_checksum_validation="when_required",
            tcp_keepalive=True,
        )

    def _refuse_secret(self, client: S3Client) -> None:
        """Refuse an endpoint from the environment that holds a password: messages of boto3 show it."""
        if not is_endpoint(str(client.meta.endpoint_url)):
            client.close()
            raise ConfigurationError(
                f"storage address {self._url!r}: the endpoint in boto3's configuration must be http:// or https:// "
                "and a host, without user, query or fragment"
            )

    def _stop_if_late(self, **_: object) -> None:
        if time.monotonic() > self._call.ends:
            raise TooLate(f"no success in {self._patience.total:g} s")
