"""How a function is called where people read it."""

from __future__ import annotations

from profkit_storage.profile import Frame, Origin


def function_name(frame: Frame) -> str:
    """Return `module.qualname`, or the qualname where the module is not known.

    A native function is named as its call is written, which may have the module in it: `time.sleep`.
    """
    if not frame.module:
        return frame.qualname
    if frame.origin is Origin.NATIVE and frame.qualname.startswith(f"{frame.module}."):
        return frame.qualname
    return f"{frame.module}.{frame.qualname}"
