"""The recorder's own retention: a local store does not grow for ever, and only one process sees to it."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from profkit import PerformanceProfiler, Settings
from profkit.faults import Faults
from profkit.recorder import pruning
from profkit.recorder.pruning import Pruner
from profkit_storage import LocalStorage, MemoryStorage


class Clock:
    """Seconds that pass when told to."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def store(tmp_path: Path, make_profile: Any) -> LocalStorage:
    """Three profiles of now and three of two days ago."""
    store = LocalStorage(tmp_path / "store")
    for age in (0, 1, 2, 172_800, 172_801, 172_802):
        store.put(make_profile(start_ns=time.time_ns() - age * 10**9))
    return store


@pytest.fixture
def make_pruner(store: LocalStorage, clock: Clock) -> Callable[..., Pruner]:
    def make(faults: Faults | None = None, **settings: Any) -> Pruner:
        return Pruner(store, Settings(**({"retain_age": 86_400.0} | settings)), faults or Faults(), clock)

    return make


def count(store: LocalStorage) -> int:
    return len(list(store.scan()))


def test_nothing_is_due_until_something_is_stored(
    make_pruner: Any, store: LocalStorage, clock: Clock
) -> None:
    pruner = make_pruner()
    assert pruner.seconds_left() is None
    pruner.expect()
    assert pruner.seconds_left() == 60
    clock.now = 60
    pruner.run()
    assert count(store) == 3
    assert pruner.seconds_left() is None


def test_an_hour_passes_before_the_next(make_pruner: Any, store: LocalStorage, make_profile: Any) -> None:
    first, second = make_pruner(), make_pruner()
    first.run()
    store.put(make_profile(start_ns=time.time_ns() - 172_800 * 10**9))
    second.run()
    assert count(store) == 4, "another process has just done so"
    os.utime(store.path / ".pruned", (time.time() - 3_700,) * 2)
    second.run()
    assert count(store) == 3


def test_by_bytes_and_for_the_disk(
    make_pruner: Any, store: LocalStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes = [entry.size for entry in store.scan()]
    make_pruner(retain_age=0, retain_bytes=sum(sizes[-2:])).run()
    assert count(store) == 2
    (store.path / ".pruned").unlink()
    disk = type("Disk", (), {"total": 1_000_000, "free": 50_000 - sizes[-2]})
    monkeypatch.setattr(pruning.shutil, "disk_usage", lambda _: disk)  # a disk as full as this cannot be had
    make_pruner().run()
    assert count(store) == 1


def test_nothing_goes_if_it_is_not_wanted(store: LocalStorage, clock: Clock) -> None:
    pruner = Pruner(store, Settings(retain_age=0, retain_bytes=0), Faults(), clock)
    pruner.expect()
    assert pruner.seconds_left() is None
    pruner.run()
    assert count(store) == 6
    memory = Pruner(MemoryStorage(), Settings(), Faults(), clock)
    memory.expect()
    assert memory.seconds_left() is None


def test_it_takes_a_second_at_a_time(
    make_pruner: Any, store: LocalStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pruning, "_AT_ONCE", 0.0)
    pruner = make_pruner()
    pruner.run()
    assert pruner.seconds_left() == 0
    for _ in range(10):
        if pruner.seconds_left() is None:
            break
        pruner.run()
    assert count(store) == 3


def test_what_goes_wrong_is_counted(
    make_pruner: Any, store: LocalStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    faults = Faults()

    def fail(*_: object) -> None:
        raise OSError("no such disk")

    monkeypatch.setattr(store, "delete_entries", fail)
    make_pruner(faults).run()
    assert faults.counts() == {"not_pruned": 1}


@pytest.fixture
def profiler(store: LocalStorage, monkeypatch: pytest.MonkeyPatch) -> Iterator[PerformanceProfiler]:
    monkeypatch.setattr(pruning, "_FIRST_AFTER", 0.0)
    profiler = PerformanceProfiler(Settings(storage=store.path, threshold=0.0, retain_age=86_400.0))
    yield profiler
    profiler.shutdown()


def test_a_profiler_prunes_where_it_stores(profiler: PerformanceProfiler, store: LocalStorage) -> None:
    with profiler.operation("work"):
        pass
    assert profiler.flush(5)
    deadline = time.monotonic() + 10
    while count(store) != 4:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    assert profiler.stats()["faults"] == {}
