"""A real Dask scheduler and two workers, processes of their own, one of them killed half-way."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time

import pytest

from profkit_analyzers import DaskCluster, ProfileAnalyzer
from profkit_analyzers.engines.cluster import ClusterUnavailable
from profkit_storage import ConfigurationError, MemoryStorage, open_storage


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    """The scheduler's address, and the two workers."""
    directory = tmp_path_factory.mktemp("dask")
    processes = []

    def start(name, *arguments):
        log = directory / name
        with log.open("wb") as out:
            processes.append(
                subprocess.Popen(
                    [sys.executable, "-m", "dask", *arguments], stdout=out, stderr=out, cwd=directory
                )
            )
        return log

    def wait(log, pattern, count=1):
        for _ in range(600):
            found = re.findall(pattern, log.read_text())
            if len(found) >= count:
                return found[0]
            time.sleep(0.1)
        raise AssertionError(log.read_text())

    try:
        scheduler = start("scheduler", "scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard")
        address = wait(scheduler, r"Scheduler at:\s+(tcp://127\.0\.0\.1:\d+)")
        for name in ("one", "two"):
            start(
                name,
                "worker",
                address,
                "--no-nanny",
                "--nthreads",
                "1",
                "--no-dashboard",
                "--host",
                "127.0.0.1",
            )
        wait(scheduler, r"Register worker|Starting worker compute stream", 2)
        yield address, processes[1:]
    finally:
        for process in processes:
            process.kill()
        for process in processes:
            process.wait()


@pytest.fixture
def store(tmp_path, make_profile, monkeypatch):
    monkeypatch.setattr("profkit_analyzers.engines.parts.CHUNK", 5)
    with open_storage(tmp_path / "store") as storage:
        for number in range(120):
            storage.put(make_profile(operation=f"op{number % 3}", weight=1.0 + number % 2))
        yield storage


def test_a_cluster_is_handed_only_what_no_cache_has(cluster, store, tmp_path):
    alone, cache = ProfileAnalyzer(store).analyze(), tmp_path / "cache"
    on_cluster = ProfileAnalyzer(store, engine=DaskCluster(cluster[0]), cache=cache)
    assert on_cluster.analyze() == alone
    kept = sorted(cache.iterdir())
    assert len(kept) == 24
    for path in kept[::5]:
        path.unlink()
    assert on_cluster.analyze() == alone
    assert sorted(cache.iterdir()) == kept
    nowhere = DaskCluster("tcp://127.0.0.1:9")
    assert ProfileAnalyzer(store, engine=nowhere, cache=cache).analyze() == alone


def test_a_cluster_gives_what_one_process_does_also_when_a_worker_dies(cluster, store):
    address, workers = cluster
    alone = ProfileAnalyzer(store).analyze()
    assert ProfileAnalyzer(store, engine=DaskCluster(address)).analyze() == alone

    def kill(done, total):
        if done == 30:
            os.kill(workers[0].pid, signal.SIGKILL)

    assert ProfileAnalyzer(store, engine=DaskCluster(address)).analyze(progress=kill) == alone
    assert workers[0].wait(5) == -signal.SIGKILL
    assert workers[1].poll() is None


def test_where_no_scheduler_is_one_line_says_so(store, monkeypatch):
    monkeypatch.setattr("profkit_analyzers.engines.cluster._PATIENCE", 1)
    with pytest.raises(ClusterUnavailable, match=r"scheduler at 'tcp://127\.0\.0\.1:9' cannot be used"):
        ProfileAnalyzer(store, engine=DaskCluster("tcp://127.0.0.1:9")).analyze()


@pytest.mark.parametrize("address", ["nonsense://x", "not an address", "", "tcp://host"])
def test_what_is_no_address_is_refused_early(address):
    with pytest.raises(ConfigurationError, match=f"Dask scheduler '{address}': .* such as tcp://10"):
        DaskCluster(address)


def test_a_store_in_memory_is_refused(make_profile):
    store = MemoryStorage()
    store.put(make_profile())
    with pytest.raises(ConfigurationError, match="workers cannot read a store in this process's memory"):
        ProfileAnalyzer(store, engine=DaskCluster("tcp://127.0.0.1:9")).analyze()
