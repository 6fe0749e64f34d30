"""Memory jobs: tracing that stops what it started, growth, collections; one at a time, and refused where they hurt."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import sysconfig
import threading
import tracemalloc
import weakref
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Self

import orjson
import pytest

from profkit.debug.memory import census, collector, memory_report, snapshots, tracing
from profkit.debug.memory.allocations import masked, short_path
from profkit.debug.memory.backrefs import find_backrefs
from profkit.debug.memory.census import recent_census
from profkit.debug.memory.collector import collect_garbage
from profkit.debug.memory.growth import measure_growth
from profkit.debug.memory.holds import TooLarge
from profkit.debug.memory.single import Busy, memory_job
from profkit.debug.memory.tracing import Disturbed, trace_memory
from profkit.masking import masker
from profkit_storage.errors import ConfigurationError, ProfkitError


@pytest.fixture(autouse=True)
def untraced(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Fresh costs, limits that a busy machine does not reach, and no tracing left on by a test."""
    monkeypatch.setattr(census, "LOOK_LIMIT", 60.0)
    for one in (recent_census, census.listing, snapshots._cost, collector._collecting):
        one.forget()
    assert not tracemalloc.is_tracing()
    yield
    left = tracemalloc.is_tracing()
    tracemalloc.stop()
    assert not left


class Background:
    """A job in a thread of its own, as a debug route runs it; `with` waits until it has begun."""

    def __init__(self, job: Callable[..., Any], *arguments: object, **options: object) -> None:
        self.stop = threading.Event()
        self._pool = ThreadPoolExecutor(1)
        self._work = lambda: job(*arguments, stop=self.stop, **options)
        self._traces = job is trace_memory

    def __enter__(self) -> Self:
        assert not memory_job._lock.locked()
        self._future = self._pool.submit(self._work)
        while not memory_job._lock.locked() or (self._traces and not tracemalloc.is_tracing()):
            if self._future.done():
                self._future.result()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop.set()
        self._pool.shutdown()

    def result(self) -> Any:
        self.stop.set()
        found = self._future.result()
        assert orjson.loads(orjson.dumps(found)) == found
        return found


def traced(**options: object) -> Background:
    return Background(trace_memory, 30, **options)


def text_of(line: Any) -> str:
    assert line["file"].endswith("test_memory_jobs.py")
    assert not Path(line["file"]).is_absolute()
    return Path(__file__).read_text(encoding="utf-8").splitlines()[line["line"] - 1]


def test_a_trace_finds_the_line_that_allocates_and_stops_what_it_started() -> None:
    with traced(top=3) as job:
        kept = [bytearray(10_000) for _ in range(500)]
        found = job.result()
    assert not tracemalloc.is_tracing()
    line = found["lines"][0]
    assert "bytearray(10_000)" in text_of(line)
    assert line["size_bytes"] == line["size_change_bytes"] >= 5_000_000
    assert line["blocks"] >= len(kept)
    assert len(found["lines"]) <= 3
    assert found["tracebacks"] == []
    assert found["ended"] == "caller left"
    assert (found["tracing"], found["frames"]) == ("profkit", 1)
    assert found["current_bytes"] >= 5_000_000
    assert found["peak_bytes"] >= found["current_bytes"]
    assert found["seconds"] < 10
    assert 0 < found["stall_seconds"] < 5


def allocate(number: int) -> bytearray:
    return bytearray(number)


def test_with_more_frames_callers_are_told_apart() -> None:
    with traced(frames=3) as job:
        some = [allocate(1000) for _ in range(1000)]
        more = [allocate(1000) for _ in range(3000)]
        found = job.result()
    assert found["frames"] == 3
    assert found["lines"][0]["blocks"] >= len(some) + len(more)
    first, second = found["tracebacks"][:2]
    assert "range(3000)" in text_of(first["frames"][-2])
    assert "range(1000)" in text_of(second["frames"][-2])
    for one in (first, second):
        assert "bytearray(number)" in text_of(one["frames"][-1])
        assert len(one["frames"]) == 3
    assert first["blocks"] >= 3000 > second["blocks"] >= 1000


def test_what_profkit_allocates_is_left_out() -> None:
    with traced(frames=5) as job:
        threading.Event().wait(0.3)
        found = job.result()
    places = [place["file"] for one in found["tracebacks"] for place in one["frames"]]
    assert not [file for file in places if "debug/tracing" in file or "debug/snapshots" in file]


def test_a_trace_ends_by_itself() -> None:
    found = trace_memory(1)
    assert 1 <= found["seconds"] < 3
    assert found["ended"] == "time"


def test_a_trace_ends_before_it_is_too_large_to_look_at() -> None:
    snapshots._cost.learn(1000, 1.0)
    snapshots._cost.learn(1000, 1.0)
    with traced() as job:
        kept = [[] for _ in range(5000)]  # type: ignore[var-annotated]
        found = job._future.result(10)
    assert found["ended"] == "size"
    assert found["seconds"] < 10
    assert len(kept) == 5000


