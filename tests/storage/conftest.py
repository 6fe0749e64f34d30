"""What the tests of stores share. A new store brings one fixture and its name in `SUBJECTS`."""

from __future__ import annotations

import functools
import os
import secrets
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from profkit_storage import (
    LocalStorage,
    MemoryStorage,
    ProfileEntry,
    ProfileQuery,
    ProfileStorage,
    S3Storage,
)
from profkit_storage.object_storage import ObjectStorage

SUBJECTS = ["memory", "local", "s3"]


ACCESS_KEY = "an-access-key"
SECRET_KEY = "a-secret-that-no-message-shows"


@dataclass
class Problems:
    """An `on_problem` that remembers."""

    found: dict[str, str] = field(default_factory=dict)

    def __call__(self, key: str, reason: str) -> None:
        assert key not in self.found, f"{key} reported twice"
        self.found[key] = reason


@dataclass
class Subject:
    """A store under test, and how to put other bytes in the place of a stored profile's."""

    store: ObjectStorage

    def overwrite(self, entry: ProfileEntry, data: bytes) -> None:
        self.store.objects.write(entry.key, data)

    def read(self, entry: ProfileEntry) -> bytes:
        data = self.store.objects.read(entry.key, 1 << 30)
        assert data is not None
        return data


@pytest.fixture
def problems() -> Problems:
    return Problems()


@pytest.fixture
def memory() -> ObjectStorage:
    return MemoryStorage()


@pytest.fixture
def local(tmp_path: Path) -> ObjectStorage:
    return LocalStorage(tmp_path / "store")


class Bucket(NamedTuple):
    """An empty bucket on a server, and a client of the test's own to look into it."""

    name: str
    endpoint: str
    client: Any

    @property
    def url(self) -> str:
        return f"s3://{self.name}/kept/here?endpoint_url={self.endpoint}"

    def listed(self) -> list[str]:
        pages = self.client.get_paginator("list_objects_v2").paginate(Bucket=self.name)
        return [one["Key"] for page in pages for one in page.get("Contents", ())]


class Server:
    """A process that serves S3 on a port of this machine; it is waited for, and ended at the end."""

    def __init__(self, arguments: Callable[[int], list[str]], log: Path, **environment: str) -> None:
        self._log = log
        for _ in range(3):  # another process may take the port first
            self.port = _free_port()
            with log.open("wb") as output:
                self._process = subprocess.Popen(
                    [sys.executable, "-m", *arguments(self.port)],
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    env=os.environ | environment,
                )
            if self._answers():
                return
        pytest.fail(f"the server did not start; is the dev extra installed?\n{log.read_text()[-2000:]}")

    @property
    def endpoint(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @functools.cached_property
    def client(self) -> Any:
        import boto3

        session = boto3.session.Session(ACCESS_KEY, SECRET_KEY, region_name="us-east-1")
        return session.client("s3", endpoint_url=self.endpoint)

    def bucket(self) -> Bucket:
        name = f"b-{secrets.token_hex(8)}"
        self.client.create_bucket(Bucket=name)
        return Bucket(name, self.endpoint, self.client)

    def stop(self) -> None:
        self._process.terminate()
        try:
            self._process.wait(10)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()

    def _answers(self) -> bool:
        ends = time.monotonic() + 60
        while time.monotonic() < ends and self._process.poll() is None:
            try:
                socket.create_connection(("127.0.0.1", self.port), timeout=1).close()
            except OSError:
                time.sleep(0.05)
            else:
                return True
        self.stop()
        return False


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture(scope="session")
def nanio(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Checks signatures, keeps objects as files below `nanio.data`; does not know If-None-Match."""
    home = tmp_path_factory.mktemp("nanio")
    options = ["--data-dir", str(home / "data"), "--no-access-log", "--log-level", "warning"]
    server = Server(
        lambda port: ["nanio", "serve", "--host", "127.0.0.1", "--port", str(port), *options],
        home / "log",
        NANIO_ACCESS_KEY=ACCESS_KEY,
        NANIO_SECRET_KEY=SECRET_KEY,
    )
    server.data = home / "data"
    yield server
    server.client.close()
    server.stop()


@pytest.fixture
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    """What boto3 finds on this machine is what the servers know, and nothing else."""
    for name in [name for name in os.environ if name.startswith("AWS_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", ACCESS_KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET_KEY)
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("AWS_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", os.devnull)


@pytest.fixture
def bucket(nanio: Server, credentials: None) -> Bucket:
    return nanio.bucket()


@pytest.fixture
def s3(bucket: Bucket) -> ObjectStorage:
    return S3Storage(bucket.url)


@pytest.fixture(params=SUBJECTS)
def subject(request: pytest.FixtureRequest) -> Iterator[Subject]:
    with request.getfixturevalue(request.param) as store:
        yield Subject(store)


@pytest.fixture
def store(subject: Subject) -> ProfileStorage:
    return subject.store


@pytest.fixture
def scan(problems: Problems) -> Callable[..., list[ProfileEntry]]:
    """`scan(store, **query) -> entries`; what is no profile ends up in `problems`."""

    def run(store: ProfileStorage, **query: object) -> list[ProfileEntry]:
        return list(store.scan(ProfileQuery(**query) if query else None, on_problem=problems))

    return run


@pytest.fixture
def unprivileged() -> Iterator[Path]:
    """An empty directory, and a user whom permissions bind: root lays its powers down for the test."""
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        if os.geteuid() != 0:
            yield directory
            return
        os.chown(directory, 65534, 65534)
        os.seteuid(65534)
        try:
            yield directory
        finally:
            os.seteuid(0)
