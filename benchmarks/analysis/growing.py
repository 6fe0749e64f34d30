"""How `profkit analyze` takes ten times as many profiles, a second process, and a page of all of them."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

from benchmarks.analysis import stores
from benchmarks.analysis.timing import profkit, run
from benchmarks.guards.measuring import Measurement
from tests.chromium import chromium

_FEW, _MANY = 10_000, 100_000
_MB = 1e6


def growth_and_memory() -> tuple[Measurement, ...]:
    """100,000 profiles beside 10,000, with a process for each core."""
    few, many = (run(_analyze(count)) for count in (_FEW, _MANY))
    detail = f"the largest process {few.largest:.0f} and {many.largest:.0f} MB"
    return (
        Measurement("peak memory, 10,000 profiles", few.memory, 400, "MB", detail),
        Measurement("peak memory, 100,000 profiles", many.memory, 400, "MB", detail),
        Measurement(
            "peak memory, 100,000 beside 10,000", many.memory / few.memory, 1.3, "times as much", detail
        ),
        Measurement(
            "time, 100,000 beside 10,000",
            many.seconds / few.seconds,
            11,
            "times as long",
            f"{many.seconds:.0f} s to {few.seconds:.1f}",
        ),
    )


def two_processes() -> tuple[Measurement, ...]:
    """100,000 profiles with two processes and with one."""
    one, two = (run(_analyze(_MANY, "--workers", str(workers))) for workers in (1, 2))
    detail = f"{two.seconds:.0f} s to {one.seconds:.0f}; {two.memory:.0f} MB and {one.memory:.0f}"
    return (
        Measurement(
            "two processes, 100,000 profiles", two.seconds / one.seconds, 0.6, "of one's time", detail
        ),
    )


def report_page() -> tuple[Measurement, ...]:
    """The page of 100,000 profiles: its size, and how long Chromium takes until it is drawn."""
    with tempfile.TemporaryDirectory() as directory:
        page = Path(directory) / "report.html"
        took = run(_analyze(_MANY, "--output", page, form="html"))
        size, seconds = page.stat().st_size, sorted(_opened(page) for _ in range(5))
    detail = f"made in {took.seconds:.0f} s with {took.memory:.0f} MB"
    opening = f"{seconds[0]:.2f} to {seconds[-1]:.2f} s, of 5"
    return (
        Measurement("HTML report of 100,000 profiles", size / _MB, 5, "MB", detail),
        Measurement("opening it in Chromium", seconds[2], 2, "s", opening),
    )


def _analyze(count: int, *options: str | Path, form: str = "json") -> list[str | Path]:
    return profkit("analyze", stores.raw(count), "--format", form, *options)


def _opened(page: Path) -> float:
    """Return the seconds from opening a page, in a browser that runs, until it is drawn and its scripts have run."""
    with chromium() as browser:
        tab = browser.new_page()
        started = time.perf_counter()
        tab.goto(page.as_uri(), wait_until="load")
        tab.evaluate("new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))")
        return time.perf_counter() - started
