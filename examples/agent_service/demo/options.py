"""The command line."""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from pathlib import Path

from shop.settings import Plant

DEFAULT_STORE = Path("demo-profiles")
FULL, SHORT = (200, 14.0), (100, 4.0)
"""Requests, and the seconds they are spread over."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """`seconds` is how long the load takes without the slow requests that it has to wait for."""

    requests: int
    seconds: float
    rounds: int
    without: frozenset[Plant]
    store: Path
    keep: bool
    keep_running: bool
    log: Path | None


def parse_options(arguments: list[str] | None = None) -> Options:
    """Read the command line; argparse ends the program where it is wrong."""
    parser = argparse.ArgumentParser(
        prog="agent_service",
        description="A Starlette service with an agent, a database and an LLM, watched by profkit under load.",
    )
    parser.add_argument("--short", action="store_true", help="half the requests, each slow path once")
    parser.add_argument("--requests", type=_request_count, help=f"how many requests (default {FULL[0]})")
    parser.add_argument(
        "--seconds", type=_duration, help=f"spread over how many seconds (default {FULL[1]:.0f})"
    )
    parser.add_argument(
        "--without", action="append", default=[], choices=[plant.value for plant in Plant], metavar="PLANT",
        help=f"put the mended code in place of a slow path: {', '.join(Plant)}; may be repeated",
    )  # fmt: skip
    parser.add_argument(
        "--store", type=Path, default=DEFAULT_STORE, help="where profiles go (default ./%(default)s)"
    )
    parser.add_argument(
        "--keep", action="store_true", help="keep the profiles of earlier runs in ./demo-profiles"
    )
    parser.add_argument("--keep-running", action="store_true", help="leave the service up until Ctrl-C")
    parser.add_argument("--log", type=Path, help="write one JSON line a request to this file")
    given = parser.parse_args(arguments)
    requests, seconds = SHORT if given.short else FULL
    return Options(
        requests=given.requests or requests,
        seconds=given.seconds or seconds,
        rounds=1 if given.short else 2,
        without=frozenset(Plant(name) for name in given.without),
        store=given.store,
        keep=given.keep or given.store != DEFAULT_STORE,
        keep_running=given.keep_running,
        log=given.log,
    )


def _request_count(text: str) -> int:
    number = int(text)
    if not 40 <= number <= 100_000:
        raise argparse.ArgumentTypeError(f"{number}: allowed are 40 to 100000")
    return number


def _duration(text: str) -> float:
    number = float(text)
    if not 0 < number <= 3600:
        raise argparse.ArgumentTypeError(f"{number}: allowed are more than 0, up to 3600")
    return number
