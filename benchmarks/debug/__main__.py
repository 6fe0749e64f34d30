"""Prints what must hold of the debug routes and what was measured. Exit code 1 if something does not hold.

python -m benchmarks.debug             every row, some three minutes
python -m benchmarks.debug NAME ...    some of them, by the names of their functions
"""

from __future__ import annotations

import argparse
import platform

from benchmarks.debug.answers import answers
from benchmarks.debug.bad_clients import bad_clients
from benchmarks.guards import Row
from benchmarks.run import print_row

ROWS: tuple[Row, ...] = (answers, bad_clients)


def main() -> int:
    """Measure each row and print a table of them."""
    every = {row.__name__: row for row in ROWS}
    parser = argparse.ArgumentParser(prog="python -m benchmarks.debug")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"any of {', '.join(every)}")
    names = parser.parse_args().names or list(every)
    if unknown := [name for name in names if name not in every]:
        parser.error(f"no row is called {unknown[0]!r}: give any of {', '.join(every)}")
    print(f"CPython {platform.python_version()}, {platform.machine()} {platform.system()}\n")
    print("| what | must be | measured | holds | detail |")
    print("|---|---|---|---|---|")
    failed = sum(print_row(every[name]) for name in names)
    return 1 if failed else 0


if __name__ == "__main__":
    raise SystemExit(main())