def test_the_applications_own_tracing_is_left_on_and_compared() -> None:
    tracemalloc.start(3)
    try:
        before = [bytearray(1000) for _ in range(1000)]
        with traced() as job:
            threading.Event().wait(0.3)  # its first snapshot has no event to wait for
            after = [bytearray(1000) for _ in range(3000)]
            found = job.result()
        assert tracemalloc.is_tracing()
        assert tracemalloc.get_traceback_limit() == 3
        assert (found["tracing"], found["frames"]) == ("application", 3)
        line = found["lines"][0]
        assert line["size_change_bytes"] >= 3_000_000
        assert line["blocks_change"] >= len(after)
        assert "range(3000)" in text_of(found["tracebacks"][0]["frames"][-1])
        assert len(before) == 1000
        snapshots._cost.learn(1, 1.0)
        with pytest.raises(TooLarge, match="blocks of memory are traced: looking at them would stop"):
            trace_memory(1)
        assert tracemalloc.is_tracing()
    finally:
        tracemalloc.stop()


def test_what_was_freed_in_the_window_is_told() -> None:
    tracemalloc.start()
    try:
        kept = [bytearray(1000) for _ in range(3000)]
        with traced() as job:
            threading.Event().wait(0.3)
            kept.clear()
            found = job.result()
        assert found["lines"][0]["size_change_bytes"] <= -3_000_000
        assert found["lines"][0]["blocks"] == 0
    finally:
        tracemalloc.stop()


def test_tracing_stopped_by_the_application_is_an_error_not_a_crash() -> None:
    with traced() as job:
        tracemalloc.stop()
        with pytest.raises(Disturbed, match="stopped tracemalloc"):
            job.result()
    with traced() as again:
        again.result()


def test_growth_names_the_types_of_which_there_are_more() -> None:
    class Leaf:
        pass

    gone = [set() for _ in range(2000)]  # type: ignore[var-annotated]
    with Background(measure_growth, 30, top=5) as job:
        while recent_census.last() is None and not job.stop.wait(0.3):
            break  # the first count is made by now
        kept = [Leaf() for _ in range(3000)]
        gone.clear()
        found = job.result()
    row = found["grown"][0]
    assert row["type"].endswith("<locals>.Leaf")
    assert (row["before"], row["after"], row["growth"]) == (0, 3000, len(kept))
    assert len(found["grown"]) <= 5
    assert found["shrunk_types"] >= 1
    assert found["collected"] is False
    assert found["ended"] == "caller left"
    assert found["objects_after"] - found["objects_before"] > 500
    assert not [one for one in found["grown"] if "profkit" in one["type"]]
    assert memory_report()["types"]["objects"] == found["objects_after"]  # and a look shows what was counted


def test_growth_may_leave_garbage_out() -> None:
    class Knot:
        def __init__(self) -> None:
            self.me = self

    gc.disable()
    try:
        with Background(measure_growth, 30, collect=True, top=500) as job:
            job.stop.wait(0.5)
            for _ in range(1000):
                Knot()
            found = job.result()
    finally:
        gc.enable()
    assert found["collected"] is True
    assert not [one for one in found["grown"] if one["type"].endswith("Knot")]


def test_growth_ends_by_itself_and_is_refused_where_it_would_hurt() -> None:
    found = measure_growth(1)
    assert found["ended"] == "time"
    assert 1 <= found["seconds"] < 4
    assert 0 < found["stall_seconds"] < 2
    census.listing.learn(1, 1.0)
    with pytest.raises(
        TooLarge, match=r"counting their types would stop this process for about .* at most 2 s"
    ):
        measure_growth(1)
    assert not memory_job._lock.locked()


def test_a_collection_says_what_it_did() -> None:
    class Knot:
        def __init__(self) -> None:
            self.me, self.large = self, bytearray(100_000)

    gc.collect()
    gc.disable()
    try:
        for _ in range(500):
            Knot()
        last: Any = weakref.ref(Knot())
        assert last() is not None
        assert collect_garbage(0)["generation"] == 0
        found: Any = collect_garbage()
    finally:
        gc.enable()
    assert last() is None
    assert found["generation"] == 2
    assert found["uncollectable"] == 0
    assert found["rss_before"] - found["rss_after"] == found["freed_bytes"]
    assert 0 < found["stall_seconds"] < 5
    assert orjson.loads(orjson.dumps(found)) == found


def test_collected_objects_and_their_memory_are_counted() -> None:
    class Knot:
        def __init__(self) -> None:
            self.me, self.large = self, bytearray(100_000)

    gc.collect()
    gc.disable()
    try:
        for _ in range(500):
            Knot()
        found = collect_garbage()
    finally:
        gc.enable()
    assert found["collected"] >= 500
    assert found["freed_bytes"] > 20_000_000
    assert found["freed_blocks"] > 500


