"""The environment that the peers live in: exact versions, and profkit from the checkout."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
REQUIREMENTS = ROOT / "benchmarks" / "peers-requirements.txt"
PYTHONS = ROOT / "scripts" / "pythons.sh"
_DESCRIBE = """
import importlib.metadata, json, os, platform, sys
versions = {name: importlib.metadata.version(name) for name in sys.argv[1:]}
print(json.dumps({
    "python": platform.python_version(), "machine": f"{platform.machine()} {platform.system()}",
    "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(), "versions": versions,
}))
"""


class NoEnvironment(Exception):
    """The environment cannot be made; says why."""


def prepare(directory: Path, python: str) -> Path:
    """Return the interpreter of the environment in `directory`, made or made anew if it is not as it should be.

    Raises:
        NoEnvironment: there is no such Python, `directory` holds something else, or an installation failed.
    """
    directory = directory.absolute()
    interpreter, marker = directory / "bin" / "python", directory / ".ready"
    base = _find(python)
    wanted = _fingerprint(base)
    if interpreter.exists() and marker.exists() and marker.read_text() == wanted:
        return interpreter
    if directory.exists():
        if not (directory / "pyvenv.cfg").exists():
            raise NoEnvironment(f"{directory} is no virtual environment: give another --venv")
        shutil.rmtree(directory)
    _run(base, "-m", "venv", str(directory))
    pip = (str(interpreter), "-m", "pip", "install", "--quiet", "--disable-pip-version-check")
    _run(*pip, "--requirement", str(REQUIREMENTS))
    _run(*pip, "--no-deps", "--editable", str(ROOT))
    marker.write_text(wanted)
    return interpreter


def describe(interpreter: Path, distributions: list[str]) -> str:
    """Say what is measured on what: Python, machine, and the version of each distribution."""
    found = json.loads(_run(str(interpreter), "-c", _DESCRIBE, *distributions))
    versions = ", ".join(f"{name} {version}" for name, version in found["versions"].items())
    return f"CPython {found['python']}, {found['machine']}, {found['cores']} cores; {versions}"


def _find(python: str) -> str:
    """Return the path of an interpreter, given that or its version as 3.12."""
    found = dict(line.split(maxsplit=1) for line in _run("sh", str(PYTHONS), "--all").splitlines())
    path = found.get(python) or shutil.which(python)
    if path is None:
        raise NoEnvironment(f"Python {python} was not found: give --python")
    return path


def _fingerprint(base: str) -> str:
    version = _run(base, "-c", "import sys; print(sys.version, sys.base_prefix)")
    return hashlib.sha256("\0".join([version, str(ROOT), REQUIREMENTS.read_text()]).encode()).hexdigest()


def _run(*command: str) -> str:
    try:
        done = subprocess.run(command, check=True, text=True, capture_output=True)
    except (subprocess.CalledProcessError, OSError) as error:
        said = getattr(error, "stderr", None) or str(error)
        raise NoEnvironment(f"{' '.join(command[:4])} failed:\n{said.strip()[-2000:]}") from error
    return done.stdout
