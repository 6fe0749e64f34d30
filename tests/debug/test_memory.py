"""What `/debug/memory` shows: sizes, types and lines, never an object; tracing that stops what it started."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import sysconfig
import threading
import tracemalloc
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Self

import orjson
import pytest

from profkit.debug import memory
from profkit.debug.allocations import short_path
from profkit.debug.memory import Busy, memory_report, trace_memory
from profkit.debug.single import Recent
from profkit_storage.errors import ConfigurationError, ProfkitError


@pytest.fixture(autouse=True)
def untraced() -> Iterator[None]:
    """Fresh counts, and no tracing left on by a test."""
    memory._type_counts.forget()
    memory._traced_lines.forget()
    assert not tracemalloc.is_tracing()
    yield
    left = tracemalloc.is_tracing()
    tracemalloc.stop()
    assert not left


class Leaky:
    """Found by its type; its repr is a secret."""

    def __init__(self) -> None:
        self.me = self

    def __repr__(self) -> str:
        raise AssertionError("no repr is called")

    @property
    def __class__(self) -> type:  # type: ignore[override]
        raise AssertionError("nor anything else")


def test_sizes_collector_and_types() -> None:
    kept = [Leaky() for _ in range(20_000)]
    found = memory_report(types=10)
    assert orjson.loads(orjson.dumps(found)) == found
    assert found["process"]["rss"] > 10_000_000
    assert found["process"]["uss"] > 1_000_000
    assert 0 < found["process"]["percent"] < 100
    assert found["gc"]["thresholds"] == list(gc.get_threshold())
    assert len(found["gc"]["counts"]) == len(found["gc"]["generations"]) == 3
    assert found["gc"]["enabled"] is True
    assert found["tracemalloc"] == {"tracing": False, "by_profkit": False}
    types = {row["type"]: row["count"] for row in found["types"]["top"]}
    assert len(types) == 10
    assert types[f"{__name__}.Leaky"] == len(kept)
    assert found["types"]["objects"] > 20_000
    assert found["types"]["skipped"] is None
    assert memory_report(types=0)["types"]["top"] == []
    for one in kept:
        del one.me


def test_types_are_counted_at_most_every_five_seconds() -> None:
    gc.collect()  # else the next collection may take away more than is added here
    first = memory_report()["types"]
    kept = [[number] for number in range(5000)]
    again = memory_report()["types"]
    assert again["objects"] == first["objects"]
    assert again["age"] >= first["age"]
    memory._type_counts.forget()
    assert memory_report()["types"]["objects"] > first["objects"] + len(kept) // 2


def test_too_many_objects_are_not_counted_and_a_freeze_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory, "MAX_OBJECTS", 100)
    found = memory_report()["types"]
    assert found["top"] == []
    assert found["skipped"].endswith("more than 100")
    code = (
        "import gc, json; from profkit.debug.memory import memory_report; import objgraph; gc.collect(); gc.freeze()\n"
        "r = memory_report(); print(json.dumps([r['gc']['frozen'], r['types']['objects']]))"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    frozen, objects = orjson.loads(ran.stdout)
    assert frozen > 1000
    assert objects < frozen / 10


def test_without_objgraph_it_says_how_to_install_it() -> None:
    code = (
        "import sys; sys.modules['objgraph'] = None; from profkit.debug.memory import memory_report\n"
        "print(memory_report()['types']['skipped'])"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == 'objgraph is not installed: pip install "profkit[memory]"'


@pytest.mark.parametrize("types", [-1, 1001, 2.5, True, "5", None])
def test_a_bad_number_of_types_is_refused(types: object) -> None:
    with pytest.raises(ConfigurationError, match=r"types: .* allowed is a whole number from 0 to 1000"):
        memory_report(types=types)  # type: ignore[arg-type]


@pytest.mark.parametrize("seconds", [0, 0.99, 60.1, -1, float("nan"), float("inf"), True, "5", None])
def test_bad_seconds_are_refused(seconds: object) -> None:
    with pytest.raises(ConfigurationError, match=r"seconds: .* allowed is 1 to 60"):
        trace_memory(seconds)  # type: ignore[arg-type]


@pytest.mark.parametrize("top", [0, 501, 1.5, True])
def test_a_bad_top_is_refused(top: object) -> None:
    with pytest.raises(ConfigurationError, match=r"top: .* allowed is a whole number from 1 to 500"):
        trace_memory(1, top=top)  # type: ignore[arg-type]


class Traced:
    """A trace in a thread of its own, as a debug route runs it; `with` waits until it traces."""

    def __init__(self, seconds: float = 30, top: int = 25) -> None:
        self.stop = threading.Event()
        self._pool = ThreadPoolExecutor(1)
        self._arguments = seconds, top

    def __enter__(self) -> Self:
        seconds, top = self._arguments
        entered = memory._window._started
        assert not entered
        self._future = self._pool.submit(trace_memory, seconds, top=top, stop=self.stop)
        while not self._inside():
            if self._future.done():
                self._future.result()
        return self

    def _inside(self) -> bool:
        return memory._window._lock.locked() and tracemalloc.is_tracing()

    def __exit__(self, *_: object) -> None:
        self.stop.set()
        self._pool.shutdown()

    def result(self) -> dict[str, object]:
        self.stop.set()
        found = self._future.result()
        assert orjson.loads(orjson.dumps(found)) == found
        return found


def test_a_trace_finds_the_line_that_allocates_and_stops_what_it_started() -> None:
    with Traced(top=3) as traced:
        kept = [bytearray(10_000) for _ in range(500)]
        found = traced.result()
    assert not tracemalloc.is_tracing()
    line = found["lines"][0]
    assert line["file"].endswith("test_memory.py")
    assert not Path(line["file"]).is_absolute()
    assert "bytearray(10_000)" in Path(__file__).read_text(encoding="utf-8").splitlines()[line["line"] - 1]
    assert line["size_bytes"] >= 5_000_000
    assert line["blocks"] >= len(kept)
    assert len(found["lines"]) <= 3
    assert found["stopped_early"] is True
    assert found["tracing"] == "profkit"
    assert found["current_bytes"] >= 5_000_000
    assert found["peak_bytes"] >= found["current_bytes"]
    assert found["seconds"] < 10


def test_a_trace_ends_by_itself() -> None:
    found = trace_memory(1)
    assert 1 <= found["seconds"] < 3
    assert found["stopped_early"] is False
    assert not tracemalloc.is_tracing()


def test_one_trace_at_a_time() -> None:
    with Traced() as traced:
        with pytest.raises(Busy, match="one at a time"):
            trace_memory(1)
        assert memory_report()["tracemalloc"] == {"tracing": True, "by_profkit": True}
        traced.result()
    assert issubclass(Busy, ProfkitError)
    with Traced() as again:
        again.result()


def test_the_applications_own_tracing_is_left_on_and_compared() -> None:
    tracemalloc.start(3)
    try:
        before = [bytearray(1000) for _ in range(1000)]
        with Traced() as traced:
            threading.Event().wait(0.2)  # its first snapshot has no event to wait for
            after = [bytearray(1000) for _ in range(3000)]
            found = traced.result()
        assert tracemalloc.is_tracing()
        assert tracemalloc.get_traceback_limit() == 3
        assert found["tracing"] == "application"
        line = found["lines"][0]
        assert line["size_change_bytes"] >= 3_000_000
        assert line["blocks_change"] >= len(after)
        own = memory_report()["tracemalloc"]
        assert own["tracing"] is True
        assert own["frames"] == 3
        assert own["current_bytes"] >= 4_000_000
        assert 0 < len(own["lines"]) <= 25
        assert len(before) == 1000
    finally:
        tracemalloc.stop()


def test_tracing_stopped_by_the_application_is_an_error_not_a_crash() -> None:
    with Traced() as traced:
        tracemalloc.stop()
        with pytest.raises(ProfkitError, match="stopped tracemalloc"):
            traced.result()
    with Traced() as again:
        again.result()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_fork_within_a_trace_neither_traces_nor_is_busy() -> None:
    code = """
