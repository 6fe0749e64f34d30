"""Prints what must hold of the analyzer and what was measured. Exit code 1 if something does not hold.

python -m benchmarks.analysis             every row
python -m benchmarks.analysis NAME ...    some of them, by the names of their functions

Needs `go` for its pprof, and Chromium. The stores stay in the directory for temporary files, 2 GB in all.
"""

from __future__ import annotations

from benchmarks.analysis import ROWS
from benchmarks.run import main_of

if __name__ == "__main__":
    raise SystemExit(main_of("python -m benchmarks.analysis", ROWS))
