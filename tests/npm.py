"""What was installed by npm for the tests: `npm install --global NAME`, as `.ci/run` does."""

from __future__ import annotations

import os
import shutil
import subprocess
from functools import cache
from pathlib import Path


def package(name: str) -> Path | None:
    """Return a package's directory: that in PROFKIT_NAME, or npm's global one; None if it is not there."""
    named = os.environ.get(f"PROFKIT_{name.replace('-', '_').upper()}")
    root = Path(named) if named else (_root() / name if _root().name else None)
    return root if root is not None and (root / "package.json").is_file() else None


@cache
def _root() -> Path:
    npm = shutil.which("npm")
    if npm is None:
        return Path()
    done = subprocess.run([npm, "root", "-g"], capture_output=True, text=True, timeout=60, check=False)
    return Path(done.stdout.strip())
