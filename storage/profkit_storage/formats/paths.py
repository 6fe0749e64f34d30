"""What pyinstrument wants to know of a server's paths, told from the frames alone.

pyinstrument stores `sys.path` and the interpreter's prefixes in a session, which discloses how a server is laid out.
What its renderers need them for, shortening file names and folding library frames, the frames' own file names give.
"""

from __future__ import annotations

import re
from collections.abc import Collection

from profkit_storage.formats.names import safe
from profkit_storage.profile import Frame, Origin

_LIMIT = 64  # pyinstrument compares every file with every entry
_LIBRARY = re.compile(r".*?[/\\](?:site-packages|dist-packages|python\d+(?:\.\d+)?t?)[/\\]")
_LIBRARIES = frozenset({Origin.SITE_PACKAGES, Origin.STDLIB})


def library_prefixes(frames: Collection[Frame]) -> list[str]:
    """Return path prefixes that cover the library frames and none of the application's."""
    application = {safe(frame.filename) for frame in frames if frame.origin is Origin.APPLICATION}
    found: set[str] = set()
    for frame in frames:
        if frame.origin in _LIBRARIES and frame.filename and not frame.filename.startswith("<"):
            found.add(_prefix(safe(frame.filename), application))
    return sorted(found - application)


def _prefix(filename: str, application: set[str]) -> str:
    match = _LIBRARY.match(filename)
    prefix = match.group() if match else filename
    # an application kept inside a library directory: name the library's file itself
    return filename if any(other.startswith(prefix) for other in application) else prefix


def source_roots(frames: Collection[Frame]) -> list[str]:
    """Return the directories the frames' modules were imported from, the most used first, at most 64."""
    uses: dict[str, int] = {}
    for frame in frames:
        root = safe(_root(frame))
        if root:
            uses[root] = uses.get(root, 0) + 1
    return sorted(uses, key=lambda root: (-uses[root], root))[:_LIMIT]


def _root(frame: Frame) -> str:
    """Return the import directory of a frame: its file name less what its module's name accounts for."""
    parts = re.split(r"[/\\]", frame.filename)
    module = [] if frame.module in ("", "__main__") else frame.module.split(".")
    stem = parts.pop().rpartition(".")[0]
    if len(parts) < 2 or not frame.module:
        return ""
    if module and stem != "__init__" and module.pop() != stem:
        return ""
    depth = len(parts) - len(module)
    return frame.filename[: len("/".join(parts[:depth]))] if parts[depth:] == module and depth > 1 else ""
