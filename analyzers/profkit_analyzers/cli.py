"""The `profkit` command's entry point; it needs the `analyze` extra, and says so where that is missing."""

from __future__ import annotations

import sys
from collections.abc import Sequence

_EXTRA = frozenset({"click", "rich"})


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command with `arguments` (None takes the process's) and return its exit code."""
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
    except KeyboardInterrupt:
        return 130
    return run(arguments)