import os, threading, tracemalloc
from profkit.debug import memory
stop = threading.Event()
thread = threading.Thread(target=memory.trace_memory, args=(30,), kwargs={"stop": stop})
thread.start()
while not tracemalloc.is_tracing():
    pass
child = os.fork()
if not child:
    try:
        traced, report = tracemalloc.is_tracing(), memory.memory_report()
        memory.trace_memory(1)
        os._exit(7 if not traced and report["gc"] else 1)
    finally:
        os._exit(2)
stop.set()
thread.join()
print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""
    options = [
        "-W",
        "ignore::DeprecationWarning",
    ]  # 3.12 warns of forking beside threads, which is the point here
    ran = subprocess.run(
        [sys.executable, *options, "-c", code], capture_output=True, text=True, timeout=30, check=True
    )
    assert ran.stdout.strip() == "7"


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


def test_a_recent_answer_is_computed_once_for_all_who_ask() -> None:
    calls: list[int] = []
    gate = threading.Event()

    def compute() -> dict[str, object]:
        calls.append(1)
        gate.wait(5)
        return {"n": len(calls)}

    recent = Recent(compute, 60)
    with ThreadPoolExecutor(4) as pool:
        futures = [pool.submit(recent.get) for _ in range(4)]
        gate.set()
        answers = [future.result()["n"] for future in futures]
    assert answers == [1, 1, 1, 1]
    expired = Recent(compute, 0)
    assert expired.get()["n"] != expired.get()["n"]


def test_an_answer_that_failed_is_computed_again() -> None:
    results = iter([1])

    def compute() -> dict[str, object]:
        if calls := next(results, None):
            raise RuntimeError(calls)
        return {}

    recent = Recent(compute, 60)
    with pytest.raises(RuntimeError):
        recent.get()
    assert recent.get()["age"] >= 0
