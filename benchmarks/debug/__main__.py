"""Prints what must hold of the debug routes and what was measured. Exit code 1 if something does not hold.

python -m benchmarks.debug             every row, some four minutes
python -m benchmarks.debug NAME ...    some of them, by the names of their functions
"""

from __future__ import annotations

from benchmarks.debug.answers import answers
from benchmarks.debug.bad_clients import bad_clients
from benchmarks.debug.pages import first_paint, page_sizes, page_stalls
from benchmarks.run import main_of

if __name__ == "__main__":
    raise SystemExit(
        main_of("python -m benchmarks.debug", (answers, bad_clients, first_paint, page_sizes, page_stalls))
    )
