"""The `profkit` command's entry point; it needs the `analyze` extra, and says so where that is missing."""

from __future__ import annotations

import sys
from collections.abc import Sequence

_EXTRA = frozenset({"click", "rich"})
_INTERRUPTED = 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command with `arguments` (None takes the process's) and return its exit code."""
    try:
        return _run(arguments)
    except KeyboardInterrupt:
        return _INTERRUPTED


def _run(arguments: Sequence[str] | None) -> int:
    # What takes time to import is imported here, where an interrupt ends it without a traceback.
    try:
        from profkit_analyzers.commands import run
    except ModuleNotFoundError as error:
        missing = (error.name or "").partition(".")[0]
        if missing not in _EXTRA:
            raise
        sys.stderr.write(
            f'profkit: the command needs {missing}: install it with: pip install "profkit[analyze]"\n'
        )
        return 2
    return run(arguments)
