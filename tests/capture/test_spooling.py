"""A store that fails, hangs or is away: nothing lost, within the deadline, and delivered later."""

from __future__ import annotations

import subprocess
import sys
import textwrap
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from profkit import PerformanceProfiler, Settings
from profkit_storage import (
    LocalStorage,
    Profile,
    ProfileEntry,
    RollupSet,
    Status,
    StorageError,
    StoreUnavailable,
    open_storage,
)
from profkit_storage.spool import Spool, spool_directory


class Outage(LocalStorage):
    """A store in a directory that raises while `down` is set, and hangs while `gate` is not."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.down = False
        self.gate = threading.Event()
        self.gate.set()
        self.entered = threading.Event()

    def put(self, profile: Profile) -> ProfileEntry:
        self._answer()
        return super().put(profile)

    def put_rollup(self, rollups: RollupSet) -> str:
        self._answer()
        return super().put_rollup(rollups)

    def _answer(self) -> None:
        self.entered.set()
        self.gate.wait(60)
        if self.down:
            raise OSError("the store is down")


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Outage]:
    store = Outage(tmp_path / "store")
    yield store
    store.gate.set()


@pytest.fixture
def make_profiler(store: Outage, tmp_path: Path) -> Iterator[Callable[..., PerformanceProfiler]]:
    made: list[PerformanceProfiler] = []

    def make(**settings: Any) -> PerformanceProfiler:
        defaults = {"storage": store, "threshold": 0.0, "max_profiles": 0, "spool": tmp_path / "spool"}
        made.append(
            PerformanceProfiler(Settings(**(defaults | {"max_profiles_per_operation": 0} | settings)))
        )
        return made[-1]

    yield make
    store.gate.set()
    for profiler in made:
        profiler.shutdown()


def run(profiler: PerformanceProfiler, times: int = 1, name: str = "work") -> None:
    for _ in range(times):
        with profiler.operation(name):
            pass


def waits(tmp_path: Path, store: Outage) -> int:
    return Spool(spool_directory(store.url, tmp_path / "spool")).waiting().profiles


def wait_until(is_so: Callable[[], object], seconds: float = 20.0) -> None:
    deadline = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < deadline, "it did not come to pass"
        time.sleep(0.01)


def test_what_a_store_that_is_down_does_not_take_is_delivered_when_it_is_back(
    store: Outage, make_profiler: Any, tmp_path: Path
) -> None:
    profiler = make_profiler(rollup_interval=0)
    wait_until(lambda: profiler._recorder.keeper.seconds_left() is None)
    store.down = True
    run(profiler, 10)
    assert profiler.flush(10), "safe is as good as stored"
    stats = profiler.stats()
    assert (stats["kept"], stats["dropped"]) == (10, {})
    assert stats["spool"]["waiting"] == 10
    assert stats["faults"] == {"store_failed": 1}, "asked once, then left alone"
    store.down = False
    wait_until(lambda: profiler.stats()["spool"]["delivered"] == 10)
    assert len(list(store.scan())) == 10
    assert waits(tmp_path, store) == 0


def test_the_next_process_delivers_what_this_one_could_not(
    store: Outage, make_profiler: Any, tmp_path: Path
) -> None:
    profiler = make_profiler()
    store.down = True
    run(profiler, 5)
    assert profiler.shutdown(10)
    assert waits(tmp_path, store) == 6, "the rollups too"
    store.down = False
    make_profiler()
    wait_until(lambda: waits(tmp_path, store) == 0)
    assert [entry.operation for entry in store.scan()] == ["work"] * 5
    assert [row.kept for one in store.scan_rollups() for row in one.rollups] == [5]


def test_a_store_that_is_back_by_then_takes_it_at_the_end(
    store: Outage, make_profiler: Any, tmp_path: Path
) -> None:
    profiler = make_profiler()
    store.down = True
    run(profiler, 5)
    assert profiler.flush(10)
    store.down = False
    assert profiler.shutdown(10)
    assert len(list(store.scan())) == 5
    assert waits(tmp_path, store) == 0


def test_a_store_that_hangs_at_the_end_loses_nothing_and_keeps_the_deadline(
    store: Outage, make_profiler: Any, tmp_path: Path
) -> None:
    profiler = make_profiler(queue_size=1000)
    store.gate.clear()
    run(profiler, 50)
    assert store.entered.wait(5)
    began = time.perf_counter()
    assert profiler.shutdown(3.0)
    assert time.perf_counter() - began < 3.5
    assert profiler.stats()["dropped"] == {}
    assert waits(tmp_path, store) == 51
    store.gate.set()
    make_profiler()
    wait_until(lambda: waits(tmp_path, store) == 0)
    assert len(list(store.scan())) == 50
    rows = [row for one in store.scan_rollups() for row in one.rollups]
    assert sum(row.calls for row in rows) == 50


def test_a_running_one_in_the_spool_is_replaced_by_its_last(
    store: Outage, make_profiler: Any, tmp_path: Path
) -> None:
    profiler = make_profiler(stall_after=0.05, rollup_interval=0)
    store.down = True
    with profiler.operation("long"):
        wait_until(lambda: waits(tmp_path, store) == 1)
    assert profiler.flush(10)
    assert waits(tmp_path, store) == 1
    store.down = False
    wait_until(lambda: waits(tmp_path, store) == 0)
    (entry,) = store.scan()
    assert entry.status is Status.OK


def test_what_is_discarded_is_taken_out_of_the_spool(
    store: Outage, make_profiler: Any, tmp_path: Path
) -> None:
    profiler = make_profiler(stall_after=0.05, rollup_interval=0)
    store.down = True
    with profiler.operation("long") as operation:
        wait_until(lambda: waits(tmp_path, store) == 1)
        operation.discard()
    store.down = False
    assert profiler.flush(10)
    wait_until(lambda: waits(tmp_path, store) == 0)
    assert list(store.scan()) == []


def test_a_bucket_out_of_reach_is_no_reason_not_to_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("ACCESS_KEY_ID", "SECRET_ACCESS_KEY", "DEFAULT_REGION"):
        monkeypatch.setenv(f"AWS_{name}", "some-where-1")
    settings = {"storage": "s3://bucket/x?endpoint_url=http://127.0.0.1:9", "threshold": 0.0}
    with pytest.raises(StoreUnavailable, match="cannot be reached"):
        PerformanceProfiler(Settings(**settings, spool="off"))
    profiler = PerformanceProfiler(Settings(**settings, spool=tmp_path / "spool"))
    run(profiler)
    assert profiler.shutdown(20)
    assert profiler.stats()["kept"] == 1
    spool = Spool(spool_directory(str(settings["storage"]), tmp_path / "spool"))
    assert spool.waiting().profiles == 2, "its rollups too"


def test_none_is_made_where_none_is_wanted(store: Outage, make_profiler: Any, tmp_path: Path) -> None:
    profiler = make_profiler(spool="off")
    assert profiler.stats()["spool"] is None
    assert profiler.storage is store
    assert make_profiler(storage="memory://", spool="").stats()["spool"] is None
    assert make_profiler().storage is store
    assert not (tmp_path / "spool").exists(), "nor before it is needed"


def test_a_killed_process_loses_nothing_that_was_in_the_spool(tmp_path: Path) -> None:
    """Killed in the midst of delivering: the next one goes on."""
    script = f"""
        import os, signal, sys, threading, time
        import profkit
        from profkit_storage import LocalStorage

        class Killing(LocalStorage):
            puts = 0
            def put(self, profile):
                if not os.path.exists({str(tmp_path / "back")!r}):
                    raise OSError("down")
                entry = super().put(profile)
                Killing.puts += 1
                if Killing.puts == 3:
                    os.kill(os.getpid(), signal.SIGKILL)
                return entry

        profkit.configure(storage=Killing({str(tmp_path / "store")!r}), threshold=0, spool={str(tmp_path / "spool")!r},
                          max_profiles_per_operation=0, rollup_interval=0)
        for _ in range(8):
            with profkit.operation("work"):
                pass
        assert profkit.flush(20)
        open({str(tmp_path / "back")!r}, "w").close()
        time.sleep(30)
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)], capture_output=True, timeout=60, check=False
    )
    assert done.returncode == -9, done.stderr
    store = open_storage(tmp_path / "store")
    assert len(list(store.scan())) == 3
    profiler = PerformanceProfiler(
        Settings(storage=tmp_path / "store", spool=tmp_path / "spool", rollup_interval=0)
    )
    wait_until(lambda: len(list(store.scan())) == 8)
    profiler.shutdown()


def test_a_spool_that_cannot_be_written_is_refused_at_once(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no directory")
    profiler = PerformanceProfiler()
    with pytest.raises(StorageError, match=r"spool .*file.*: cannot be written: Not a directory"):
        profiler.configure(storage=tmp_path / "store", spool=tmp_path / "file")
    assert not profiler.active
    profiler.configure(storage=tmp_path / "store", spool=tmp_path / "spool")
    assert profiler.active
    profiler.shutdown()