def test_a_collection_that_would_hurt_is_refused_and_a_young_one_is_not() -> None:
    collector._collecting.learn(1, 1.0)
    with pytest.raises(TooLarge, match=r"a full collection would stop this process for about .* at most 5 s"):
        collect_garbage()
    assert collect_garbage(1)["generation"] == 1


@pytest.mark.parametrize(
    "other",
    [
        lambda: trace_memory(1),
        lambda: measure_growth(1),
        lambda: collect_garbage(0),
        lambda: find_backrefs("builtins.dict"),
    ],
)
def test_one_job_at_a_time(other: Callable[[], object]) -> None:
    with traced() as job:
        with pytest.raises(Busy, match="one at a time"):
            other()
        found = memory_report()["tracemalloc"]
        assert (found["tracing"], found["by_profkit"], found["lines"]) == (True, True, [])
        job.result()
    assert issubclass(Busy, ProfkitError)
    assert collect_garbage(0)["generation"] == 0


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_fork_within_a_trace_neither_traces_nor_is_busy() -> None:
    code = """
import os, threading, tracemalloc
from profkit.debug.memory import memory_report
from profkit.debug.memory.tracing import trace_memory
stop = threading.Event()
thread = threading.Thread(target=trace_memory, args=(30,), kwargs={"stop": stop})
thread.start()
while not tracemalloc.is_tracing():
    pass
child = os.fork()
if not child:
    try:
        traced, report = tracemalloc.is_tracing(), memory_report()
        trace_memory(1)
        os._exit(7 if not traced and report["gc"] else 1)
    finally:
        os._exit(2)
stop.set()
thread.join()
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
    options = ["-W", "ignore::DeprecationWarning"]  # 3.12 warns of forking beside threads, the point here
    ran = subprocess.run(
        [sys.executable, *options, "-c", code], capture_output=True, text=True, timeout=30, check=True
    )
    assert ran.stdout.strip() == "7"


@pytest.mark.parametrize("seconds", [0, 0.99, 60.1, -1, float("nan"), float("inf"), True, "5", None])
@pytest.mark.parametrize(
    "job", [trace_memory, measure_growth, lambda seconds: find_backrefs("x", seconds=seconds)]
)
def test_bad_seconds_are_refused(job: Callable[[Any], object], seconds: object) -> None:
    with pytest.raises(ConfigurationError, match=r"seconds: .* allowed is 1 to 60"):
        job(seconds)


@pytest.mark.parametrize("value", [0, 10_000_000, 1.5, True, None])
@pytest.mark.parametrize(
    ("name", "job"),
    [
        ("top", lambda value: trace_memory(1, top=value)),
        ("frames", lambda value: trace_memory(1, frames=value)),
        ("top", lambda value: measure_growth(1, top=value)),
        ("count", lambda value: find_backrefs("x", count=value)),
        ("objects", lambda value: find_backrefs("x", objects=value)),
    ],
)
def test_bad_numbers_are_refused(name: str, job: Callable[[Any], object], value: object) -> None:
    with pytest.raises(
        ConfigurationError, match=rf"{name}: .* allowed is a whole number from 10{{0,3}} to \d+"
    ):
        job(value)


@pytest.mark.parametrize("generation", [-1, 3, True, "2", None])
def test_a_generation_that_there_is_not_is_refused(generation: object) -> None:
    with pytest.raises(ConfigurationError, match="allowed is 0, 1 or 2"):
        collect_garbage(generation)  # type: ignore[arg-type]


def test_paths_are_shown_without_the_servers_directories(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    packages = sysconfig.get_paths()["purelib"]
    assert short_path(f"{packages}/orjson/__init__.py") == "orjson/__init__.py"
    assert short_path(threading.__file__) == "threading.py"
    assert short_path("<frozen importlib._bootstrap>") == "<frozen importlib._bootstrap>"
    assert short_path("/somewhere/else/entirely/app.py") == "app.py"
    assert short_path("app/views.py") == "app/views.py"
    monkeypatch.syspath_prepend(tmp_path)
    assert short_path(f"{tmp_path}/shop/views.py") == "shop/views.py"


def test_limits_are_those_that_are_documented() -> None:
    assert (census.JOB_LIMIT, collector.JOB_LIMIT, tracing.LIMIT) == (2.0, 5.0, 1.0)


def test_names_of_files_are_masked_and_any_search_path_will_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend("/opt")
    monkeypatch.setattr(sys, "path", [*sys.path, Path("/opt/plugins")])
    code = compile(
        "kept = [bytearray(5_000) for _ in range(200)]", "<rule db=postgres://app:hunter2pw@db/x>", "exec"
    )
    running = threading.Event()
    kept: dict[str, Any] = {}

    def allocates() -> None:
        running.wait(0.3)
        exec(code, kept)

    thread = threading.Thread(target=allocates)
    thread.start()
    report = trace_memory(1.0)
    thread.join()
    names = [row["file"] for row in masked(report["lines"], masker)]
    assert "<rule db=postgres://app:***@db/x>" in names
