"""What a profile says of a function: module, distribution, origin, and a file name that discloses no server path."""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache

from profkit.sampling.callsites import NativeCall
from profkit.sampling.codes import Code
from profkit.sampling.origins import locate
from profkit_storage import Frame, Origin


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
