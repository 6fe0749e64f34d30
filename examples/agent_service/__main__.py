"""The demo: a service under load, its slow operations captured, stored, looked at and ranked.

.venv/bin/python examples/agent_service [--short] [--without PLANT] [--store DIR] [--keep-running]
"""

from __future__ import annotations

import signal
import sys
import tempfile
from pathlib import Path

from rich.console import Console

from demo.options import parse_options
from demo.processes import ServerFailed
from demo.session import run
from profkit_storage import ProfkitError


def main() -> int:
    """Run the demo; returns the exit code."""
    options = parse_options()
    console = Console(width=None if sys.stdout.isatty() else 160, highlight=False)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that what was started is stopped
    try:
        with tempfile.TemporaryDirectory(prefix="profkit-demo-") as folder:
            run(options, Path(folder), console)
    except KeyboardInterrupt:
        return 130
    except (ServerFailed, ProfkitError) as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
