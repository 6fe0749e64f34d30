"""Where a function's file lies: in the application, among the installed packages, or in the standard library."""

from __future__ import annotations

import sys
import sysconfig
from functools import cache
from pathlib import Path

from profkit_storage import Origin

_PACKAGE_DIRECTORIES = ("/site-packages/", "/dist-packages/")


@cache
def _stdlib_directories() -> tuple[str, ...]:
    paths = {sysconfig.get_path(name) for name in ("stdlib", "platstdlib")}
    return tuple(sorted({form + "/" for path in paths for form in (path, str(Path(path).resolve()))}))


def is_application(path: str) -> bool:
    """Tell whether a code file is the application's own; 1 us, for the sampler."""
    return not (
        path.startswith(("<frozen ", *_stdlib_directories()))
        or any(directory in path for directory in _PACKAGE_DIRECTORIES)
    )


def locate(path: str) -> tuple[Origin, str]:
    """Return a code file's origin, and its path from the root it was imported from (`site-packages/`, `stdlib/`)."""
    for directory in _PACKAGE_DIRECTORIES:
        _, found, rest = path.rpartition(directory)
        if found:
            return Origin.SITE_PACKAGES, "site-packages/" + rest
    for directory in _stdlib_directories():
        if path.startswith(directory):
            return Origin.STDLIB, "stdlib/" + path[len(directory) :]
    if path.startswith("<frozen "):
        return Origin.STDLIB, path
    return Origin.APPLICATION, _application_path(path)


def _application_path(path: str) -> str:
    """Return the path below the import root that holds it, else its last two parts."""
    if not path.startswith("/"):
        return path
    roots = [root.rstrip("/") + "/" for root in (str(Path.cwd()), *sys.path) if root]
    below = [path[len(root) :] for root in roots if path.startswith(root)]
    return min(below, key=len) if below else "/".join(Path(path).parts[-2:])
