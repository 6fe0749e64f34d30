"""What a profile says of a function: module, distribution, origin, and a file name that discloses no server path."""

from __future__ import annotations

import sys
from types import ModuleType

from profkit.sampling.callsites import NativeCall
from profkit.sampling.codes import Code
from profkit.sampling.distributions import distribution_of
from profkit.sampling.origins import locate
from profkit_storage import Frame, Origin


def frame_of(code: Code) -> Frame:
    """Describe a function of the sampler's table."""
    if code.code is None and code.module:
        return native_frame(NativeCall(code.name, code.module))
    if code.code is None:
        return Frame(code.name, "", 0, "", "", Origin.SYNTHETIC)
    origin, filename = locate(code.code.co_filename)
    if filename.startswith("<") and origin is Origin.APPLICATION:
        origin = _origin_of_module(code.module)
    distribution = distribution_of(code.module) if origin is Origin.SITE_PACKAGES else ""
    return Frame(code.name, filename, code.code.co_firstlineno, code.module, distribution, origin)


def _origin_of_module(name: str) -> Origin:
    """Return whose code is that has no file: it was made at run time, in a module that has one, as a rule."""
    if not name or name.startswith("namedtuple_"):
        return (
            Origin.STDLIB
        )  # without a module it is nobody's: what it takes is its caller's, as of the library's code
    module = sys.modules.get(name)
    file = vars(module).get("__file__") if isinstance(module, ModuleType) else None
    return locate(file)[0] if isinstance(file, str) else Origin.APPLICATION


def native_frame(call: NativeCall) -> Frame:
    """Describe a C function by how it was called."""
    distribution = distribution_of(call.module) if call.module else ""
    return Frame(call.name, "", 0, call.module, distribution, Origin.NATIVE)
