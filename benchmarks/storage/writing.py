"""How many profiles a second four processes put into one local store, each brought down to the disk."""

from __future__ import annotations

import dataclasses
import itertools
import os
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path

from benchmarks.guards import measuring
from benchmarks.guards.measuring import Measurement, spread
from benchmarks.storage.profiles import NOON, Service
from profkit_storage import LocalStorage, Profile, encode
from profkit_storage.ulid import new_ulid

_ROOT = Path(__file__).resolve().parents[2]
_WRITERS = 4
_SECONDS = 1.0


def puts_with_fsync() -> tuple[Measurement, ...]:
    """Encoded, written, fsynced and renamed by `put`, against the bytes alone written, fsynced and renamed."""
    pairs = [(_rate("bare"), _rate("put")) for _ in range(measuring.PAIRS)]
    ratios = [ours / bare for bare, ours in pairs]
    bare, ours = (statistics.median(side) for side in zip(*pairs, strict=True))
    detail = f"{ours:,.0f} beside {bare:,.0f} a second; {spread(ratios)}"
    name = f"local put with fsync from {_WRITERS} processes, profiles a second"
    return (
        Measurement(
            name, statistics.median(ratios), 0.5, "of bare write, fsync, rename", detail, at_least=True
        ),
    )


def _rate(side: str) -> float:
    """Return the profiles a second that all writers together wrote."""
    command = [sys.executable, "-c", "from benchmarks.storage.writing import main; main()", side]
    with tempfile.TemporaryDirectory(dir=_ROOT) as directory, ExitStack() as stack:
        writers = [
            stack.enter_context(
                subprocess.Popen(
                    [*command, directory], cwd=_ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
                )
            )
            for _ in range(_WRITERS)
        ]
        for writer in writers:
            assert writer.stdout is not None
            writer.stdout.readline()  # it is ready
        counts: list[int] = []
        for writer in writers:
            assert writer.stdin is not None
            writer.stdin.write("go\n")
            writer.stdin.flush()
        counts += [int(writer.communicate()[0]) for writer in writers]
    return sum(counts) / _SECONDS


def _put(directory: Path, profile: Profile) -> int:
    store = LocalStorage(directory)
    until = time.perf_counter() + _SECONDS
    for number in itertools.count():
        if time.perf_counter() > until:
            return number
        start_ns = NOON + number * 1_000_000
        store.put(dataclasses.replace(profile, id=new_ulid(start_ns), start_ns=start_ns))
    raise AssertionError("it never ends")


def _write(directory: Path, profile: Profile) -> int:
    data = encode(profile)
    until = time.perf_counter() + _SECONDS
    for number in itertools.count():
        if time.perf_counter() > until:
            return number
        path = directory / f"{os.getpid()}-{number}"
        temporary = path.with_suffix(".tmp")
        with temporary.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    raise AssertionError("it never ends")


def main() -> None:
    """Write for a second once a line comes in; print how many that were."""
    side, directory = sys.argv[1:]
    profile = Service(depth=45).profile(NOON, 2.0)
    print("ready", flush=True)
    sys.stdin.readline()
    print((_put if side == "put" else _write)(Path(directory), profile))
