"""`profkit analyze` beside what else sums profiles up."""

from __future__ import annotations

import statistics
import sys
from pathlib import Path

from benchmarks.analysis import stores
from benchmarks.analysis.timing import profkit, run
from benchmarks.guards.measuring import Measurement

_PROFILES = 10_000
_ROUNDS = 3


def against_peers() -> tuple[Measurement, ...]:
    """10,000 profiles, whole processes one after the other: raw and compacted beside pprof, raw beside plain Python."""
    raw, compacted = stores.raw(_PROFILES), stores.compacted(_PROFILES)
    files = sorted(stores.as_pprof(_PROFILES).iterdir())
    sides = {
        "raw": profkit("analyze", raw, "--format", "json"),
        "compacted": profkit("analyze", compacted, "--format", "json"),
        "pprof": ["go", "tool", "pprof", "-top", *files],
        "plain": [sys.executable, Path(__file__).with_name("plain.py"), stores.as_pyinstrument(_PROFILES)],
    }
    run(profkit("analyze", "--help"))  # its bytecode is there from then on
    rounds = [{name: run(command).seconds for name, command in sides.items()} for _ in range(_ROUNDS)]
    return tuple(
        Measurement(
            f"analyze 10,000 profiles, {ours}, beside {name}",
            statistics.median(each[ours] / each[theirs] for each in rounds),
            limit,
            "of its time",
            ", ".join(f"{each[ours]:.1f} s to {each[theirs]:.1f}" for each in rounds),
        )
        for ours, theirs, name, limit in (
            ("raw", "pprof", "`go tool pprof -top`", 1 / 10),
            ("raw", "plain", "plain Python with orjson", 1 / 2),
            ("compacted", "pprof", "`go tool pprof -top`", 1 / 40),
        )
    )
