"""What `/debug/memory` shows: sizes, types and lines, never an object; and that a look disturbs nobody."""

from __future__ import annotations

import ast
import ctypes
import gc
import subprocess
import sys
import threading
import tracemalloc
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import orjson
import pytest

from profkit.debug.memory import census, collector, footprint, memory_report, report, snapshots
from profkit.debug.memory.census import recent_census, take_census
from profkit.debug.memory.footprint import heap_memory
from profkit.debug.memory.holds import Cost, TooLarge, held
from profkit.debug.memory.single import Recent
from profkit.debug.memory.typenames import own_name, shown_name, type_name
from profkit.masking import masker
from profkit_storage.errors import ConfigurationError


@pytest.fixture(autouse=True)
def untraced(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Fresh counts and costs, limits that a busy machine does not reach, and no tracing left on by a test."""
    for module in (census, collector, report):
        monkeypatch.setattr(module, "LOOK_LIMIT", 60.0)
    for one in (recent_census, report._traced_lines, census.listing, snapshots._cost, footprint._walking):
        one.forget()
    assert not tracemalloc.is_tracing()
    yield
    left = tracemalloc.is_tracing()
    tracemalloc.stop()
    assert not left


class Hostile(type):
    """A metaclass of which every part runs code."""

    def __hash__(cls) -> int:
        raise AssertionError("no hash of a type is asked for")

    def __eq__(cls, other: object) -> bool:
        raise AssertionError("nor are types compared")

    @property
    def __module__(cls) -> str:  # type: ignore[override]
        raise AssertionError("nor are their names asked for")

    def __repr__(cls) -> str:
        raise AssertionError("nor what they look like")


class Leaky(metaclass=Hostile):
    """Found by its type; its repr is a secret."""

    def __init__(self) -> None:
        self.me = self

    def __repr__(self) -> str:
        raise AssertionError("no repr is called")

    @property
    def __class__(self) -> type:  # type: ignore[override]
        raise AssertionError("nor anything else")


LEAKY = "tests.debug.test_memory.Leaky" if __name__.startswith("tests.") else f"{__name__}.Leaky"


def test_sizes_collector_and_types() -> None:
    kept = [Leaky() for _ in range(20_000)]
    found: Any = memory_report(types=10)
    assert orjson.loads(orjson.dumps(found)) == found
    assert found["process"]["rss"] > 10_000_000
    assert found["process"]["uss"] > 1_000_000
    assert 0 < found["process"]["percent"] < 100
    assert found["gc"]["thresholds"] == list(gc.get_threshold())
    assert len(found["gc"]["counts"]) == len(found["gc"]["generations"]) == 3
    assert found["gc"]["enabled"] is True
    assert found["gc"]["frozen"] == gc.get_freeze_count()  # not zero in 3.12
    assert found["tracemalloc"]["tracing"] is found["tracemalloc"]["by_profkit"] is False
    types = {row["type"]: row["count"] for row in found["types"]["top"]}
    assert len(types) == 10
    assert types[LEAKY] == len(kept)
    assert found["types"]["objects"] > 20_000
    assert found["types"]["types_left_out"] > 100
    assert found["types"]["skipped"] is None
    assert 0 < found["types"]["stall_seconds"] <= found["types"]["seconds"]
    assert memory_report(types=0)["types"]["top"] == []
    for one in kept:
        del one.me


def test_types_are_as_many_as_objgraph_counts() -> None:
    # In a process of one thread: what objgraph lists makes others raise. And it asks every class for its name.
    code = (
        "import objgraph; from profkit.debug.memory.census import take_census\n"
        "class Leaky: pass\n"
        "kept = [Leaky() for _ in range(1_000)]\n"
        "for one in kept: one.me = one\n"
        "names = '__main__.Leaky', 'builtins.function', 'builtins.module', 'builtins.type', 'builtins.property'\n"
        "ours, theirs = take_census(60.0).counts, objgraph.typestats(shortnames=False)\n"
        "print([(ours[name], theirs[name]) for name in names])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    pairs = ast.literal_eval(done.stdout)
    assert pairs[0] == (1_000, 1_000)
    assert all(ours == theirs for ours, theirs in pairs)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="the parts of RSS are Linux's")
def test_the_parts_of_resident_memory_add_up() -> None:
    process: Any = memory_report()["process"]
    parts = process["anonymous_bytes"] + process["file_bytes"] + process["shmem_bytes"]
    assert parts == pytest.approx(process["rss"], rel=0.05)
    assert process["rss_peak_bytes"] >= process["rss"] * 0.95
    assert process["uss"] <= process["pss"] * 1.05
    assert 0 < process["seconds"] < 5
    again: Any = memory_report()["process"]
    assert again["seconds"] == process["seconds"]  # not measured again so soon
    assert again["age"] >= process["age"]


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "mallinfo2"), reason="needs glibc 2.33")
def test_holes_in_the_heap_are_seen() -> None:
    before: Any = heap_memory()["malloc"]
    kept = [bytes(2000) for _ in range(20_000)]
    full: Any = heap_memory()["malloc"]
    del kept[::2]
    holes: Any = heap_memory()["malloc"]
    assert full["in_use_bytes"] - before["in_use_bytes"] > 30_000_000
    assert full["heap_bytes"] >= full["in_use_bytes"]
    assert holes["free_bytes"] - full["free_bytes"] > 15_000_000
    assert holes["free_blocks"] - full["free_blocks"] > 9_000
    assert holes["stall_seconds"] > full["stall_seconds"] / 100
    assert len(kept) == 10_000


def test_what_the_allocators_do_not_tell_is_none_and_says_why(monkeypatch: pytest.MonkeyPatch) -> None:
    found = heap_memory()
    assert found["python_blocks"] == pytest.approx(sys.getallocatedblocks(), rel=0.2)
    assert found["python_arena_bytes"] is None
    assert "standard error" in found["unknown"]["python_arena_bytes"]
    monkeypatch.setattr(footprint, "_mallinfo2", lambda: None)
    found = heap_memory()
    assert found["malloc"] is None
    assert "glibc 2.33" in found["unknown"]["malloc"]
    monkeypatch.undo()
    footprint._walking.learn(1, 10.0)
    if footprint._mallinfo2():
        assert "at most 0.04 s is allowed" in heap_memory()["unknown"]["malloc"]


def test_types_are_counted_at_most_every_five_seconds() -> None:
    gc.collect()  # else the next collection may take away more than is added here
    first: Any = memory_report()["types"]
    kept = [[number] for number in range(5000)]
    again: Any = memory_report()["types"]
    assert again["objects"] == first["objects"]
    assert again["age"] >= first["age"]
    recent_census.forget()
    found: Any = memory_report()["types"]
    assert found["objects"] > first["objects"] + len(kept) // 2


def test_a_large_heap_is_not_counted_and_what_a_job_counted_is_shown() -> None:
    census.listing.learn(1, 1.0)
    found: Any = memory_report()["types"]
    assert found["top"] == []
    assert found["objects"] is found["age"] is None
    assert "at most 60 s is allowed here; POST memory/growth" in found["skipped"]
    census.listing.forget()
    recent_census.put(take_census(60))
    census.listing.learn(1, 1.0)
    recent_census._found = recent_census._found[0], recent_census._found[1] - 100  # type: ignore[index]
    found = memory_report()["types"]
    assert len(found["top"]) == 25
    assert found["age"] >= 100
    assert "POST memory/growth" in found["skipped"]


def test_a_freeze_is_told() -> None:
    code = (
        "import gc, json; from profkit.debug.memory import memory_report; gc.collect(); gc.freeze()\n"
        "r = memory_report(); print(json.dumps([r['gc']['frozen'], r['types']['objects']]))"
    )
    ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    frozen, objects = orjson.loads(ran.stdout)
    assert frozen > 1000
    assert objects < frozen / 10


def test_tuples_that_are_being_built_are_left_alone() -> None:
    """`tuple(generator)` makes the tuple larger as it goes, which fails if anybody else holds it."""
    stop = threading.Event()
    faults: list[SystemError] = []

    def numbers() -> Iterator[list[int]]:
        for number in range(50):
            yield [number]

    def build() -> None:
        while not stop.is_set():
            try:
                tuple(numbers())
            except SystemError as error:
                faults.append(error)

    builder = threading.Thread(target=build)
    builder.start()
    try:
        for _ in range(10):
            take_census(60)
    finally:
        stop.set()
        builder.join()
    assert faults == []


def test_nothing_is_kept_alive_by_a_count() -> None:
    census_of_now = take_census(60)
    assert all(type(name) is str and type(count) is int for name, count in census_of_now.counts.items())
    assert sum(census_of_now.counts.values()) == census_of_now.objects


def test_names_of_types_are_read_without_their_code() -> None:
    class Odd(str):
        __slots__ = ()

        def __format__(self, spec: str) -> str:
            raise AssertionError("no code of a name runs")

    kind = type("Plain", (), {})
    kind.__qualname__ = Odd("Secretive")
    assert type_name(kind).endswith(".Secretive")
    kind.__module__ = Odd("module")
    assert type_name(kind) == "Secretive"
    assert type_name(Leaky) == LEAKY
    assert own_name(Leaky) == LEAKY
    assert own_name(sys) == "sys"
    assert own_name(test_a_freeze_is_told) == LEAKY.replace("Leaky", "test_a_freeze_is_told")
    assert own_name(object()) is None


def test_names_of_types_are_masked_and_bounded() -> None:
    key = "ghp_abcdefghijklmnopqrstuvwxyz0123456789"
    kept = [type(f"Client_{key}", (), {})() for _ in range(3)]
    shown = shown_name(type_name(type(kept[0])), masker)
    assert key not in shown
    assert len(shown_name("x" * 1000, masker)) == 200
    mangled = [name for name in take_census(60).counts if key not in name and len(name) <= 200]
    assert [name for name in mangled if shown_name(name, masker) != name] == []


@pytest.mark.parametrize("types", [-1, 1001, 2.5, True, "5", None])
def test_a_bad_number_of_types_is_refused(types: object) -> None:
    with pytest.raises(ConfigurationError, match=r"types: .* allowed is a whole number from 0 to 1000"):
        memory_report(types=types)  # type: ignore[arg-type]


def test_the_applications_own_tracing_is_shown_if_it_is_cheap() -> None:
    tracemalloc.start(3)
    try:
        kept = [bytearray(1000) for _ in range(3000)]
        found: Any = memory_report()["tracemalloc"]
        assert found["tracing"] is True
        assert found["by_profkit"] is False
        assert found["frames"] == 3
        assert found["current_bytes"] >= 3_000_000
        assert 0 < len(found["lines"]) <= 25
        assert found["lines"][0]["file"].endswith("test_memory.py")
        assert found["lines"][0]["size_bytes"] >= 3_000_000
        assert found["stall_seconds"] > 0
        report._traced_lines.forget()
        snapshots._cost.learn(1, 1.0)
        found = memory_report()["tracemalloc"]
        assert found["lines"] == []
        assert "blocks of memory are traced" in found["skipped"]
        assert len(kept) == 3000
    finally:
        tracemalloc.stop()


def test_a_hold_is_the_calls_own_time() -> None:
    """No other thread gets a turn between the clock and the call, however many want one."""
    stop = threading.Event()

    def spin() -> None:
        while not stop.is_set():
            pass

    spinning = [threading.Thread(target=spin) for _ in range(4)]
    for one in spinning:
        one.start()
    try:
        seconds = sorted(held(gc.get_count)[1] for _ in range(200))
    finally:
        stop.set()
        for one in spinning:
            one.join()
    assert seconds[180] < 0.001
    assert held(lambda: 7)[0] == 7


def test_costs_are_foretold_by_what_was_measured() -> None:
    cost = Cost("counting", "things are here", 1e-3)
    assert cost.expected(10) == pytest.approx(0.01)
    cost.check(10, 0.01)
    with pytest.raises(
        TooLarge, match=r"20 things are here: counting would stop this process for about 0\.02 s"
    ):
        cost.check(20, 0.01)
    cost.learn(10, 0.1)
    assert cost.expected(10) == pytest.approx(0.055)
    cost.learn(10, 0.1)
    assert cost.expected(10) == pytest.approx(0.0775)
    cost._learned -= 301  # what was measured long ago no longer counts
    assert cost.expected(10) == pytest.approx(0.01)


def test_a_recent_answer_is_computed_once_for_all_who_ask() -> None:
    calls: list[int] = []
    gate = threading.Event()

    def compute() -> int:
        calls.append(1)
        gate.wait(5)
        return len(calls)

    recent = Recent(compute, 60)
    assert recent.last() is None
    with ThreadPoolExecutor(4) as pool:
        futures = [pool.submit(recent.get) for _ in range(4)]
        gate.set()
        answers = [future.result()[0] for future in futures]
    assert answers == [1, 1, 1, 1]
    recent.put(9)
    assert recent.get()[0] == 9
    expired = Recent(compute, 0)
    assert expired.get()[0] != expired.get()[0]


def test_an_answer_that_failed_is_computed_again() -> None:
    results = iter([1])

    def compute() -> str:
        if calls := next(results, None):
            raise RuntimeError(calls)
        return "well"

    recent = Recent(compute, 60)
    with pytest.raises(RuntimeError):
        recent.get()
    value, age = recent.get()
    assert value == "well"
    assert age >= 0
    assert recent.last() is not None
