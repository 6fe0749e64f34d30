"""The command: `python -m benchmarks.peers [--row NAME] [--peer NAME] [--pairs N] [--venv DIR] [--python PYTHON]`.

Prints one table in Markdown, for RESULTS.md; what it is doing goes to standard error. The whole takes about three
quarters of an hour. The first time, and whenever the versions change, it sets up its environment.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path

from benchmarks.peers import table
from benchmarks.peers.adapters import PEERS
from benchmarks.peers.comparing import Cell, compare
from benchmarks.peers.environment import ROOT, NoEnvironment, describe, prepare
from benchmarks.peers.processes import Places
from benchmarks.peers.rows import ROWS
from benchmarks.peers.sink import Sink


def main() -> int:
    """Measure what was asked for and print it."""
    asked = _parser().parse_args()
    rows, peers = asked.row or list(ROWS), asked.peer or list(PEERS)
    try:
        interpreter = prepare(asked.venv, asked.python)
        what = describe(interpreter, _distributions(peers))
    except NoEnvironment as error:
        print(error, file=sys.stderr)
        return 1
    started = time.monotonic()
    sink = Sink()
    try:
        print(f"{what}; {time.strftime('%Y-%m-%d')}; load {os.getloadavg()[0]:.1f} before the start\n")
        print(*table.head(peers), sep="\n", flush=True)
        for row in rows:
            cells = {peer: _measure(Places(interpreter, sink), row, peer, asked.pairs) for peer in peers}
            print(table.line(row, cells, spread=asked.spread), flush=True)
    finally:
        sink.close()
    print(f"\n{(time.monotonic() - started) / 60:.0f} minutes.")
    return 0


def _distributions(peers: list[str]) -> list[str]:
    return list(dict.fromkeys(PEERS[peer].distribution for peer in peers if PEERS[peer].distribution))


def _measure(places: Places, row: str, peer: str, pairs: int) -> Cell:
    started = time.monotonic()
    cell = compare(places, row, peer, pairs)
    took = time.monotonic() - started
    print(
        f"{row}, {peer}: {cell.text} [{cell.low}, {cell.high}] in {took:.0f} s", file=sys.stderr, flush=True
    )
    return cell


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.peers", description="profkit beside its peers"
    )
    parser.add_argument("--row", action="append", choices=list(ROWS), help="a row; may be repeated; else all")
    parser.add_argument(
        "--peer", action="append", choices=list(PEERS), help="a peer; may be repeated; else all"
    )
    parser.add_argument("--pairs", type=_count, default=15, help="interleaved pairs of each ratio (15)")
    parser.add_argument("--spread", action="store_true", help="show the quartiles too")
    parser.add_argument("--venv", type=Path, default=ROOT / ".venv-peers", help="the peers' environment")
    parser.add_argument("--python", default="3.12", help="path or version of what to make it with (3.12)")
    return parser


def _count(text: str) -> int:
    count = int(text)
    if count < 1:
        raise argparse.ArgumentTypeError("at least 1")
    return count


if __name__ == "__main__":
    raise SystemExit(main())
