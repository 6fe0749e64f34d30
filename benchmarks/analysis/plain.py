"""What one would write by oneself: seconds by function over sessions of pyinstrument, with orjson.

python benchmarks/analysis/plain.py DIRECTORY
"""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path

import orjson


def main() -> None:
    """Print the 20 functions with the most seconds of their own."""
    own: Counter[str] = Counter()
    total: Counter[str] = Counter()
    for path in Path(sys.argv[1]).glob("*.json"):
        for stack, seconds in orjson.loads(path.read_bytes())["frame_records"]:
            functions = {frame.split("\x01", 1)[0] for frame in stack}
            own[stack[-1].split("\x01", 1)[0]] += seconds
            for function in functions:
                total[function] += seconds
    for function, seconds in own.most_common(20):
        print(f"{seconds:12.3f} {total[function]:12.3f} {function.split(chr(0))[0]}")


if __name__ == "__main__":
    main()
