"""What the tests of stores share. A new store brings one fixture and its name in `SUBJECTS`."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from profkit_storage import LocalStorage, MemoryStorage, ProfileEntry, ProfileQuery, ProfileStorage
from profkit_storage.object_storage import ObjectStorage

SUBJECTS = ["memory", "local"]


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
