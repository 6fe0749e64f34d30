"""What is handed over is stored, or counted as lost; the application never waits for it."""

from __future__ import annotations

import ctypes
import gc
import os
import statistics
import subprocess
import sys
import textwrap
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from profkit import Operation, PerformanceProfiler, Settings, StorageError
from profkit.recorder.finished import Finished
from profkit.recorder.footprint import footprint
from profkit.recorder.rollup_writer import merged
from profkit.sampling.branches import Branch
from profkit.sampling.calltree import CallTree
from profkit.sampling.recording import Recording
from profkit_storage import (
    Histogram,
    MemoryStorage,
    Profile,
    ProfileEntry,
    Rollup,
    RollupSet,
    Trigger,
    open_storage,
)


class Store(MemoryStorage):
    """A store in memory whose `put` and `put_rollup` may be told to fail, or to hang until `gate` is set."""

    def __init__(self) -> None:
        super().__init__()
        self.error: BaseException | None = None
        self.rollup_error: BaseException | None = None
        self.gate = threading.Event()
        self.gate.set()
        self.entered = threading.Event()
        self.tried: list[RollupSet] = []

    def put(self, profile: Profile) -> ProfileEntry:
        self.entered.set()
        self.gate.wait(60)
        if self.error is not None:
            raise self.error
        return super().put(profile)

    def put_rollup(self, rollups: RollupSet) -> str:
        self.gate.wait(60)
        self.tried.append(rollups)
        if self.rollup_error is not None:
            raise self.rollup_error
        return super().put_rollup(rollups)

    def names(self) -> list[str]:
        return [entry.operation for entry in self.scan()]

    def rows(self) -> list[Rollup]:
        return [row for one in self.scan_rollups() for row in one.rollups]


@pytest.fixture
def store() -> Iterator[Store]:
    store = Store()
    yield store
    store.gate.set()


@pytest.fixture
def make_profiler(store: Store) -> Iterator[Callable[..., PerformanceProfiler]]:
    made: list[PerformanceProfiler] = []

    def make(**settings: Any) -> PerformanceProfiler:
        settings = {"storage": store, "threshold": 0.0, "max_profiles": 0, "service": "tests"} | settings
        settings = {
            "max_profiles_per_operation": 0,
            "max_overhead": 1.0,
            "stall_after": 0,
            "spool": "off",
        } | settings
        made.append(PerformanceProfiler(Settings(**settings)))
        return made[-1]

    yield make
    store.gate.set()
    for profiler in made:
        profiler.shutdown()


def wait_until(is_so: Callable[[], object], seconds: float = 10.0) -> None:
    deadline = time.monotonic() + seconds
    while not is_so():
        assert time.monotonic() < deadline, "it did not come to pass"
        time.sleep(0.005)


def run(profiler: PerformanceProfiler, name: str = "work", times: int = 1) -> None:
    for _ in range(times):
        with profiler.operation(name):
            pass


