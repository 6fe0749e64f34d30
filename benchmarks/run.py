"""Prints what must hold and what was measured: `python -m benchmarks.run`. Exit code 1 if something does not hold."""

from __future__ import annotations

import platform

from benchmarks.guards import ALL


def main() -> int:
    """Measure each guard and print a table of them."""
    print(f"CPython {platform.python_version()}, {platform.machine()} {platform.system()}\n")
    print("| what | must be at most | measured | holds | detail |")
    print("|---|---|---|---|---|")
    failed = 0
    for guard in ALL:
        one = guard()
        failed += not one.holds
        holds = "yes" if one.holds else "NO"
        limit = f"{one.limit:.3g} {one.unit}"
        print(f"| {one.name} | {limit} | {one.value:.3g} | {holds} | {one.detail} |", flush=True)
    return 1 if failed else 0


if __name__ == "__main__":
    raise SystemExit(main())
