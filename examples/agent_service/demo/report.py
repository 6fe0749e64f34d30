"""What the demo says at its end."""

from __future__ import annotations

import os
import shlex
import statistics
import sys
from datetime import datetime
from pathlib import Path

from rich.console import Console
from rich.table import Table

from demo.driver import Outcome
from demo.tour import Stop
from profkit_analyzers import ProfileAnalyzer, Report
from profkit_analyzers.reporters import text
from profkit_analyzers.reporters.terminal import Screen
from profkit_storage import ProfileQuery, open_storage

THRESHOLD = 1.0
TOP = 8


def show_requests(outcomes: list[Outcome], console: Console) -> None:
    """How many were fast, and each that was not."""
    slow = [outcome for outcome in outcomes if outcome.seconds >= THRESHOLD]
    fast = len(outcomes) - len(slow)
    median = statistics.median(outcome.seconds for outcome in outcomes)
    console.print(
        f"{len(outcomes)} requests: {fast} ({fast / len(outcomes):.1%}) took less than {THRESHOLD:g} s, "
        f"the median {median * 1000:.0f} ms; {len(slow)} were slow:"
    )
    for outcome in slow:
        console.print(f"  {outcome.seconds:.2f} s  {outcome.request_id}  {outcome.text!r}", highlight=False)


def show_tour(stops: list[Stop], console: Console) -> None:
    """What each debug route answered."""
    table = Table("debug route", "no token", "token", "seen", box=None, pad_edge=False)
    for stop in stops:
        table.add_row(stop.route, str(stop.refused), str(stop.status), stop.seen)
    console.print()
    console.print(table)


def analyze(store: Path, since: datetime, until: datetime) -> Report:
    """Rank what slow operations spent their time on, of those that began between two moments."""
    with open_storage(store, create=False) as storage:
        return ProfileAnalyzer(storage).analyze(ProfileQuery(since=since, until=until), top=TOP)


def show_ranking(report: Report) -> None:
    """The page that `profkit analyze` prints."""
    print(f"\n{text.render(report, Screen.of_stdout())}")


def show_commands(store: Path, report: Report) -> None:
    """Where the profiles are, and how to look further."""
    where, programs = shlex.quote(short(store)), Path(sys.executable).parent
    profkit, pyinstrument = short(programs / "profkit"), short(programs / "pyinstrument")
    print(f"The profiles are in {where}. To look further:")
    commands = [f"{profkit} list {where}", f"{profkit} analyze {where} --format json"]
    if report.bottlenecks:
        worst = report.bottlenecks[0].exemplar
        commands += [
            f"{profkit} show {worst} {where}",
            f"{profkit} export {worst} {where} --format html -o slow.html",
            f"{profkit} export {worst} {where} --format pyinstrument -o slow.pyisession",
            f"{pyinstrument} --load slow.pyisession",
        ]
    print("".join(f"  {command}\n" for command in commands), end="")


def short(path: Path) -> str:
    """Return the path as one would type it here."""
    relative = os.path.relpath(path)
    return str(path) if relative.startswith("..") else relative
