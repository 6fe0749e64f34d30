"""Prints what must hold and what was measured. Exit code 1 if something does not hold.

python -m benchmarks.run             the rows that are tests too, about a minute
python -m benchmarks.run --all       every row, about six minutes
python -m benchmarks.run NAME ...    some of them, by the names of their functions
"""

from __future__ import annotations

import argparse
import platform
from collections.abc import Sequence

from benchmarks.guards import GUARDS, OTHERS, Row, measuring


def main() -> int:
    """Measure the rows that were asked for."""
    return print_rows(_chosen())


def main_of(prog: str, rows: Sequence[Row]) -> int:
    """Measure those of `rows` that the command line of `prog` names, all of them if it names none."""
    every = {row.__name__: row for row in rows}
    parser = argparse.ArgumentParser(prog=prog)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"any of {', '.join(every)}")
    names = parser.parse_args().names or list(every)
    if unknown := [name for name in names if name not in every]:
        parser.error(f"no row is called {unknown[0]!r}: give any of {', '.join(every)}")
    return print_rows([every[name] for name in names])


def print_rows(rows: Sequence[Row]) -> int:
    """Measure each row and print a table of them; return 1 if a figure does not hold."""
    print(f"CPython {platform.python_version()}, {platform.machine()} {platform.system()}\n")
    print("| what | must be | measured | holds | detail |")
    print("|---|---|---|---|---|")
    failed = sum(_print_row(row) for row in rows)
    return 1 if failed else 0


def _chosen() -> Sequence[Row]:
    every = {row.__name__: row for row in (*GUARDS, *OTHERS)}
    parser = argparse.ArgumentParser(prog="python -m benchmarks.run")
    parser.add_argument("--all", action="store_true", help="every row, about six minutes")
    parser.add_argument("--pairs", type=int, default=measuring.PAIRS, help="runs of each side of a ratio")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"any of {', '.join(every)}")
    arguments = parser.parse_args()
    measuring.PAIRS = arguments.pairs
    if unknown := [name for name in arguments.names if name not in every]:
        parser.error(f"no row is called {unknown[0]!r}: give any of {', '.join(every)}")
    if arguments.names:
        return [every[name] for name in arguments.names]
    return list(every.values()) if arguments.all else GUARDS


def _print_row(row: Row) -> int:
    """Measure one row; return how many of its figures do not hold."""
    figures = row()
    for one in figures:
        limit = f"at {'least' if one.at_least else 'most'} {one.limit:.3g} {one.unit}"
        holds = "yes" if one.holds else "NO"
        print(f"| {one.name} | {limit} | {one.value:.3g} | {holds} | {one.detail} |", flush=True)
    return sum(not one.holds for one in figures)


if __name__ == "__main__":
    raise SystemExit(main())
