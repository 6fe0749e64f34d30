"""The application's own 99th percentile while 200 bad clients ask for the debug routes, against without them."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
from collections import Counter
from pathlib import Path

from benchmarks.debug.served import server
from benchmarks.guards.measuring import Measurement, spread

PAIRS = 11
SECONDS = 3.0
_ROOT = Path(__file__).resolve().parents[2]


def bad_clients() -> tuple[Measurement, ...]:
    """In turns: nobody, bad clients at the debug routes, the same at paths that the application does not have.

    The last is what bad clients cost any application on this server, whatever its routes do.
    """
    alone: list[float] = []
    beside: list[float] = []
    elsewhere: list[float] = []
    answers: Counter[str] = Counter()
    with server() as (port, _):
        percentile(port, 1.0)
        for _ in range(PAIRS):
            alone.append(percentile(port, SECONDS))
            beside.append(beside_pests(port, SECONDS, "/debug", answers))
            elsewhere.append(beside_pests(port, SECONDS, "/none", Counter()))
    ratios = [bad / good for good, bad in zip(alone, beside, strict=True)]
    others = [bad / good for good, bad in zip(alone, elsewhere, strict=True)]
    told = ", ".join(f"{status}: {count}" for status, count in sorted(answers.items()))
    detail = (
        f"{spread(ratios)}; {statistics.median(alone) * 1e3:.2f} ms without, "
        f"{statistics.median(beside) * 1e3:.2f} with; "
        f"{statistics.median(others):.2f} times where there is nothing; answered {told}"
    )
    name = "200 bad clients at every debug route: the application's own p99"
    return (Measurement(name, statistics.median(ratios), 1.5, "times", detail),)


def beside_pests(port: int, seconds: float, prefix: str, answers: Counter[str]) -> float:
    """Return the percentile while bad clients ask for paths below a prefix; count what they are answered."""
    arguments = [str(port), str(seconds + 2), prefix]
    with subprocess.Popen(
        [sys.executable, "-m", "benchmarks.debug.pests", *arguments],
        cwd=_ROOT,
        stdout=subprocess.PIPE,
        text=True,
    ) as pests:
        found = percentile(port, seconds, after=1.5)
        output, _ = pests.communicate(timeout=60)
    answers.update(json.loads(output))
    return found


def percentile(port: int, seconds: float, after: float = 0.0) -> float:
    """Return the 99th percentile of the application's own answers, in seconds."""
    command = [sys.executable, "-m", "benchmarks.debug.caller", str(port), str(seconds), str(after)]
    done = subprocess.run(command, cwd=_ROOT, stdout=subprocess.PIPE, text=True, check=True, timeout=60)
    return statistics.quantiles(json.loads(done.stdout), n=100)[98]
