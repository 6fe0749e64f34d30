"""However the profiles are cut into chunks, and wherever these are worked through, the answer is the same."""

from __future__ import annotations

import dataclasses
import gc
import itertools
import os
import random
import signal
import subprocess
import sys
from datetime import timedelta

import psutil
import pytest

from profkit_analyzers import InProcess, ProcessPool, ProfileAnalyzer
from profkit_analyzers.engines.engine import WorkersDied
from profkit_analyzers.engines.parts import Criteria
from profkit_analyzers.ranking.budgets import Budgets
from profkit_storage import (
    ChildOperation,
    ConfigurationError,
    Enclosing,
    MemoryStorage,
    ProfileQuery,
    open_storage,
)
from profkit_storage.blocks.compaction import Compaction
from profkit_storage.categories import default_categories

START = 1_770_000_000_000_000_000


def captured(make_profile, frames, seed, count=60):
    """Profiles of a few processes, many of them inside others of which some were dropped."""
    source = random.Random(seed)
    outer: dict[tuple[int, int], tuple[float, float]] = {}
    at = 0.0
    for number in range(1, count + 1):
        at += source.choice([0.0, 0.01, 0.6, 2.0])
        pid, wall = source.randrange(2), source.choice([0.6, 1.5, 6.0])
        inside = [
            name[1]
            for name, (begin, end) in outer.items()
            if name[0] == pid and begin <= at and at + wall <= end
        ]
        outer[pid, number] = at, at + wall
        if source.random() < 0.2:
            continue  # dropped
        yield make_profile(
            operation=source.choice("abc"),
            category="",
            start_ns=START + round(at * 1e9),
            number=number,
            pid=pid + 1,
            enclosing=tuple(Enclosing(outside, source.random() < 0.7) for outside in inside),
            weight=source.choice([1.0, 1.0, 2.0, 3.5]),
            threshold=0.5,
            host=f"web-{pid}",
            stacks=[
                ([frames.app(f"app:f{source.randrange(3)}"), frames.lib(f"{owner}:call", owner)], wall / 2)
                for owner in source.sample(["redis", "openai", "orjson", "sqlalchemy"], 2)
            ],
        )


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("operation", [None, "a"])
def test_any_cut_gives_the_same_report(make_profile, frames, monkeypatch, seed, operation):
    query, store = ProfileQuery(operation=operation), MemoryStorage()
    for profile in captured(make_profile, frames, seed):
        store.put(profile)
    monkeypatch.setattr("profkit_analyzers.engines.parts.CHUNK", 10_000)
    whole = ProfileAnalyzer(store).analyze(query)
    assert operation or whole.nested, "else this shows little"
    for size in (1, 2, 3, 5, 11, 30):
        monkeypatch.setattr("profkit_analyzers.engines.parts.CHUNK", size)
        assert ProfileAnalyzer(store).analyze(query).to_dict() == whole.to_dict()


@pytest.mark.parametrize("sparse", [0, 32])
def test_a_compacted_store_gives_the_same_report(make_profile, frames, monkeypatch, sparse):
    """Its profiles share their frames and nodes; numbered one by one, or all at once."""
    monkeypatch.setattr("profkit_analyzers.attribution.stacks._SPARSE", sparse)
    store = MemoryStorage()
    for profile in captured(make_profile, frames, 2):
        store.put(profile)
    before = ProfileAnalyzer(store).analyze(pictures=True)
    list(Compaction(store, grace=timedelta(0), smallest=0).run())
    assert all(entry.key.startswith("blocks/") for entry in store.scan())
    after = ProfileAnalyzer(store).analyze(pictures=True)
    assert after == before
    assert before.bottlenecks


def test_what_was_added_to_a_summary_is_let_go(make_profile, frames):
    """By counting references, since Python's collector pauses while a chunk is read."""
    [profile] = itertools.islice(captured(make_profile, frames, 1), 1)
    profile = dataclasses.replace(profile, children=(ChildOperation("orders", "db", 0.0, 0.2, {}),))
    criteria = Criteria(default_categories(), Budgets(), whole=True, pictured=True)
    summary = criteria.new()
    criteria.add(summary, make_profile(operation="the one that the last question was about"), nested=False)
    gc.collect()
    gc.disable()
    try:
        criteria.add(summary, profile, nested=False)
        criteria.add(summary, make_profile(operation="another"), nested=False)
        assert [type(one).__name__ for one in gc.get_referrers(profile)] in ([], ["frame"])
    finally:
        gc.enable()


def test_several_processes_give_what_one_does(make_profile, frames, tmp_path, monkeypatch):
    monkeypatch.setattr("profkit_analyzers.engines.parts.CHUNK", 10)
    with open_storage(tmp_path) as store:
        entries = [store.put(profile) for profile in captured(make_profile, frames, 1)]
        (store.path / entries[7].key).write_bytes(b"x" * 300)
        alone = ProfileAnalyzer(store, engine=InProcess()).analyze()
        seen = []
        together = ProfileAnalyzer(store, engine=ProcessPool(2)).analyze(
            progress=lambda done, total: seen.append((done, total))
        )
    assert together == alone
    assert alone.skipped_count == 1
    assert seen[-1] == (len(entries), len(entries))


def test_a_store_in_memory_is_read_where_it_is(make_profile, monkeypatch):
    monkeypatch.setattr("profkit_analyzers.engines.parts.CHUNK", 1)
    store = MemoryStorage()
    for _ in range(3):
        store.put(make_profile())
    assert ProfileAnalyzer(store, engine=ProcessPool(2)).analyze().profiles == 3


def test_a_killed_process_ends_the_work_with_a_word_about_it(make_profile, tmp_path, monkeypatch):
    monkeypatch.setattr("profkit_analyzers.engines.parts.CHUNK", 1)
    with open_storage(tmp_path) as store:
        for _ in range(300):
            store.put(make_profile())

        def kill(done, total):
            import multiprocessing

            for child in multiprocessing.active_children():
                os.kill(child.pid, signal.SIGKILL)

        with pytest.raises(WorkersDied, match="killed, or out of memory"):
            ProfileAnalyzer(store, engine=ProcessPool(2)).analyze(progress=kill)


SCRIPT = """
import sys, time
from profkit_analyzers import ProcessPool, ProfileAnalyzer
from profkit_analyzers.engines import parts
from profkit_storage import open_storage

def pause(done, total):
    print("going", flush=True)
    time.sleep(60)

if __name__ == "__main__":
    parts.CHUNK = 2
    ProfileAnalyzer(open_storage(sys.argv[1]), engine=ProcessPool(2)).analyze(progress=pause)
"""


def test_where_the_process_that_asked_is_killed_none_stays_behind(make_profile, tmp_path):
    with open_storage(tmp_path / "store") as store:
        for _ in range(40):
            store.put(make_profile())
    (tmp_path / "script.py").write_text(SCRIPT)
    command = [sys.executable, str(tmp_path / "script.py"), str(tmp_path / "store")]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as asking:
        assert asking.stdout is not None
        assert asking.stdout.readline() == b"going\n"
        workers = psutil.Process(asking.pid).children(recursive=True)
        assert len(workers) >= 2
        asking.kill()
    _, alive = psutil.wait_procs(workers, timeout=20)
    assert not alive


@pytest.mark.parametrize("workers", [0, 257, 1.5, True])
def test_no_number_of_processes_is_refused(workers):
    with pytest.raises(ConfigurationError, match=f"workers {workers}: must be a whole number from 1 to 256"):
        ProcessPool(workers)