def run_python(script: str, **environ: str) -> subprocess.CompletedProcess[str]:
    environ = {name: value for name, value in os.environ.items() if not name.startswith("PROFKIT_")} | environ
    return subprocess.run(
        [sys.executable, "-W", "error", "-c", textwrap.dedent(script)],
        env=environ, capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip


# A store that fails, hangs, is full


@pytest.mark.parametrize("error", [StorageError("gone"), MemoryError(), SystemExit(1), KeyboardInterrupt()])
def test_whatever_a_store_raises_is_counted_and_the_next_one_stands_for_it(
    store: Store, make_profiler: Any, error: BaseException
) -> None:
    profiler = make_profiler()
    store.error = error
    run(profiler, times=3)
    assert profiler.flush(5)
    store.error = None
    run(profiler)
    assert profiler.flush(5)
    stats = profiler.stats()
    assert stats["faults"] == stats["dropped"] == {"not_stored": 3}
    assert (stats["slow"], stats["kept"], stats["recorded"]) == (4, 1, 1)
    (entry,) = store.scan()
    assert store.load(entry.id).weight == 4.0


def test_a_store_that_hangs_holds_up_nobody(store: Store, make_profiler: Any) -> None:
    profiler = make_profiler(queue_size=3, shutdown_timeout=0.3)
    store.gate.clear()
    run(profiler)
    assert store.entered.wait(5)
    began = time.perf_counter()
    run(profiler, times=500)
    assert time.perf_counter() - began < 1.0
    assert profiler.stats()["dropped"] == {"queue_full": 497}
    assert profiler.flush(0.05) is False
    began = time.perf_counter()
    assert profiler.shutdown() is False
    assert 0.2 < time.perf_counter() - began < 2.0
    stats = profiler.stats()
    assert stats["faults"] == {"queue_full": 497, "lost_at_shutdown": 3, "rollups_lost": 1}
    assert stats["dropped"] == {"queue_full": 497, "lost_at_shutdown": 3}
    store.gate.set()
    wait_until(lambda: "profkit-recorder" not in {thread.name for thread in threading.enumerate()})
    assert store.names() == ["work"], "the one it had in hand"


@pytest.mark.skipif(sys.platform == "win32", reason="has no limit on the size of files")
def test_a_full_disk_loses_what_there_is_no_room_for(tmp_path: Path) -> None:
    script = f"""
        import resource, profkit
        profkit.configure(storage={str(tmp_path)!r}, threshold=0, spool="off")
        resource.setrlimit(resource.RLIMIT_FSIZE, (10, resource.RLIM_INFINITY))
        for _ in range(3):
            with profkit.operation("lost"): pass
        print(profkit.flush(10), profkit.stats()["dropped"], profkit.stats()["faults"])
        resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        with profkit.operation("kept"): pass
        with profkit.operation("lost"): pass
        print(profkit.shutdown(), profkit.stats()["faults"])
    """
    done = run_python(script)
    faults = "{'not_stored': 3, 'rollups_not_stored': 1}"
    assert done.stdout.splitlines() == [f"True {{'not_stored': 3}} {faults}", f"True {faults}"], done.stderr
    assert done.stderr.count("File too large") == 2, "a line each, not three"
    storage = open_storage(tmp_path)
    assert {entry.operation: storage.load(entry.id).weight for entry in storage.scan()} == {
        "kept": 1,
        "lost": 4,
    }
    (rollups,) = storage.scan_rollups()
    assert {row.operation: (row.calls, row.kept) for row in rollups.rollups} == {
        "lost": (4, 1),
        "kept": (1, 1),
    }
    assert list((tmp_path / "profiles/v1/.incoming").iterdir()) == []


# Its thread


def test_no_thread_is_begun_by_the_operation_that_ends(store: Store, make_profiler: Any) -> None:
    profiler = make_profiler()
    started: list[str] = []
    begin = profiler._recorder._start

    def begun() -> bool:
        started.append(threading.current_thread().name)
        return begin()

    profiler._recorder._start = begun
    with profiler.operation("work"):
        wait_until(lambda: not profiler.sampler.idle)
    wait_until(store.names)
    assert set(started) == {"profkit-sampler"}


def test_where_no_sampler_can_be_had_the_operation_begins_it(
    store: Store, make_profiler: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    profiler = make_profiler()
    monkeypatch.setattr(profiler.sampler, "_start", lambda: None)
    with profiler.operation("work"):
        profiler.sampler.idle = True
    wait_until(store.names)


def kill(thread: threading.Thread) -> None:
    """Raise SystemExit in a thread, wherever it is."""
    assert thread.ident is not None
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread.ident), ctypes.py_object(SystemExit))


def test_if_it_dies_another_is_begun(store: Store, make_profiler: Any) -> None:
    profiler = make_profiler()
    run(profiler, "first")
    assert profiler.flush(5)
    died = profiler._recorder._thread
    kill(died)
    run(profiler, "second")
    wait_until(lambda: not died.is_alive())
    run(profiler, "third")
    assert profiler.flush(5)
    faults = profiler.stats()["faults"]
    assert faults == {"recorder_died": 1}
    assert profiler._recorder._thread is not died
    # Whether it had the second one in hand is chance; if so, it is counted.
    assert len(store.names()) + sum(profiler.stats()["dropped"].values()) == 3
    assert "third" in store.names()


