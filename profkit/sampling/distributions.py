"""Which installed distribution a top-level package belongs to, from what installers write beside the packages.

Not by `importlib.metadata`: that imports modules of its own while it reads, and a child that is forked in the middle of
an import waits for ever where it imports the same. It takes 0.2 to 0.3 s of CPU for 94 distributions, this 0.03 s.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Mapping
from functools import cache
from os import scandir
from pathlib import Path

_INFORMATION = (".dist-info", ".egg-info")
_MODULES = (".py", ".so", ".pyd")


def distribution_of(module: str) -> str:
    """Return the name of the installed distribution that a module belongs to, "" if none."""
    return _distributions().get(module.partition(".")[0], "")


@cache
def _distributions() -> Mapping[str, str]:
    found: dict[str, str] = {}
    for root in sys.path:
        for directory in _information(root or "."):
            name = _name(directory)
            for package in _packages(directory):
                found.setdefault(package, name)
    return found


def _information(root: str) -> list[Path]:
    try:
        with scandir(root) as entries:
            return [Path(entry.path) for entry in entries if entry.name.endswith(_INFORMATION)]
    except OSError:  # an archive, or not there
        return []


def _lines(file: Path) -> Iterator[str]:
    try:
        with file.open(encoding="utf-8", errors="replace") as lines:
            yield from lines
    except OSError:  # not there, or not readable
        return


def _name(directory: Path) -> str:
    for file in ("METADATA", "PKG-INFO"):
        for line in _lines(directory / file):
            key, _, value = line.partition(":")
            if key.lower() == "name":
                return value.strip()
            if not line.strip():  # the description follows
                break
    return ""


def _packages(directory: Path) -> set[str]:
    """Return the top-level packages and modules: those the distribution declares, else those of its files."""
    declared = {line.strip() for line in _lines(directory / "top_level.txt") if line.strip()}
    return declared or {name for line in _lines(directory / "RECORD") if (name := _top_level(line))}


def _top_level(line: str) -> str:
    """Return the package or module that a line of a RECORD is of, "" if of none."""
    first, inside, _ = line.lstrip('"').partition("/")
    if inside:
        return "" if "." in first else first
    path = first.partition(",")[0]
    return path.partition(".")[0] if path.endswith(_MODULES) else ""
