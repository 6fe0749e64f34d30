"""What a profile says of a function: module, distribution, origin, and a file name that discloses no server path."""

from __future__ import annotations

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
    distribution = distribution_of(code.module) if origin is Origin.SITE_PACKAGES else ""
    return Frame(code.name, filename, code.code.co_firstlineno, code.module, distribution, origin)


def native_frame(call: NativeCall) -> Frame:
    """Describe a C function by how it was called."""
    distribution = distribution_of(call.module) if call.module else ""
    return Frame(call.name, "", 0, call.module, distribution, Origin.NATIVE)