def test_if_it_dies_with_one_in_hand_that_is_counted(
    store: Store, make_profiler: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    profiler = make_profiler()
    keep = profiler._recorder.keeper.keep

    def dies(item: Any) -> None:
        monkeypatch.setattr(profiler._recorder.keeper, "keep", keep)
        raise MemoryError

    monkeypatch.setattr(profiler._recorder.keeper, "keep", dies)
    run(profiler, times=2)
    wait_until(store.names)  # no flush, no other operation: the next tick will do
    assert profiler.flush(5)
    stats = profiler.stats()
    assert stats["faults"] == stats["dropped"] == {"recorder_died": 1}
    assert (stats["slow"], stats["kept"]) == (2, 1)


def test_it_dies_while_somebody_waits(store: Store, make_profiler: Any) -> None:
    profiler = make_profiler()
    store.gate.clear()
    run(profiler, "in hand")
    assert store.entered.wait(5)
    run(profiler, "next")
    died = profiler._recorder._thread
    keep = profiler._recorder.keeper.keep

    def dies(item: Any) -> None:
        profiler._recorder.keeper.keep = keep
        raise SystemExit

    profiler._recorder.keeper.keep = dies
    profiler._recorder.tend = lambda **_: None  # only who waits can help
    threading.Timer(0.2, store.gate.set).start()
    assert profiler.flush(10)
    assert not died.is_alive()
    assert store.names() == ["in hand"]
    assert profiler.stats()["dropped"] == {"recorder_died": 1}


def test_if_no_thread_can_be_had_nothing_is_lost(
    store: Store, make_profiler: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        profiler = make_profiler()
        run(profiler)
        assert profiler.flush(5) is False
        assert profiler.stats()["queued"] == 1
        assert profiler.shutdown() is True, "by the thread that shuts down"
    assert store.names() == ["work"]
    assert [row.calls for row in store.rows()] == [1]


def test_its_thread_is_there_from_when_it_is_configured(make_profiler: Any) -> None:
    def names() -> list[str]:
        return [one.name for one in threading.enumerate() if one.name.startswith("profkit")]

    profiler = make_profiler(enabled=False)
    assert names() == []
    profiler.enabled = True
    assert names() == ["profkit-recorder"]
    assert profiler.flush(1)
    assert profiler.shutdown() is True
    wait_until(lambda: names() == [])


def test_who_shuts_down_without_a_thread_keeps_the_deadline(
    store: Store, make_profiler: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(self: threading.Thread) -> None:
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(threading.Thread, "start", refuse)
    monkeypatch.setattr(store, "put", lambda _: time.sleep(0.2))
    profiler = make_profiler(shutdown_timeout=0.3)
    run(profiler, times=10)
    began = time.perf_counter()
    assert profiler.shutdown() is False
    assert time.perf_counter() - began < 1.5
    assert 5 <= profiler.stats()["dropped"]["lost_at_shutdown"] <= 8


# Bounds


def test_one_there_was_no_room_for_leaves_its_place_to_another(store: Store, make_profiler: Any) -> None:
    profiler = make_profiler(queue_size=1, max_profiles_per_operation=3)
    store.gate.clear()
    run(profiler)
    assert store.entered.wait(5)
    run(profiler, times=5)
    assert profiler.stats()["dropped"] == {"queue_full": 4}
    store.gate.set()
    assert profiler.flush(5)
    run(profiler, times=2)
    assert profiler.flush(5)
    assert sorted(store.load(entry.id).weight for entry in store.scan()) == [1.0, 1.0, 5.0]
    assert profiler.stats()["dropped"] == {"queue_full": 4, "max_profiles_per_operation": 1}


def test_it_is_bounded_by_bytes(store: Store, make_profiler: Any) -> None:
    profiler = make_profiler(queue_bytes=1_000_000, queue_size=1_000, max_children=10_000)
    profiler.set_threshold(60.0, "step")
    store.gate.clear()
    run(profiler, "first")
    assert store.entered.wait(5)
    for name in ("second", "third", "fourth"):
        with profiler.operation(name):
            run(profiler, "step", times=2_000)
    stats = profiler.stats()
    assert stats["dropped"] == stats["faults"] == {"queue_bytes": 2}
    assert 350_000 < stats["queued_bytes"] < 1_000_000
    store.gate.set()
    assert profiler.flush(10)
    assert profiler.stats()["queued_bytes"] == 0
    assert sorted(store.names()) == ["first", "second"]


def test_one_always_has_room_however_large(store: Store, make_profiler: Any) -> None:
    profiler = make_profiler(queue_bytes=1_000_000, max_children=10_000)
    profiler.set_threshold(60.0, "step")
    with profiler.operation("large"):
        run(profiler, "step", times=5_000)
    assert profiler.flush(20)
    assert store.names() == ["large"]


def blank(profiler: PerformanceProfiler, spans: int = 0, branches: int = 0) -> Operation:
    """Return an operation with that many spans and branches, in many places."""
    operation = profiler.operation("work")
    operation.started, operation.ended = time.perf_counter(), time.perf_counter() + 0.5
    recording = operation.recording = Recording(
        CallTree(profiler.sampler.codes), operation.started, 10**6, 0.0
    )
    operation.branches = [Branch(f"branch {number}") for number in range(branches)]
    strands: list[Branch | None] = list(operation.branches) or [None]
    now = 0.0
    for number in range(max(spans, branches)):
        now += 0.01
        places = [(number * step + step) % 300 << 32 for step in range(5)]
        node = recording.tree.insert(places)
        branch = strands[number % len(strands)]
        recording.track(branch).timeline.add(now, now + 0.01, 0.01 * now, node, number % 3, number + 300, now)
    return operation


def test_its_estimate_is_near_what_is_held(make_profiler: Any) -> None:
    profiler = make_profiler()
    makers: list[Callable[[], Operation]] = [
        lambda: blank(profiler, spans=6_000),
        lambda: blank(profiler, spans=3_000, branches=30),
        lambda: blank(profiler, branches=800),
        lambda: blank(profiler, spans=6_000, branches=300),
    ]

    def with_children() -> Operation:
        operation = blank(profiler)
        operation.children = [profiler.operation("step") for _ in range(2_000)]
        for child in operation.children:
            child.started, child.ended, child.offset = time.perf_counter(), time.perf_counter(), 0.5
        return operation

    for make in [*makers, with_children]:
        make()
        gc.collect()
        tracemalloc.start()
        operation = make()
        held = tracemalloc.get_traced_memory()[0]
        tracemalloc.stop()
        item = Finished(operation=operation, trigger=Trigger.SLOW, start_ns=0, threshold=1.0)
        assert 0.8 < footprint(item) / held < 2.0


def shares(prepare: Callable[[PerformanceProfiler], Operation], profiler: PerformanceProfiler) -> list[float]:
    found: list[float] = []
    for operation in [prepare(profiler) for _ in range(15)]:
        began = time.thread_time()
        profiler.finish(operation)
        found.append(time.thread_time() - began)
    return found


@pytest.mark.parametrize("full", [False, True])
@pytest.mark.parametrize("kind", ["plain", "children", "spans", "nested"])
def test_the_callers_share_is_small_whatever_its_length(
    store: Store, make_profiler: Any, full: bool, kind: str
) -> None:
    profiler = make_profiler(queue_size=1 if full else 1_000, queue_bytes=10**9)
    if full:
        store.gate.clear()
        run(profiler)
        assert store.entered.wait(5)
        run(profiler)

    def prepare(profiler: PerformanceProfiler) -> Operation:
        operation = blank(profiler, spans=6_000 if kind == "spans" else 0)
        if kind == "children":
            operation.children = [profiler.operation("step") for _ in range(2_000)]
        if kind == "nested":
            inner = operation
            for _ in range(50):
                inner.parent = profiler.operation("outer")
                inner = inner.parent
                inner.started, inner.ended = operation.started, 0.0
        return operation

    profiler._recorder.keeper.keep = lambda _: None  # what happens afterwards is another's share
    # Of the processor, not of the clock: others may have the machine meanwhile. As measured: 20 to 60 us.
    assert min(statistics.median(shares(prepare, profiler)) for _ in range(3)) < 200e-6
    assert (profiler.stats()["dropped"].get("queue_full", 0) > 0) == full


def test_ten_thousand_operations_of_fifty_threads_while_profiles_are_stored(tmp_path: Path) -> None:
    profiler = PerformanceProfiler(
        Settings(storage=tmp_path, threshold=0.0, queue_size=50, max_profiles=150, rollup_interval=0.2)
    )
    fast = profiler.profile("fast", threshold=60.0)(lambda: 1)
    barrier = threading.Barrier(50)

    def work(number: int) -> None:
        barrier.wait(30)
        for turn in range(200):
            if turn % 10 == 0:
                with profiler.operation(f"slow {number}"):
                    fast()
            else:
                fast()

    threads = [threading.Thread(target=work, args=(number,)) for number in range(50)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert profiler.shutdown(30)
    stats = profiler.stats()
    assert stats["operations"] == 11_000
    assert stats["slow"] == 1_000 == stats["kept"] + sum(stats["dropped"].values())
    assert 1 <= stats["kept"] <= 150
    assert stats["kept"] == stats["recorded"]
    assert set(stats["dropped"]) <= {"queue_full", "max_profiles", "max_profiles_per_operation"}
    storage = open_storage(tmp_path)
    profiles = [storage.load(entry.id) for entry in storage.scan()]
    assert len(profiles) == stats["kept"]
    rows = [row for one in storage.scan_rollups() for row in one.rollups]
    assert sum(row.calls for row in rows) == sum(row.histogram.total for row in rows) == 11_000
    assert sum(row.slow for row in rows) == 1_000
    assert sum(row.kept for row in rows) == stats["kept"]
    assert sum(sum(row.dropped.values()) for row in rows) == sum(stats["dropped"].values())
    weights = sum(profile.weight for profile in profiles) + sum(profiler._intake.policy._dropped.values())
    assert weights == 1_000, "each is stood for once, or will be"


# The end of the process


def test_operations_in_flight_at_the_exit_do_no_harm(tmp_path: Path) -> None:
    script = f"""
        import atexit, threading, time

        @atexit.register  # runs after profkit's own
        def late():
            with profkit.operation("too late"): pass

        import profkit
        profkit.configure(storage={str(tmp_path)!r}, threshold=0, interval=0.001, stall_after=0.05)
        def forever():
            with profkit.operation("in flight"):
                while True:
                    with profkit.operation("step", threshold=60): time.sleep(0.001)
        for _ in range(4):
            threading.Thread(target=forever, daemon=True).start()
        time.sleep(0.5)
        with profkit.operation("last"): pass
    """
    done = run_python(script)
    # On a crowded machine a step may stall, and end while the profiler does.
    said = set(done.stderr.splitlines()) - {"profkit: shut_down: step"}
    assert (done.returncode, said) == (0, set())
    storage = open_storage(tmp_path)
    found = {(entry.operation, str(entry.status)) for entry in storage.scan()}
    found.discard(("step", "ok"))
    assert found == {("in flight", "running"), ("last", "ok")}
    rows = [row for one in storage.scan_rollups() for row in one.rollups]
    assert {row.operation for row in rows} == {"step", "last"}


def test_what_ends_while_the_interpreter_does_is_stored(tmp_path: Path) -> None:
    script = f"""
        import atexit, profkit
        profkit.configure(storage={str(tmp_path)!r}, threshold=0)

        @atexit.register  # runs before profkit's own, when some versions begin no more threads
        def late():
            with profkit.operation("late"): pass
    """
    done = run_python(script)
    assert done.returncode == 0
    assert all("new thread at interpreter shutdown" in line for line in done.stderr.splitlines())
    storage = open_storage(tmp_path)
    assert [entry.operation for entry in storage.scan()] == ["late"]
    assert [row.operation for one in storage.scan_rollups() for row in one.rollups] == ["late"]


# Rollups


def test_rollups_are_stored_when_they_are_due(store: Store, make_profiler: Any) -> None:
    profiler = make_profiler(threshold=60.0, rollup_interval=0.3, version="7", keep_errors=False)
    before = time.time_ns()
    run(profiler, "first", times=3)
    with pytest.raises(LookupError), profiler.operation("fails", category="db"):
        raise LookupError
    wait_until(store.rows)
    (one,) = store.scan_rollups()
    assert (one.service, one.version, one.pid) == ("tests", "7", os.getpid())
    assert before - 10**9 < one.start_ns <= one.end_ns <= time.time_ns()
    assert 0.25e9 < one.end_ns - one.start_ns < 5e9
    assert [(row.operation, row.category, row.calls, row.errors) for row in one.rollups] == [
        ("first", "", 3, 0),
        ("fails", "db", 1, 1),
    ]
    run(profiler, "second")
    wait_until(lambda: len(store.rows()) == 3)
    assert [one.id for one in store.scan_rollups()] == sorted(one.id for one in store.tried)
    assert profiler.stats()["rollups_stored"] == 2


def test_nothing_is_stored_nor_awaited_while_nothing_happens(store: Store, make_profiler: Any) -> None:
    profiler = make_profiler(threshold=60.0, rollup_interval=0.1)
    run(profiler)
    wait_until(store.rows)
    time.sleep(0.5)  # the sampler still ticks
    assert len(store.tried) == 1
    assert profiler._recorder.rollups.seconds_left() is None, "it waits for ever"


def test_a_window_begins_when_something_is_counted(store: Store, make_profiler: Any) -> None:
    profiler = make_profiler(threshold=60.0, rollup_interval=0.05)
    run(profiler, "first")
    wait_until(store.rows)
    time.sleep(0.4)
    again = time.time_ns()
    run(profiler, "second")
    wait_until(lambda: len(store.rows()) == 2)
    assert store.tried[1].start_ns >= again - 0.1e9


def test_rollups_are_stored_by_flush_and_shutdown(store: Store, make_profiler: Any) -> None:
    profiler = make_profiler(threshold=60.0)
    run(profiler, "first")
    assert profiler.flush(5)
    assert profiler.flush(5)
    run(profiler, "second")
    assert profiler.shutdown()
    assert [[row.operation for row in one.rollups] for one in store.tried] == [["first"], ["second"]]


def test_what_is_kept_after_the_last_window_is_counted_at_the_end(store: Store, make_profiler: Any) -> None:
    profiler = make_profiler()
    store.gate.clear()
    run(profiler)
    assert store.entered.wait(5)
    (window,) = profiler.rollups.collect().rollups
    threading.Timer(0.2, store.gate.set).start()
    assert profiler.shutdown(10)
    assert (window.slow, window.kept) == (1, 0)
    assert [(row.slow, row.kept) for row in store.rows()] == [(0, 1)]


@pytest.mark.parametrize("settings", [{"storage": None, "on_profile": print}, {"rollup_interval": 0}])
def test_rollups_are_not_stored_without_a_store_or_if_not_wanted(
    store: Store, make_profiler: Any, settings: dict[str, Any]
) -> None:
    profiler = make_profiler(threshold=60.0, **settings)
    run(profiler)
    assert profiler.shutdown()
    assert store.tried == []
    assert profiler.stats()["operations"] == 1
    assert profiler.stats()["faults"] == {}


def test_rollups_that_cannot_be_stored_go_with_the_next(store: Store, make_profiler: Any) -> None:
    profiler = make_profiler(threshold=60.0)
    store.rollup_error = OSError("no space")
    run(profiler, "first", times=2)
    assert profiler.flush(5)
    run(profiler, "first")
    run(profiler, "second")
    assert profiler.flush(5)
    store.rollup_error = None
    assert profiler.flush(5)
    assert profiler.stats()["faults"] == {"rollups_not_stored": 2}
    assert {row.operation: (row.calls, row.histogram.total) for row in store.rows()} == {
        "first": (3, 3),
        "second": (1, 1),
    }
    assert len({one.id for one in store.tried}) == 1, "if the store has kept it after all, it is replaced"
    assert store.tried[0].start_ns == store.tried[2].start_ns
    assert store.tried[0].end_ns < store.tried[2].end_ns


def test_rollups_that_could_not_be_stored_are_tried_again(store: Store, make_profiler: Any) -> None:
    profiler = make_profiler(threshold=60.0, rollup_interval=0.1)
    store.rollup_error = OSError("no space")
    run(profiler)
    wait_until(lambda: len(store.tried) > 2)
    store.rollup_error = None
    wait_until(store.rows)
    assert [row.calls for row in store.rows()] == [1]


def test_rollups_that_cannot_be_stored_at_the_end_are_counted_as_lost(
    store: Store, make_profiler: Any
) -> None:
    profiler = make_profiler(threshold=60.0)
    store.rollup_error = OSError("no space")
    run(profiler)
    profiler.shutdown()
    assert profiler.stats()["faults"] == {"rollups_not_stored": 1, "rollups_lost": 1}


def test_windows_that_wait_do_not_grow_for_ever(
    store: Store, make_profiler: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("profkit.recorder.rollup_writer._MOST_ROWS", 3)
    profiler = make_profiler(threshold=60.0)
    store.rollup_error = OSError("no space")
    for number in range(4):
        run(profiler, f"job {number}")
        assert profiler.flush(5)
    assert profiler.stats()["faults"] == {"rollups_not_stored": 4, "rollups_lost": 1}
    store.rollup_error = None
    assert profiler.flush(5)
    assert [row.operation for row in store.rows()] == ["job 3"]


def test_a_forked_child_counts_for_itself(tmp_path: Path) -> None:
    script = f"""
        import os, sys, warnings, profkit
        warnings.simplefilter("ignore", DeprecationWarning)
        profkit.configure(storage={str(tmp_path)!r}, threshold=60)
        for _ in range(3):
            with profkit.operation("parent"): pass
        child = os.fork()
        if child == 0:
            with profkit.operation("child"): pass
            os._exit(0 if profkit.shutdown() else 1)
        status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        sys.exit(status or not profkit.shutdown())
    """
    done = run_python(script)
    assert (done.returncode, done.stderr) == (0, "")
    found = [
        (one.pid, row.operation, row.calls)
        for one in open_storage(tmp_path).scan_rollups()
        for row in one.rollups
    ]
    assert sorted(row[1:] for row in found) == [("child", 1), ("parent", 3)]
    assert len({pid for pid, _, _ in found}) == 2


def test_windows_are_added_up() -> None:
    def row(name: str, calls: int, threshold: float = 1.0, **dropped: int) -> Rollup:
        counts = Histogram()
        counts.add_many([0.5] * calls)
        return Rollup(name, "db", calls, 1, calls / 2, calls, 1, dropped, threshold, counts)

    first, again, other = row("a", 3, queue_full=1), row("a", 2, queue_full=2, not_stored=4), row("a", 5, 2.0)
    total, same = merged([first, again, other])
    assert total[2:8] == (5, 2, 2.5, 5, 2, {"queue_full": 3, "not_stored": 4})
    assert total.histogram.total == 5
    assert same == other
    assert (first.histogram.total, first.dropped) == (3, {"queue_full": 1}), "they are as they were"


def test_odd_categories_hold_up_no_rollup(store: Store, make_profiler: Any) -> None:
    profiler = make_profiler()
    for category in (7, None, "\ud800", "a\x1b[2J"):
        with profiler.operation("work", category=category):
            pass
    assert profiler.flush(5)
    assert profiler.stats()["faults"] == {}
    assert len(store.rows()) == 4
