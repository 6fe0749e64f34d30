"""Requests a second of a Starlette application with ProfilingMiddleware, against the same without."""

from __future__ import annotations

import importlib.util
import statistics
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psutil

from benchmarks.guards import measuring
from benchmarks.guards.measuring import Measurement, spread

_ROOT = Path(__file__).resolve().parents[2]
_FROM_ONE = 5
"""Pairs from one pair of servers: how fast one is depends on where it happens to lie in memory, by some per cent."""


@dataclass(frozen=True)
class _Load:
    """What a client counted: requests a second, and the CPU seconds that the server used for each, but for a factor."""

    rate: float
    cpu: float


@dataclass(frozen=True)
class _Server:
    process: subprocess.Popen[str]
    port: int

    def load(self) -> _Load:
        """Keep the server busy for a second from a process of its own."""
        server = psutil.Process(self.process.pid)
        before = sum(server.cpu_times()[:2])
        client = [sys.executable, "-m", "benchmarks.peers.load", str(self.port)]
        done = subprocess.run(client, cwd=_ROOT, stdout=subprocess.PIPE, text=True, check=True, timeout=60)
        rate, requests = map(float, done.stdout.split())
        return _Load(rate, (sum(server.cpu_times()[:2]) - before) / requests)


def hello_world() -> tuple[Measurement, ...]:
    """With each HTTP parser that is there: h11 comes with uvicorn, httptools is what it takes where it can.

    And with a request id on every answer, as is usual, and without: a header more costs the server too.
    """
    parsers = [parser for parser in ("h11", "httptools") if importlib.util.find_spec(parser)]
    return tuple(_with(parser, side) for parser in parsers for side in ("watched", "without-ids"))


def _with(parser: str, side: str) -> Measurement:
    pairs: list[tuple[_Load, _Load]] = []
    while len(pairs) < measuring.PAIRS:
        pairs += _pairs(parser, side)
    ratios = [watched.rate / bare.rate for bare, watched in pairs]
    rate = statistics.median(bare.rate for bare, _ in pairs)
    cpu = statistics.median(watched.cpu / bare.cpu for bare, watched in pairs)
    detail = f"{spread(ratios)}; {rate:,.0f}/s bare; CPU of a request {cpu:.3f} times bare"
    ids = "" if side == "watched" else ", no request ids"
    name = f"Starlette hello world on uvicorn with {parser}{ids}, requests a second"
    return Measurement(name, statistics.median(ratios), 0.95, "times bare", detail, at_least=True)


def _pairs(parser: str, side: str) -> list[tuple[_Load, _Load]]:
    with _serving("bare", parser) as bare, _serving(side, parser) as watched:
        pairs: list[tuple[_Load, _Load]] = []
        for server in (bare, watched):
            server.load()
        for turn in range(_FROM_ONE):
            first, second = (bare, watched) if turn % 2 else (watched, bare)
            loads = {first.port: first.load(), second.port: second.load()}
            pairs.append((loads[bare.port], loads[watched.port]))
        return pairs


@contextmanager
def _serving(side: str, parser: str) -> Generator[_Server]:
    command = [sys.executable, "-m", "benchmarks.guards.hello", side, parser]
    with subprocess.Popen(
        command, cwd=_ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        try:
            yield _Server(process, int(process.stdout.readline()))
        finally:
            process.stdin.close()  # which ends it
            process.wait(10)
