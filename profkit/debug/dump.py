"""A snapshot of the process in a file: for a crash handler, or a support bundle."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from profkit.debug.answers import to_json
from profkit.debug.context import DebugContext


def dump(path: str | os.PathLike[str], *sections: str, context: DebugContext | None = None) -> Path:
    """Write what the debug routes show to a file as JSON, masked, for its owner alone (0600); return its path.

    `sections` as for `DebugContext.snapshot`; `context` is the one whose settings and pools are shown,
    `DiagnosticEndpoints(...).context` for instance. A file that is there is replaced, at once and whole.

    Raises:
        ConfigurationError: there is no section of this name.
        OSError: the file cannot be written.
    """
    target = Path(path)
    document = to_json((context or DebugContext()).snapshot(*sections))
    descriptor, name = tempfile.mkstemp(dir=target.parent, prefix=f".{target.name}.")
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(document)
        Path(name).replace(target)
    except BaseException:
        Path(name).unlink()
        raise
    return target
