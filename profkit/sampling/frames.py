"""Where a function comes from: module, distribution, origin, and a file name that discloses no server path."""

from __future__ import annotations

import sys
import sysconfig
from collections.abc import Mapping
from functools import cache
from pathlib import Path

from profkit.sampling.callsites import NativeCall
from profkit.sampling.codes import Code
from profkit_storage import Frame, Origin

_PACKAGE_DIRECTORIES = ("/site-packages/", "/dist-packages/")


@cache
def _stdlib_directories() -> tuple[str, ...]:
    paths = {sysconfig.get_path(name) for name in ("stdlib", "platstdlib")}
    return tuple(sorted({form + "/" for path in paths for form in (path, str(Path(path).resolve()))}))


@cache
def _distributions() -> Mapping[str, list[str]]:
    """Return the distributions of each top-level package; about 100 ms once, in the background."""
    from importlib import (
        metadata,  # a sixth of profkit's import time, and not needed before a profile is built
    )

    return metadata.packages_distributions()


def distribution_of(module: str) -> str:
    """Return the name of the installed distribution that a module belongs to, "" if none."""
    names = _distributions().get(module.partition(".")[0])
    return names[0] if names else ""


def frame_of(code: Code) -> Frame:
    """Describe a function of the sampler's table."""
    if code.code is None:
        return Frame(code.name, "", 0, "", "", Origin.SYNTHETIC)
    origin, filename = locate(code.code.co_filename)
    distribution = distribution_of(code.module) if origin is Origin.SITE_PACKAGES else ""
    return Frame(code.name, filename, code.code.co_firstlineno, code.module, distribution, origin)


def native_frame(call: NativeCall) -> Frame:
    """Describe a C function by how it was called."""
    distribution = distribution_of(call.module) if call.module else ""
    return Frame(call.name, "", 0, call.module, distribution, Origin.NATIVE)


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
