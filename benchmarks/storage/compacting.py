"""What a compaction saves, and what it and reading from a block cost."""

from __future__ import annotations

import random
import statistics
import subprocess
import sys
import tempfile
import time
from datetime import timedelta
from pathlib import Path

from benchmarks.guards.measuring import Measurement
from benchmarks.storage.profiles import Service
from profkit_storage import LocalStorage
from profkit_storage.blocks.compaction import Compaction
from profkit_storage.blocks.working import Compacted

_ROOT = Path(__file__).resolve().parents[2]
_PROFILES = 10_000
_MANY = 100_000
_LOADS = 30


def compacted_bytes() -> tuple[Measurement, ...]:
    """10,000 profiles of an hour: bytes of the block's files against those of the originals."""
    with tempfile.TemporaryDirectory() as directory:
        done, seconds = compact(_filled(Path(directory), _PROFILES))
        after = sum(path.stat().st_size for path in Path(directory).glob("blocks/**/*.*") if path.is_file())
    detail = (
        f"{done.before:,} to {after:,} bytes, the manifest's included, {after / _PROFILES:,.0f} a profile; "
        f"{done.blocks} blocks in {seconds:.1f} s"
    )
    return (
        Measurement(
            "compaction of 10,000 profiles, bytes after", after / done.before, 1 / 3, "of before", detail
        ),
    )


def load_from_block() -> tuple[Measurement, ...]:
    """One of 10,000 compacted profiles, each by a store newly opened; and all of them one after the other."""
    with tempfile.TemporaryDirectory() as directory:
        compact(_filled(Path(directory), _PROFILES))
        ids = [entry.id for entry in LocalStorage(directory).scan()]
        LocalStorage(directory).load(ids[0])  # Polars is imported once a process
        times = [_load(directory, id) for id in random.Random(1).sample(ids, _LOADS)]
        started = time.perf_counter()
        store = LocalStorage(directory)
        count = sum(1 for entry in store.scan() if store.load_entry(entry))
        each = (time.perf_counter() - started) / count * 1e3
    detail = f"median of {_LOADS}, the slowest {max(times) * 1e3:.0f} ms; in order {each:.2f} ms each"
    return (
        Measurement("load of one of 10,000 in a block", statistics.median(times) * 1e3, 100.0, "ms", detail),
    )


def compaction_memory() -> tuple[Measurement, ...]:
    """The largest resident memory of a process that compacts 100,000 profiles of an hour."""
    with tempfile.TemporaryDirectory() as directory:
        _filled(Path(directory), _MANY)
        command = [sys.executable, "-c", "from benchmarks.storage.compacting import main; main()", directory]
        done = subprocess.run(command, cwd=_ROOT, stdout=subprocess.PIPE, text=True, check=True)
    peak, before, blocks, seconds = (float(word) for word in done.stdout.split())
    detail = f"{before:.0f} MB before; {blocks:.0f} blocks in {seconds:.0f} s"
    return (Measurement(f"memory while compacting {_MANY:,} profiles", peak, 500.0, "MB", detail),)


def compact(store: LocalStorage) -> tuple[Compacted, float]:
    """Compact everything; return what was done and the seconds it took."""
    started = time.perf_counter()
    total = Compacted(hour="", service="")
    for done in Compaction(store, grace=timedelta(0)).run():
        total.add(done)
    return total, time.perf_counter() - started


def _filled(directory: Path, count: int) -> LocalStorage:
    """Return a store of so many profiles of an hour; not brought down to the disk one by one, which would take long."""
    from profkit_storage import encode
    from profkit_storage.keys import profile_key

    store = LocalStorage(directory)
    for profile in Service().profiles(count):
        path = directory / profile_key(profile)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(encode(profile))
    return store


def _load(directory: str, id: str) -> float:
    store = LocalStorage(directory, create=False)
    started = time.perf_counter()
    store.load(id)
    return time.perf_counter() - started


def main() -> None:
    """Compact a store in a process of its own; print the peak, and what was there before, in MB; blocks and seconds."""
    import resource

    directory = sys.argv[1]
    unit = 2**20 if sys.platform == "darwin" else 2**10
    store = LocalStorage(directory)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit
    done, seconds = compact(store)
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit, before, done.blocks, seconds)
