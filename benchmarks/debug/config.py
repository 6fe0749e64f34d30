"""What /debug/config costs with 500 settings and 200 distributions, by `python -m benchmarks.debug.config`.

How long an answer takes, as JSON and as a page, the first and later ones; and for how long the event loop that answers
stood still meanwhile, beside the same loop with nothing to do. Exit code 1 if a limit does not hold.
"""

from __future__ import annotations

import asyncio
import importlib.metadata
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import httpx
import pydantic
from pydantic_settings import BaseSettings, SettingsConfigDict

from benchmarks.debug.stalls import Stalls
from benchmarks.guards.measuring import Measurement
from benchmarks.run import print_rows
from profkit.debug import DiagnosticEndpoints, TokenAuth
from profkit.debug.configuration import distributions

SETTINGS = 500
DISTRIBUTIONS = 200
ANSWERS = 40
FIRSTS = 5
_TOKEN = "benchmark-0123456789abcdef"
_DESCRIPTION = "A description of some length.\n" * 700  # 20 KB, as of a middling project


def make_settings() -> BaseSettings:
    """Return 500 settings of the usual kinds, a tenth of them secrets, a fifth inside others."""
    kinds: list[tuple[type, object]] = [
        (str, "eu-central-1"),
        (int, 8080),
        (bool, True),
        (str, "https://user:password@api.example.org/v1?page=2"),
        (float, 0.25),
    ]
    names = ("host", "port", "enabled", "url", "rate", "region", "limit", "api_key", "path", "level")
    fields: dict[str, Any] = {
        f"{names[number % 10]}_{number}": kinds[number % 5] for number in range(SETTINGS - 100)
    }
    inner: dict[str, Any] = {f"{names[number]}": kinds[number % 5] for number in range(10)}
    for number in range(10):
        model = pydantic.create_model(f"Part{number}", **inner)
        fields[f"part_{number}"] = (model, model())
    made: Any = pydantic.create_model("Shop", __base__=BaseSettings, **fields)
    made.model_config = SettingsConfigDict(env_prefix="BENCHMARK_", env_nested_delimiter="__")
    given = {name: value for name, (_, value) in fields.items() if not name.startswith("part")}
    settings: BaseSettings = made(**given)  # given, so that each is looked for in the environment
    return settings


def write_distributions(directory: Path) -> None:
    """Write what an installer leaves, for 200 distributions in all."""
    for number in range(max(1, DISTRIBUTIONS - len(list(importlib.metadata.distributions())))):
        information = directory / f"thing_{number}-1.{number}.dist-info"
        information.mkdir()
        text = f"Metadata-Version: 2.1\nName: thing-{number}\nVersion: 1.{number}\n\n{_DESCRIPTION}"
        (information / "METADATA").write_text(text)


async def _measured(client: httpx.AsyncClient, accept: str) -> tuple[float, float, float]:
    """Ask once; return how long it took, the longest stall, and the CPU seconds of the process."""
    async with Stalls() as stalls:
        began, used = time.perf_counter(), time.process_time()
        answer = await client.get("/config", headers={"accept": accept})
        took, used = time.perf_counter() - began, time.process_time() - used
        await asyncio.sleep(0.002)
    answer.raise_for_status()
    assert "thing-0" in answer.text
    return took, stalls.longest, used


async def _idle() -> float:
    async with Stalls() as stalls:
        await asyncio.sleep(0.5)
    return stalls.longest


async def answers(accept: str, *, first: bool) -> list[tuple[float, float, float]]:
    """Ask for the configuration: once in this process, or many times after a few."""
    endpoints = DiagnosticEndpoints(auth=TokenAuth(_TOKEN), config=make_settings(), environment=True)
    transport = httpx.ASGITransport(app=endpoints)
    headers = {"authorization": f"Bearer {_TOKEN}"}
    async with httpx.AsyncClient(transport=transport, base_url="http://debug", headers=headers) as client:
        if first:
            return [await _measured(client, accept)]
        for _ in range(5):
            await _measured(client, accept)
        return [await _measured(client, accept) for _ in range(ANSWERS)]


def later_answers() -> tuple[Measurement, ...]:
    """Answers after the first ones."""
    idle = asyncio.run(_idle())
    rows: list[Measurement] = []
    for name, accept in (("JSON", "application/json"), ("page", "text/html")):
        rows += _rows(f"/debug/config as {name}", asyncio.run(answers(accept, first=False)), idle)
    return tuple(rows)


def first_answers() -> tuple[Measurement, ...]:
    """The first answer of a process, which reads the distributions; each in a process of its own."""
    found: list[tuple[float, float, float]] = []
    for _ in range(FIRSTS):
        command = [sys.executable, "-m", "benchmarks.debug.config", "first"]
        printed = subprocess.run(command, capture_output=True, text=True, check=True, timeout=120).stdout
        took, stall, used = map(float, printed.split())
        found.append((took, stall, used))
    return tuple(_rows("/debug/config, the first answer of a process", found, asyncio.run(_idle())))


def _rows(name: str, found: list[tuple[float, float, float]], idle: float) -> list[Measurement]:
    times, stalls, cpu = ([1e3 * one for one in several] for several in zip(*found, strict=True))
    spread = f"{min(times):.1f} to {max(times):.1f}; {len(found)} answers; CPU {statistics.median(cpu):.1f}"
    quiet = f"at most {max(stalls):.1f}; an idle loop {1e3 * idle:.1f}"
    return [
        Measurement(f"{name}, time", statistics.median(times), 50.0, "ms", spread),
        Measurement(f"{name}, longest stall of the loop", statistics.median(stalls), 10.0, "ms", quiet),
    ]


def main() -> int:
    """Print the table; with `first`, the figures of one first answer."""
    with tempfile.TemporaryDirectory() as directory:
        write_distributions(Path(directory))
        sys.path.insert(0, directory)
        if sys.argv[1:] == ["first"]:
            (figures,) = asyncio.run(answers("application/json", first=True))
            print(*figures)
            return 0
        print(f"{SETTINGS} settings, {len(distributions())} distributions\n")
        return print_rows((first_answers, later_answers))


if __name__ == "__main__":
    raise SystemExit(main())
