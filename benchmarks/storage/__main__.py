"""Prints what must hold of the store and what was measured. Exit code 1 if something does not hold.

python -m benchmarks.storage             every row
python -m benchmarks.storage NAME ...    some of them, by the names of their functions
"""

from __future__ import annotations

from benchmarks.run import main_of
from benchmarks.storage import ROWS

if __name__ == "__main__":
    raise SystemExit(main_of("python -m benchmarks.storage", ROWS))
